"""Light, blur, noise and compression for whole frames: as `augment.photometric`, on bytes."""

import cv2
import numpy as np

from hiu_ros.data.camera_faults import as_jpeg
from hiu_ros.training.augment import motion_blur

Rng = np.random.Generator
_LEVELS = np.arange(256, dtype=np.float32) / 255
_GREY = np.array([0.114, 0.587, 0.299])
_POOL = 512
#: Noise is kept as whole numbers of this many to one standard deviation.
_UNIT = 32


class Weather:
    """Changes the look of frames (h, w, 3) uint8 BGR, h and w at most 384."""

    def __init__(self) -> None:
        noise = np.random.default_rng(7).standard_normal((_POOL, _POOL, 3), np.float32)
        self._noise = np.clip(noise * _UNIT, -127, 127).astype(np.int16)

    def __call__(self, image: np.ndarray, rng: Rng) -> np.ndarray:
        """The changed frame, a new array."""
        if rng.random() < 0.9:
            image = _light(image, rng)
        if rng.random() < 0.12:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        if rng.random() < 0.12:
            image = _ramp(image, rng)
        if rng.random() < 0.2:
            image = _blur(image, rng)
        if rng.random() < 0.2:
            image = _coarse(image, rng)
        if rng.random() < 0.3:
            height, width = image.shape[:2]
            y, x = rng.integers(0, _POOL - height + 1), rng.integers(0, _POOL - width + 1)
            noise = self._noise[y:y + height, x:x + width]
            if rng.random() < 0.5:
                noise = noise[..., :1]
            sigma = rng.uniform(1, 9) if rng.random() < 0.8 else rng.uniform(9, 25)
            strength = int(sigma * 256 / _UNIT)
            image = np.clip(image + ((noise * strength) >> 8), 0, 255).astype(np.uint8)
        if rng.random() < 0.2:
            image = as_jpeg(image, int(rng.integers(6, 90)))
        return image


def _light(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Saturation and white balance as one matrix, contrast and gamma as one table."""
    colour = np.exp(rng.normal(0, 0.3))
    mix = colour * np.eye(3) + (1 - colour) * _GREY
    gains = np.exp(rng.normal(0, 0.09, 3))
    image = cv2.transform(image, (mix * gains[:, None]).astype(np.float32))
    gain = np.exp(rng.normal(-0.05, 0.22))
    if rng.random() < 0.08:
        gain *= rng.uniform(0.2, 0.6)
    middle = float(image[::8, ::8].mean()) / 255
    levels = (middle + (_LEVELS - middle) * np.exp(rng.normal(0, 0.2))) * gain
    levels += rng.normal(0, 8) / 255
    if rng.random() < 0.4:
        levels = np.clip(levels, 0, 1) ** np.exp(rng.normal(0, 0.3))
    return cv2.LUT(image, np.clip(255 * levels, 0, 255).astype(np.uint8))


def _ramp(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Light that falls off to one side."""
    height, width = image.shape[:2]
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5)
    ramp = (np.sin(angle) * np.linspace(-1, 1, height, dtype=np.float32)[:, None]
            + np.cos(angle) * np.linspace(-1, 1, width, dtype=np.float32))
    factor = np.clip(128 * (1 + depth * ramp), 0, 255).astype(np.uint8)
    return cv2.multiply(image, cv2.merge([factor] * 3), scale=1 / 128)


def _blur(image: np.ndarray, rng: Rng) -> np.ndarray:
    if rng.random() < 0.6:
        most = 1.5 if rng.random() < 0.7 else 3.5
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, most))
    return motion_blur(image, rng, 16)


def _coarse(image: np.ndarray, rng: Rng) -> np.ndarray:
    height, width = image.shape[:2]
    share = rng.uniform(0.2, 0.8)
    small = cv2.resize(image, (max(8, int(width * share)), max(8, int(height * share))),
                       interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
