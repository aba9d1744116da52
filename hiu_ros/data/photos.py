"""Folders of labelled hand photographs: `labels.jsonl` beside image files.

It has a line of JSON for each image, whose keys are the fields of `Photo`; `hands` is a list of
objects with those of `LabelledHand`, and `licence` may be left out:

    {"set": "kitchen", "file": "kitchen/7.jpg", "width": 640, "height": 480, "split": "train",
     "hands": [{"side": "right", "side_score": 1.0, "keypoints_px": [[x, y], ... 21],
                "keypoints_m": [[x, y, z], ... 21]}]}
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hiu_ros.hand.skeleton import KEYPOINT_COUNT
from hiu_ros.perception.image_file import read_image

LABELS_NAME = 'labels.jsonl'
SIDES = ('left', 'right')
SPLITS = ('train', 'val')


class PhotoError(RuntimeError):
    """A photo folder that is missing, incomplete or mislabelled; the message says which."""


@dataclass(frozen=True)
class LabelledHand:
    """One labelled hand.

    side: 'left' or 'right', with side_score 0..1; keypoints_px: (21, 2) pixels of the image;
    keypoints_m: (21, 3) metres, origin at the hand's centre, camera axes.
    """

    side: str
    side_score: float
    keypoints_px: np.ndarray
    keypoints_m: np.ndarray


@dataclass(frozen=True)
class Photo:
    """One line of labels.jsonl: an image, where it comes from and its hands.

    file is relative to the folder. No hands means that the labeller found none, not that there
    is none.
    """

    set: str
    file: str
    width: int
    height: int
    split: str
    licence: str
    hands: tuple[LabelledHand, ...]


class PhotoFolder:
    """The photos of one folder, in the order of its labels.

    labels: a file of labels other than the folder's own. Raises PhotoError where the folder or
    the labels are missing or a line is malformed.
    """

    def __init__(self, path: str | Path, labels: str | Path | None = None) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            fault = 'is a file' if self.path.exists() else 'does not exist'
            raise PhotoError(f'photo folder {self.path} {fault}; give the folder that holds '
                             f'{LABELS_NAME}')
        if labels is None and not (self.path / LABELS_NAME).is_file():
            raise PhotoError(f'photo folder {self.path} has no {LABELS_NAME}; what stands in one: '
                             'the beginning of hiu_ros/data/photos.py')
        labels = Path(labels or self.path / LABELS_NAME)
        if not labels.is_file():
            raise PhotoError(f'{labels}, the labels of {self.path}, does not exist')
        self.photos: list[Photo] = []
        with labels.open('rb') as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        self.photos.append(_parse(_object(line)))
                    except (KeyError, TypeError, ValueError) as error:
                        missing = 'there is no ' if isinstance(error, KeyError) else ''
                        raise PhotoError(f'{labels}, line {number}: {missing}{error}') from error

    def __len__(self) -> int:
        return len(self.photos)

    def __iter__(self) -> Iterator[Photo]:
        return iter(self.photos)

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the sets, in order of appearance."""
        return tuple(dict.fromkeys(photo.set for photo in self.photos))

    def select(
        self, split: str | None = None, sets: tuple[str, ...] | None = None
    ) -> list[Photo]:
        """Photos of one split and some sets (None: all).

        Raises ValueError for a split or a set that the folder does not know.
        """
        if split is not None and split not in SPLITS:
            raise ValueError(f'split must be one of {SPLITS}, got {split!r}')
        self.check_sets(sets or ())
        return [photo for photo in self.photos
                if (split is None or photo.split == split)
                and (sets is None or photo.set in sets)]

    def check_sets(self, sets: Iterable[str]) -> None:
        """Raise ValueError for sets that the folder does not have."""
        unknown = sorted(set(sets) - set(self.sets))
        if unknown:
            raise ValueError(f'no set {unknown} in {self.path}; it has {self.sets}')

    def hands(self) -> Iterator[tuple[int, int, Photo, LabelledHand]]:
        """Every labelled hand as (photo index, index within the photo, photo, hand)."""
        for index, photo in enumerate(self.photos):
            for number, hand in enumerate(photo.hands):
                yield index, number, photo, hand

    def read_image(self, photo: Photo) -> np.ndarray:
        """(H, W, 3) uint8 BGR. Raises PhotoError where the file is missing, damaged or of
        another size."""
        path = self.path / photo.file
        image = read_image(path)
        if image is None:
            raise PhotoError(f'cannot read the image {path} named in {LABELS_NAME}; it is missing '
                             'or damaged')
        if image.shape[:2] != (photo.height, photo.width):
            raise PhotoError(f'{path} is {image.shape[1]} x {image.shape[0]} pixels, its label '
                             f'says {photo.width} x {photo.height}')
        return image


def label_line(photo: Photo) -> str:
    """The line of labels.jsonl that a photo is read from."""
    return json.dumps({**vars(photo), 'hands': [
        {'side': hand.side, 'side_score': round(hand.side_score, 4),
         'keypoints_px': np.round(hand.keypoints_px, 2).tolist(),
         'keypoints_m': np.round(hand.keypoints_m, 5).tolist()} for hand in photo.hands]})


def _object(line: bytes) -> dict:
    try:
        found = json.loads(line.decode('utf-8-sig'))
    except ValueError as error:
        raise ValueError(f'it is not whole JSON ({error})') from error
    if not isinstance(found, dict):
        raise ValueError(f'expected an object, got a {type(found).__name__}')
    return found


def _parse(line: dict) -> Photo:
    if line['split'] not in SPLITS:
        raise ValueError(f'split must be one of {SPLITS}, got {line["split"]!r}')
    hands, size = [], (int(line['width']), int(line['height']))
    for hand in line['hands']:
        if hand['side'] not in SIDES:
            raise ValueError(f'side must be one of {SIDES}, got {hand["side"]!r}')
        points = _points(hand['keypoints_px'], 2, 'keypoints_px')
        if not np.ptp(points, axis=0).any():
            raise ValueError(f'keypoints_px are all at one place, {points[0].tolist()}')
        if not ((points >= -0.5) & (points < np.array(size) - 0.5)).all(axis=1).any():
            raise ValueError(f'keypoints_px all lie outside the {size[0]} x {size[1]} image, the '
                             f'first at {points[0].tolist()}')
        hands.append(LabelledHand(
            hand['side'], float(hand['side_score']), points,
            _points(hand['keypoints_m'], 3, 'keypoints_m'),
        ))
    return Photo(line['set'], line['file'], *size, line['split'], line.get('licence', ''),
                 tuple(hands))


def _points(values: list, width: int, name: str) -> np.ndarray:
    try:
        points = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):  # lists of several lengths, texts
        points = np.array(np.nan)
    right = points.shape == (KEYPOINT_COUNT, width)
    if not right or not np.isfinite(points).all():
        got = '' if right or not points.ndim else f', got {" x ".join(map(str, points.shape))}'
        raise ValueError(f'{name} must be {KEYPOINT_COUNT} x {width} finite numbers{got}')
    return points
