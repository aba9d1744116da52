"""Ctrl-C while torch is imported, which goes through C++ that an exception of Python would abort.

This module imports nothing but the standard library: it is at hand before the slow imports.
"""

import os
import signal
import sys
import threading


def importing(name: str) -> bool:
    """Whether the import of the module is under way."""
    specification = getattr(sys.modules.get(name), '__spec__', None)
    return getattr(specification, '_initializing', False)


def end_imports_on_interrupt() -> None:
    """Have Ctrl-C raise KeyboardInterrupt as ever, but end the process with 130, at once, while
    torch is imported: commands write nothing before that. Another handler of SIGINT stays."""
    if (threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: object) -> None:
    if importing('torch'):
        os._exit(130)
    raise KeyboardInterrupt
