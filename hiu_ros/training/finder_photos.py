"""The training photographs of the finder, decoded and reduced once, in one file."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from hiu_ros.data.backgrounds import TWO_HANDED_SETS
from hiu_ros.data.photos import Photo, PhotoFolder
from hiu_ros.data.sets.layout import map_array, new_array
from hiu_ros.training.sources import check_names

#: px, the longer side of what is kept.
LONG_SIDE = 384


@dataclass(frozen=True, eq=False)
class Shot:
    """A photograph in memory. image: (h, w, 3) uint8 BGR; half: the same at half the size;
    points: (21, 2) px of `image` of each hand; right: of each; sure: all hands have labels."""

    image: np.ndarray
    half: np.ndarray
    points: tuple[np.ndarray, ...]
    right: tuple[bool, ...]
    sure: bool


class Shots:
    """The labelled training photographs of a folder, by number.

    Packed into `pack`.npy beside `pack`.json when first used; a pack of other photographs, or of
    those at other sizes, is made anew, beside runs that go on with the old one. DataSetError for a
    damaged one. `draw` takes sets by the square root of their size.
    """

    def __init__(self, folder: str | Path, pack: Path, leave_out: Sequence[str] = ()):
        photos = PhotoFolder(folder)
        check_names(leave_out, photos.sets, 'leave_out')
        self.photos = [photo for photo in photos.select('train')
                       if photo.hands and photo.set not in leave_out]
        if not self.photos:
            raise ValueError(f'{folder} has no labelled training photograph outside of the sets '
                             f'{sorted(leave_out)}')
        names = [photo.set for photo in self.photos]
        share = np.array([names.count(name) ** -0.5 for name in set(names)])
        share = dict(zip(set(names), share))
        weights = np.array([share[name] for name in names])
        self._cumulative = np.cumsum(weights / weights.sum())
        data, self._index = pack.with_suffix('.npy'), pack.with_suffix('.json')
        files = [photo.file for photo in self.photos]
        try:
            table = json.loads(self._index.read_text()) if self._index.exists() else {}
        except ValueError:
            table = {}  # cut off: made anew
        shapes = [_reduced_shape(photo) for photo in self.photos]
        if table.get('files') != files or table.get('shapes') != shapes or not data.exists():
            table = _pack(photos, self.photos, data, self._index)
        self._shapes, self._starts = table['shapes'], table['starts']
        self._pixels = map_array(data, 'remove it to have it made anew')

    def __len__(self) -> int:
        return len(self.photos)

    def draw(self, rng: np.random.Generator) -> Shot:
        """A random photograph."""
        return self[int(np.searchsorted(self._cumulative, rng.random() * 0.999999))]

    def __getitem__(self, number: int) -> Shot:
        photo, (height, width) = self.photos[number], self._shapes[number]
        start = self._starts[number]
        size, small = height * width * 3, (height // 2) * (width // 2) * 3
        image = self._pixels[start:start + size].reshape(height, width, 3)
        half = self._pixels[start + size:start + size + small]
        scale = np.array([width / photo.width, height / photo.height])
        return Shot(
            image, half.reshape(height // 2, width // 2, 3),
            tuple((hand.keypoints_px + 0.5) * scale - 0.5 for hand in photo.hands),
            tuple(hand.side == 'right' for hand in photo.hands),
            len(photo.hands) > 1 or photo.set not in TWO_HANDED_SETS)


def _reduced_shape(photo: Photo) -> list[int]:
    """Height and width, px, of what is kept of a photograph."""
    scale = min(1.0, LONG_SIDE / max(photo.height, photo.width))
    return [round(photo.height * scale), round(photo.width * scale)]


def _pack(folder: PhotoFolder, photos: Sequence[Photo], data: Path, index: Path) -> dict:
    shapes, starts, total = [], [], 0
    for photo in photos:
        shape = _reduced_shape(photo)
        shapes.append(shape)
        starts.append(total)
        total += 3 * (shape[0] * shape[1] + (shape[0] // 2) * (shape[1] // 2))
    data.parent.mkdir(parents=True, exist_ok=True)
    index.unlink(missing_ok=True)
    # Beside the old one, which another run may have mapped.
    part = data.with_name(f'{data.name}.{os.getpid()}.part')
    try:
        _fill(part, total, folder, photos, shapes, starts)
        os.replace(part, data)
    finally:
        part.unlink(missing_ok=True)
    table = {'files': [photo.file for photo in photos], 'shapes': shapes, 'starts': starts}
    index.write_text(json.dumps(table))
    return table


def _fill(path: Path, total: int, folder: PhotoFolder, photos: Sequence[Photo],
          shapes: Sequence[Sequence[int]], starts: Sequence[int]) -> None:
    pixels = new_array(path, (total,))
    for photo, (height, width), start in zip(tqdm(photos, 'packing photos', mininterval=5),
                                             shapes, starts):
        image = cv2.resize(folder.read_image(photo), (width, height),
                           interpolation=cv2.INTER_AREA)
        half = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        both = np.concatenate([image.ravel(), half.ravel()])
        pixels[start:start + len(both)] = both
    pixels.flush()
