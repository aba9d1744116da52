"""The real node process around an engine without networks; see fake_engine.py."""

import sys

from fake_engine import FakeEngine

from hiu_ros.ros.lifecycle_node import HiuNode
from hiu_ros.ros.process import run

if __name__ == '__main__':
    sys.exit(run(lambda: lambda: HiuNode(FakeEngine)))
