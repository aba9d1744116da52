"""Where hands are, given by the user: the JSON file behind `--boxes` of `hiu predict`."""

import json
import os
import sys
from collections.abc import Sequence
from textwrap import shorten
from typing import Any, Final

_FORM: Final = '{"photo.jpg": [[x, y, width, height], ...], ...}'
_KINDS: Final = {list: 'a list', str: 'a text', int: 'a number', float: 'a number',
                 bool: 'true or false'}
#: Characters of a wrong entry that are shown.
_SHOWN: Final = 80


def read_boxes(path: str, files: Sequence[str]) -> dict[str, list[list[float]]]:
    """Boxes by file as given; keys may be relative to here or to the folder of the boxes file.

    An image without a key gets no box, and a line on standard error says so. Raises ValueError
    naming file and box for what is no {file: [[x, y, w, h], ...]}.
    """
    try:
        with open(path, encoding='utf-8-sig') as stream:
            table = json.load(stream)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'boxes file {path} is no JSON: {error}') from error
    except OSError as error:
        raise OSError(f'boxes file {path} cannot be read: {error.strerror or error}') from error
    if not isinstance(table, dict):
        raise ValueError(f'boxes file {path} holds {_KINDS.get(type(table), "null")}, expected '
                         f'{_FORM}')
    if _is_results(table):
        raise ValueError(f'boxes file {path} holds results of `hiu predict`, expected {_FORM}')
    for file, boxes in table.items():
        if not isinstance(boxes, list):
            raise ValueError(f'boxes file {path}: {file!r} must have a list of [x, y, w, h], got '
                             f'{shorten(repr(boxes), _SHOWN)}')
        for box in boxes:
            if not _is_box(box):
                raise ValueError(
                    f'boxes file {path}: box {shorten(repr(box), _SHOWN)} of {file!r} must be '
                    '[x, y, w, h], finite numbers with w and h above 0')
    folder = os.path.dirname(os.path.abspath(path))
    real: dict[str, list] = {}
    for key, boxes in table.items():
        real.setdefault(os.path.realpath(os.path.join(folder, key)), boxes)
    for key, boxes in table.items():
        real[os.path.realpath(key)] = boxes
    result, missing = {}, []
    for file in files:
        boxes = table.get(file, real.get(os.path.realpath(file)))
        if boxes is None:
            missing.append(file)
        result[file] = boxes or []
    if missing:
        print(f'hiu predict: {len(missing)} of {len(files)} images are not in {path} and get no '
              f'hands, the first is {missing[0]}', file=sys.stderr)
    return result


def _is_results(table: dict) -> bool:
    images = table.get('images')
    return isinstance(images, list) and any(isinstance(one, dict) for one in images)


def _is_box(box: Any) -> bool:
    numbers = isinstance(box, list) and len(box) == 4 and all(
        isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) < 1e300 for v in box)
    return numbers and box[2] > 0 and box[3] > 0


def in_image(box: Sequence[float], image: Any) -> bool:
    """Whether a box holds as much as a pixel of the image; shares of the image's size do not."""
    x, y, width, height = box
    high, wide = image.shape[:2]
    return min(x + width, wide) - max(x, 0) >= 1 and min(y + height, high) - max(y, 0) >= 1
