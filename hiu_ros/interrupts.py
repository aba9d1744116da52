"""Ctrl-C while modules are imported, where KeyboardInterrupt may be lost or abort the process;
and SIGTERM as another Ctrl-C."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def end_imports_on_interrupt() -> None:
    """Have Ctrl-C raise KeyboardInterrupt as ever, but end the process with 130, at once, within
    an import: commands import before they write. Another handler of SIGINT stays.

    torch imports modules from C++, which may abort over an exception of Python, or make another
    of it; and importlib has callbacks out of which none comes.
    """
    if (threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        signal.signal(signal.SIGINT, _interrupt)


def end_imports_when_run() -> None:
    """`end_imports_on_interrupt`, for packages whose modules `python -m` runs: a package is
    imported before its module, and so before torch. Without an effect in other programs."""
    if sys.argv[:1] == ['-m']:  # until the module is found; from then on it is the module's path
        end_imports_on_interrupt()


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """A context in which SIGTERM raises KeyboardInterrupt, too, with its number: what is being
    written is closed. Another handler of it stays."""
    ours = (threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
    if ours:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename == '<frozen importlib._bootstrap>':
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt
