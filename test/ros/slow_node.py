"""A node whose engine takes long to load: for signals that come meanwhile."""

import sys
import time

from fake_engine import FakeEngine

from hiu_ros.ros.lifecycle_node import HiuNode
from hiu_ros.ros.process import run


class SlowEngine(FakeEngine):
    def __init__(self, options):
        print('loading', flush=True)
        time.sleep(600.0)
        super().__init__(options)


if __name__ == '__main__':
    sys.exit(run(lambda: lambda: HiuNode(SlowEngine)))
