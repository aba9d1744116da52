"""Pictures in order, of a video file or of image files, and a video file written from pictures."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hiu_ros.perception.image_file import read_image

#: Where nothing says how fast pictures follow each other, Hz.
USUAL_RATE = 30.0
#: Share of a video's duration from which on it counts as read to its end.
_WHOLE = 0.9


class SourceError(ValueError):
    """A source that is not there or cannot be read; the text says which and what would do."""


@dataclass(frozen=True)
class Picture:
    """One image (H, W, 3) uint8 BGR, seconds since the first, and its camera where known.

    `info` holds the fields of sensor_msgs/CameraInfo but for the header, see `pinhole`.
    """

    image: np.ndarray
    time: float
    info: Mapping[str, Any] | None = None


@dataclass
class Source:
    """Pictures in order; `count` is None where it is not known before the end.

    `unusable` counts what was skipped among them so far, and `fault` says what the last lacked.
    """

    name: str
    pictures: Iterator[Picture]
    rate: float = USUAL_RATE
    count: int | None = None
    live: bool = False
    unusable: int = 0
    fault: str = ''

    @property
    def skipped(self) -> str:
        """What was skipped so far, in words; empty where nothing was."""
        return f'{self.unusable} unusable images were skipped, the last: {self.fault}' if (
            self.unusable) else ''

    def skip(self, error: Exception) -> None:
        """Count something that no picture can be made of."""
        self.unusable += 1
        self.fault = str(error)


def open_video(path: Path) -> Source:
    """The pictures of a video file; SourceError where it is none that OpenCV can read.

    What is damaged ends it: pictures that should follow are counted as unusable.
    """
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise SourceError(f'{path} is not a video that OpenCV can read')
    rate = capture.get(cv2.CAP_PROP_FPS)
    rate = rate if 1.0 <= rate <= 1000.0 else USUAL_RATE
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    source = Source(path.name, iter(()), rate, count if count > 0 else None)

    def pictures() -> Iterator[Picture]:
        shown, seconds = 0, 0.0
        for picture in frames(capture, rate, _matrix_beside(path)):
            shown, seconds = shown + 1, 1e-3 * capture.get(cv2.CAP_PROP_POS_MSEC)
            yield picture
        # OpenCV takes a damage for the end. By time, since a count may be a guess.
        if shown and seconds + 1 / rate < _WHOLE * count / rate and shown < count:
            source.unusable += count - shown
            source.fault = (f'{path} could not be read beyond frame {shown} of about {count}; '
                            'it may be damaged')

    source.pictures = pictures()
    return source


def frames(
    capture: cv2.VideoCapture, rate: float | None, k: np.ndarray | None = None
) -> Iterator[Picture]:
    """The pictures of what is open, which is closed behind them.

    rate: Hz, None for a camera, whose pictures are of when they came. k: (3, 3), see `pinhole`.
    """
    index, begin = 0, None
    try:
        while True:
            ok, image = capture.read()
            if not ok:
                return
            now = time.monotonic()
            begin = now if begin is None else begin
            height, width = image.shape[:2]
            info = None if k is None else pinhole(width, height, k)
            yield Picture(image, index / rate if rate else now - begin, info)
            index += 1
    finally:
        capture.release()


def _matrix_beside(path: Path) -> np.ndarray | None:
    """K (3, 3) out of <video>.json, which rendered clips have beside them."""
    try:
        content = json.loads(path.with_suffix('.json').read_text(encoding='utf-8'))
        k = np.array(content['K'], dtype=float)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return k if k.shape == (3, 3) else None


def pinhole(width: int, height: int, k: np.ndarray) -> dict[str, Any]:
    """The `info` of a camera without distortion; k (3, 3)."""
    return {'width': width, 'height': height, 'distortion_model': 'plumb_bob', 'd': [0.0] * 5,
            'k': np.asarray(k, float).ravel().tolist()}


def open_images(path: Path, files: Sequence[Path]) -> Source:
    """Image files as pictures, 30 a second, under the name of `path`; others are skipped."""
    source = Source(path.name, iter(()), USUAL_RATE, len(files))

    def pictures() -> Iterator[Picture]:
        for index, file in enumerate(files):
            image = read_image(file)
            if image is None:
                source.skip(SourceError(f'{file} is not an image that OpenCV can read'))
            else:
                yield Picture(image, index / USUAL_RATE)

    source.pictures = pictures()
    return source


class Video:
    """A video file that begins with its first picture; mp4, or avi where OpenCV has no mp4."""

    def __init__(self, path: Path, rate: float) -> None:
        self.path = path
        # MPEG-4 counts time in 1/65535 s at best, and OpenCV takes three decimals.
        self._rate = rate if rate < 65 else round(rate, 1)
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def write(self, picture: np.ndarray) -> None:
        """Append a picture; one of another size than the first is fitted."""
        height, width = picture.shape[:2]
        if self._writer is None:
            # Codecs want even sides.
            self._size = (max(2, width - width % 2), max(2, height - height % 2))
            self._writer = self._open()
        if (width, height) != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        self._writer.write(picture)

    def _open(self) -> cv2.VideoWriter:
        for suffix, codec in (('.mp4', 'mp4v'), ('.avi', 'MJPG')):
            self.path = self.path.with_suffix(suffix)
            writer = cv2.VideoWriter(
                str(self.path), cv2.VideoWriter_fourcc(*codec), self._rate, self._size
            )
            if writer.isOpened():
                return writer
        raise OSError(f'OpenCV can write neither mp4 nor avi at {self.path.parent}')

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()
