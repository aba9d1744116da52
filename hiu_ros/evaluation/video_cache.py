"""Rendered videos kept in a folder: rendering takes longer than looking at what was rendered.

A video is a folder of one file a frame, written as frames are asked for, so a bench that was
interrupted goes on where it stopped. Its name is made of the video's settings and the renderer's
edition; before it is used, one frame is rendered anew and compared, so that a change of the
renderer is not missed.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hiu_ros.data.renders.sequences import EDITION, Frame, HandSequence, HandTruth

#: Depth is kept in steps of 0.1 mm; 0 is nothing.
_DEPTH_STEP = 1e-4
#: Mean difference of grey values from which on a frame is not the one that was kept.
_CHANGED = 0.5


@dataclass
class CachedSequence:
    """A `HandSequence` whose frames are kept in a folder; same frames, in any order.

    folder: for all videos, made where it is missing. settings: arguments of `HandSequence`; seed,
    hands and frames are in the name, so a shorter video does not share the frames of a longer one
    (its hands leave earlier).
    """

    folder: Path
    settings: dict[str, Any]
    _sequence: HandSequence = field(init=False, repr=False)
    _place: Path = field(init=False, repr=False)
    _checked: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        self._sequence = HandSequence(**self.settings)
        parts = {**self.settings, 'edition': EDITION}
        name = '_'.join(f'{key}-{value}' for key, value in sorted(parts.items()))
        self._place = Path(self.folder) / name

    @property
    def camera_matrix(self) -> np.ndarray:
        """K of the videos' camera."""
        return self._sequence.camera_matrix

    @property
    def width(self) -> int:
        """Of a frame, px."""
        return self._sequence.width

    @property
    def height(self) -> int:
        """Of a frame, px."""
        return self._sequence.height

    def __len__(self) -> int:
        return len(self._sequence)

    def __iter__(self) -> Iterator[Frame]:
        for index in range(len(self)):
            yield self.frame(index)

    def frame(self, index: int) -> Frame:
        """A frame from the folder, or rendered and kept there."""
        if not self._checked:
            self._check()
        path = self._path(index)
        if path.exists():
            return _read(path)
        self._place.mkdir(parents=True, exist_ok=True)
        frame = self._sequence.frame(index)
        _write(path, frame)
        # What is used is what was kept, whether or not it has been kept before.
        return _read(path)

    def _check(self) -> None:
        """Empty the folder if the renderer makes other frames by now."""
        self._checked = True
        kept = sorted(self._place.glob('*.npz'))
        if not kept:
            return
        sample = kept[len(kept) // 2]
        now = self._sequence.frame(int(sample.stem)).image
        before = _read(sample).image
        if now.shape != before.shape or float(cv2.absdiff(now, before).mean()) > _CHANGED:
            shutil.rmtree(self._place)

    def _path(self, index: int) -> Path:
        return self._place / f'{index:05d}.npz'


def _write(path: Path, frame: Frame) -> None:
    values: dict[str, Any] = {
        'image': _packed(frame.image), 'time': frame.time, 'count': len(frame.hands)}
    if frame.depth is not None:
        steps = np.where(np.isfinite(frame.depth), frame.depth / _DEPTH_STEP, 0)
        values['depth'] = _packed(np.rint(np.minimum(steps, 65535)).astype(np.uint16))
    for number, hand in enumerate(frame.hands):
        for part in fields(HandTruth):
            value = getattr(hand, part.name)
            if value is not None:
                values[f'{number}.{part.name}'] = _packed(value) if part.name == 'mask' else value
    rough = path.with_suffix(f'.{os.getpid()}.part')
    with rough.open('wb') as stream:
        np.savez(stream, **values)
    rough.replace(path)


def _read(path: Path) -> Frame:
    with np.load(path) as values:
        hands = []
        for number in range(int(values['count'])):
            parts = {}
            for part in fields(HandTruth):
                key = f'{number}.{part.name}'
                value = values[key] if key in values else None
                if part.name == 'mask':
                    value = _unpacked(value)
                parts[part.name] = value.item() if value is not None and not value.ndim else value
            hands.append(HandTruth(**parts))
        depth = None
        if 'depth' in values:
            steps = _unpacked(values['depth'])
            depth = np.where(steps > 0, steps * np.float32(_DEPTH_STEP), np.inf)
            depth = depth.astype(np.float32)
        return Frame(_unpacked(values['image']), hands, float(values['time']), depth)


def _packed(picture: np.ndarray) -> np.ndarray:
    good, data = cv2.imencode('.png', picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not good:
        raise OSError(f'OpenCV cannot encode a picture of shape {picture.shape}')
    return data


def _unpacked(data: np.ndarray) -> np.ndarray:
    return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
