"""Errors that a user of a command can do something about: one line in place of a traceback."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Something is missing, unreadable, of another kind or out of range; a loss is not finite.
USER_ERRORS = (OSError, ValueError, RuntimeError, FloatingPointError)


def traceback_wanted() -> bool:
    """Whether the user asked for tracebacks, by HIU_TRACEBACK in the environment."""
    return bool(os.environ.get('HIU_TRACEBACK'))


def in_words(error: Exception) -> str:
    """The message of a user's error; of an operating system's own, which is '[Errno 17] File
    exists', what is wrong with the file or folder that it names, and what to do."""
    if not isinstance(error, OSError) or error.errno is None or error.filename is None:
        return str(error)
    path = Path(os.fsdecode(error.filename))
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        for place in (path, *path.parents):
            if place.exists() and not place.is_dir():
                return f'{place} is a file, expected a folder; name another place'
    if isinstance(error, IsADirectoryError):
        return f'{path} is a folder, expected a file; name a file'
    if isinstance(error, FileNotFoundError):
        return f'{path} does not exist'
    if isinstance(error, PermissionError):
        return f'{path}: no permission; name another place'
    return str(error)


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
        parser.exit(2, f'{parser.prog}: {in_words(error)}\n')


@contextmanager
def named(path: str | os.PathLike) -> Iterator[None]:
    """Name the file in an error of writing it, which that of a full disk does not."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(f'{path} cannot be written: {error.strerror or error}') from error
