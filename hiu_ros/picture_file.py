"""Picture files: those of a folder, folders to write into, and writing, which OpenCV's own does
without noticing a full disk."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hiu_ros.command_errors import named

if TYPE_CHECKING:
    import numpy as np

#: How the names of picture files end.
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')


def check_folder(option: str, path: str | None) -> None:
    """NotADirectoryError where a folder to write into is a file, or is named like one."""
    if path and not os.path.isdir(path) and (
            os.path.exists(path) or path.lower().endswith((*SUFFIXES, '.npz', '.obj'))):
        raise NotADirectoryError(f'--{option} {path} names a file; name the folder to write into')


def pictures_in(folder: str | os.PathLike, below: bool = False) -> list[Path]:
    """The picture files in a folder, by their names; of all folders below it, too, with `below`.

    What is hidden is left out. frame_2 comes before frame_10, as frames of a video are named.
    """
    there = Path(folder).rglob('*') if below else Path(folder).iterdir()
    return sorted((path for path in there if path.suffix.lower() in SUFFIXES
                   and not path.name.startswith('.') and path.is_file()), key=_by_number)


def _by_number(path: Path) -> list[tuple[str, int, str]]:
    return [(text, int(number or 0), number)
            for text, number in re.findall(r'(\D*)(\d*)', str(path))]


def write_picture(
    path: str | os.PathLike, picture: 'np.ndarray', options: Sequence[int] = ()
) -> None:
    """Write (H, W, 3) BGR or (H, W), uint8, in the format of the name's ending.

    options: OpenCV's, of the format. Raises OSError where it cannot be encoded or written.
    """
    import cv2

    try:
        good, data = cv2.imencode(Path(path).suffix, picture, list(options))
    except cv2.error:
        good = False
    if not good:
        raise OSError(f'{path} cannot be written: OpenCV cannot encode such a picture')
    with named(path):
        Path(path).write_bytes(data)
