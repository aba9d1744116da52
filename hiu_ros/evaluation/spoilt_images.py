"""Images as they come of poor light, cameras and connections, to see what that does to scores."""

from collections.abc import Callable, Sequence
from typing import Final

import cv2
import numpy as np

from hiu_ros.data.camera_faults import as_jpeg, motion_line
from hiu_ros.evaluation.finding import Find
from hiu_ros.evaluation.predictor import Predict
from hiu_ros.geometry.camera import Camera
from hiu_ros.perception.result import Hand, Hands

#: Kinds of light: gains of blue, green and red, offset and deviation of the noise, grey values.
LIGHTS: Final = {
    'dim': ((0.4, 0.4, 0.4), 0.0, 6.0),
    'dark': ((0.15, 0.15, 0.15), 0.0, 1.0),
    'noisy': ((1.0, 1.0, 1.0), 0.0, 15.0),
    'flat': ((0.3, 0.3, 0.3), 110.0, 1.0),
    'tinted': ((1.2, 0.9, 0.5), 0.0, 1.0),
    'burnt': ((2.2, 2.2, 2.2), 0.0, 1.0),
    'grainy': ((1.0, 1.0, 1.0), 0.0, 40.0),
}
#: All kinds: also sent small and badly compressed, and moved while the shutter was open.
KINDS: Final = (*LIGHTS, 'sent', 'moved')
#: Longer side, px, and JPEG quality of images that are sent.
SENT_SIDE, SENT_QUALITY = 320, 10
#: Length of a motion over the longer side of the image.
MOVED = 1 / 30


def spoilt(image: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """An image (H, W, 3) uint8 BGR as it comes of one of `KINDS`; of the same size."""
    if kind == 'sent':
        return _sent(image)
    if kind == 'moved':
        return _moved(image, rng)
    gains, offset, deviation = LIGHTS[kind]
    picture = image.astype(np.float32) * np.float32(gains) + np.float32(offset)
    picture += deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def _sent(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    share = min(1.0, SENT_SIDE / max(height, width))
    size = max(1, round(width * share)), max(1, round(height * share))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(as_jpeg(small, SENT_QUALITY), (width, height))


def _moved(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    length = max(1, round(MOVED * max(image.shape[:2]))) | 1
    line = motion_line(length, rng.uniform(0, 180))
    return cv2.filter2D(image, -1, line, borderType=cv2.BORDER_REPLICATE)


def predict_in(kind: str, predict: Predict, seed: int = 0) -> Predict:
    """A `Predict` that is shown spoilt images."""
    rng = np.random.default_rng(seed)

    def poorly(
        images: Sequence[np.ndarray], boxes: Sequence[np.ndarray],
        cameras: Sequence[Camera | None] | None = None,
    ) -> list[Hand]:
        return predict([spoilt(image, kind, rng) for image in images], boxes, cameras)

    return poorly


def find_in(kind: str, find: Find, seed: int = 0) -> Callable[[np.ndarray], Hands]:
    """A `Find` that is shown spoilt images."""
    rng = np.random.default_rng(seed)
    return lambda image: find(spoilt(image, kind, rng))
