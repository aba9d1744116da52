"""Files that a run writes when it ends, looked at before it starts."""

import os
from pathlib import Path


def check_output(path: Path) -> None:
    """Make the folder of a file that is written later; OSError where that will not be possible."""
    if path.is_dir():
        raise IsADirectoryError(f'{path} is a folder; give the name of a file to write')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f'cannot write {path}: {path.parent} cannot be made a folder '
                      f'({error.strerror}); choose another place') from error
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise PermissionError(f'cannot write {path}: no permission; choose another place')
