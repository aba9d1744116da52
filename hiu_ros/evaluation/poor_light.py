"""Images as they come out of poor light, to see what it does to the scores."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

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
}


def spoilt(image: np.ndarray, light: str, rng: np.random.Generator) -> np.ndarray:
    """An image (H, W, 3) uint8 BGR as a camera gives it in one of `LIGHTS`."""
    gains, offset, deviation = LIGHTS[light]
    picture = image.astype(np.float32) * np.float32(gains) + np.float32(offset)
    picture += deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def predict_in(light: str, predict: Predict, seed: int = 0) -> Predict:
    """A `Predict` that is shown images of poor light."""
    rng = np.random.default_rng(seed)

    def poorly(
        images: Sequence[np.ndarray], boxes: Sequence[np.ndarray],
        cameras: Sequence[Camera | None] | None = None,
    ) -> list[Hand]:
        return predict([spoilt(image, light, rng) for image in images], boxes, cameras)

    return poorly


def find_in(light: str, find: Find, seed: int = 0) -> Callable[[np.ndarray], Hands]:
    """A `Find` that is shown images of poor light."""
    rng = np.random.default_rng(seed)
    return lambda image: find(spoilt(image, light, rng))
