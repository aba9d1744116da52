"""Pictures as bad as robots still have to work with: far beyond what `augment` does to most."""

import cv2
import numpy as np

from hiu_ros.data.camera_faults import as_jpeg
from hiu_ros.training.augment import motion_blur

Rng = np.random.Generator
#: Pixels of the hand's crop side that the sizes below are for.
_SIDE = 128
#: Factors of light where the picture is burnt out, and how it is shared among the colours.
_BURNT, _TINT = (1.4, 2.6), 0.12
#: Deviation of light that spills, px; and the most that is blurred without shrinking.
_SPILL, _SMALL = 7.7, 8.0
#: Deviation of noise, levels of 255; and its grain, px.
_NOISE, _GRAIN = (12.0, 50.0), (1.0, 2.5)
#: JPEG qualities, and the side at which the picture is sent, px.
_QUALITY, _SENT = (3, 20), (72, 160)
#: Deviation of a lens out of focus, and most of the length of a motion, px.
_DEFOCUS, _MOTION = (2.0, 4.5), 26
#: Side of a picture of a far hand, px.
_FAR = (18, 44)


def harsh(image: np.ndarray, rng: Rng, side: float | None = None) -> np.ndarray:
    """(h, w, 3) uint8: a picture (h, w, 3) uint8, burnt out, noisy, badly sent, blurred or far.

    side: that of a hand's crop in it, px; None: the picture is one.
    """
    kinds = (_burnt_out, _noisy, _badly_sent, _unsharp, _far)
    unit = (len(image) if side is None else side) / _SIDE
    return kinds[rng.integers(len(kinds))](image, unit, rng)


def gloved(image: np.ndarray, mask: np.ndarray, rng: Rng) -> np.ndarray:
    """(n, n, 3) uint8: what lies in a hand's mask (n, n) uint8 in the colour of some glove.

    Light and folds remain; most colours have little saturation, as those of gloves have.
    """
    inside = cv2.compare(mask, 127, cv2.CMP_GT)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    mean = max(cv2.mean(grey, inside)[0], 8.0)
    value, saturation = rng.uniform(15, 245), rng.beta(1, 1.5)
    hue = rng.dirichlet(np.ones(3))
    colour = value * (1 - saturation + saturation * hue / hue.max())
    contrast = rng.uniform(0.4, 1.2)
    shade = (1 - contrast) + contrast * grey / mean
    return (colour * shade[..., None]).clip(0, 255).astype(np.uint8)


def _burnt_out(image: np.ndarray, unit: float, rng: Rng) -> np.ndarray:
    gain = rng.uniform(*_BURNT) * np.exp(rng.normal(0, _TINT, 3))
    bright = cv2.transform(image.astype(np.float32), np.diag(gain).astype(np.float32))
    if rng.random() < 0.5:
        # Light that spills out of what is too bright.
        spill = _smooth(np.maximum(bright - 255, 0), _SPILL * unit)
        bright += rng.uniform(0.2, 1.0) * spill
    return bright.clip(0, 255).astype(np.uint8)


def _noisy(image: np.ndarray, unit: float, rng: Rng) -> np.ndarray:
    h, w = image.shape[:2]
    grain = max(rng.uniform(*_GRAIN) * unit, 1.0)
    channels = 3 if rng.random() < 0.6 else 1
    cv2.setRNGSeed(int(rng.integers(2**31 - 1)))
    noise = cv2.randn(np.empty((max(2, round(h / grain)), max(2, round(w / grain)), channels),
                               np.float32), 0, 1)
    noise = cv2.resize(noise, (w, h), interpolation=cv2.INTER_LINEAR).reshape(h, w, channels)
    noise *= rng.uniform(*_NOISE) / max(float(noise.std()), 1e-6)
    return (image + noise).clip(0, 255).astype(np.uint8)


def _badly_sent(image: np.ndarray, unit: float, rng: Rng) -> np.ndarray:
    sent = _resized(image, rng.uniform(*_SENT) / (unit * _SIDE), cv2.INTER_AREA)
    return cv2.resize(as_jpeg(sent, int(rng.integers(*_QUALITY))), image.shape[1::-1])


def _unsharp(image: np.ndarray, unit: float, rng: Rng) -> np.ndarray:
    if rng.random() < 0.5:
        return _smooth(image, rng.uniform(*_DEFOCUS) * unit)
    return motion_blur(image, rng, max(4, int(_MOTION * unit)))


def _far(image: np.ndarray, unit: float, rng: Rng) -> np.ndarray:
    small = _resized(image, min(1.0, rng.uniform(*_FAR) / (unit * _SIDE)), cv2.INTER_AREA)
    way = cv2.INTER_LINEAR if rng.random() < 0.6 else cv2.INTER_CUBIC
    return cv2.resize(small, image.shape[1::-1], interpolation=way)


def _resized(image: np.ndarray, share: float, way: int) -> np.ndarray:
    size = [max(4, round(side * share)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=way)


def _smooth(image: np.ndarray, deviation: float) -> np.ndarray:
    """Gaussian blur; of a deviation of many pixels on a smaller picture, which is as good."""
    if deviation <= _SMALL:
        return cv2.GaussianBlur(image, (0, 0), max(deviation, 0.1))
    small = _resized(image, _SMALL / deviation, cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), _SMALL), image.shape[1::-1])
