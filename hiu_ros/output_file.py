"""Files that a run writes when it ends, looked at before it starts."""

import json
import math
import os
from pathlib import Path
from typing import Any


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


def write_json(path: Path, figures: Any) -> None:
    """Write figures, in whatever mappings and sequences; those that do not exist are null, as
    JSON has no NaN."""
    path.write_text(json.dumps(_plain(figures), indent=1, allow_nan=False) + '\n',
                    encoding='utf-8')


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
