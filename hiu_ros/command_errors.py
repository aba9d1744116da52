"""Errors that a user of a command can do something about: one line in place of a traceback."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

#: Something is missing, unreadable, of another kind or out of range; a loss is not finite.
USER_ERRORS = (OSError, ValueError, RuntimeError, FloatingPointError)


def traceback_wanted() -> bool:
    """Whether the user asked for tracebacks, by HIU_TRACEBACK in the environment."""
    return bool(os.environ.get('HIU_TRACEBACK'))


@contextmanager
def in_one_line(parser: argparse.ArgumentParser) -> Iterator[None]:
    """End a command of its own (`python -m ...`) with one line and status 2 for a user's error,
    and as `hiu` does, with status 130 and without a traceback, on Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        if traceback_wanted():
            raise
        parser.exit(130)
    except USER_ERRORS as error:
        if traceback_wanted():
            raise
        parser.exit(2, f'{parser.prog}: {error}\n')


@contextmanager
def named(path: str | os.PathLike) -> Iterator[None]:
    """Name the file in an error of writing it, which that of a full disk does not."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(f'{path} cannot be written: {error.strerror or error}') from error
