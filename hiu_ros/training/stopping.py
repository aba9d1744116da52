"""Stopping a training on Ctrl-C or SIGTERM, at the end of a step and with its state saved."""

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """A context in which SIGINT and SIGTERM only set `asked`; the old handlers come back after."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> 'StopRequest':
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def leave_signals_to_the_parent(worker: int = 0) -> None:
    """For loader processes, which get a terminal's Ctrl-C too and must not die of it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
