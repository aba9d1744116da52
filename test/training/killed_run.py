"""A training that kills itself: SETTINGS.yaml STEP. Run by test_loop.py."""

import os
import signal
import sys

from hiu_ros.training.loop import Trainer
from hiu_ros.training.settings import read_settings


class Killed(Trainer):
    """Dies without notice in the middle of a step."""

    def train_step(self, batch):
        if self.step == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().train_step(batch)


if __name__ == '__main__':
    Killed(read_settings(sys.argv[1])).run()
