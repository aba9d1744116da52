"""What poor light does to an image, taken back before the networks see it.

Cameras make dark, flat, tinted and noisy images of dark rooms, of which the networks have learned
from few; `docs/choices.md` has what was measured. Images of good light stay as they are, and
nothing changes by leaps from one frame of a video to the next.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

#: Grey value of the brightest parts (percentile) of an image that is bright enough; more would
#: bring out what a video's compression has left of dark parts. The largest gain.
_BRIGHT, _GAIN_MOST = 100.0, 6.0
#: How far the brightest parts are above the darkest, as a share of their value, and at the most.
_CONTRAST, _CONTRAST_MOST = 0.7, 100.0
_DARKEST, _BRIGHTEST = 1, 98
#: A colour's mean over that of all (geometric) from which on it is the light's, and how much is
#: taken back of it at the most.
_TINT, _UNTINTED_MOST = 1.2, 2.0
#: Deviation of noise, grey values, from which it is smoothed, and from which it is smoothed more;
#: deviation of the Gaussian between the two and at the most, pixels.
_NOISE_LEAST, _NOISE_MUCH = 2.5, 8.0
_SMOOTH, _SMOOTH_MOST, _SMOOTH_LEAST = 0.8, 1.6, 0.2
#: Logarithm of the gains' ratio of the colours at which a tint hides as much as noise does that is
#: smoothed by `_SMOOTH`.
_TINTED = 0.65
#: Pixels that are looked at to tell the light, about; blocks (rows, columns) of pixels to tell
#: the noise, and their side.
_LOOKED_AT, _BLOCKS, _BLOCK = 20_000, (5, 6), 32
#: Second differences along both axes, which a plane has none of; those of noise are 6 times as
#: large as itself (Immerkaer, "Fast Noise Variance Estimation", 1996).
_KERNEL = np.float32([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
#: Median of the absolute value of normal noise over its deviation.
_MEDIAN = 0.6745


@dataclass(frozen=True, eq=False)
class Corrected:
    """An image in good light, and 0..1 how much of it noise or a tint has taken for good."""

    image: np.ndarray  #: (H, W, 3) uint8 BGR
    lost: float


def in_good_light(image: np.ndarray) -> Corrected:
    """An image (H, W, 3) uint8 BGR brightened, freed of tint and smoothed as far as it needs.

    The image itself where it needs nothing. It is never written to.
    """
    gain, offset = levels(image)
    if not np.allclose(gain, 1.0, rtol=0, atol=1e-3):
        image = cv2.LUT(image, _curves(gain, offset))
    deviation = smoothing(noise(image))
    lost = deviation / _SMOOTH + float(np.log(gain.max() / gain.min())) / _TINTED
    if deviation > _SMOOTH_LEAST:
        image = cv2.GaussianBlur(image, (0, 0), deviation)
    return Corrected(image, min(lost, 1.0))


def levels(image: np.ndarray) -> tuple[np.ndarray, float]:
    """Gains (3,) of the colours, and an offset, that give an image the brightness it should have.

    All 1, and 0, where it has that.
    """
    step = math.ceil((image.shape[0] * image.shape[1] / _LOOKED_AT) ** 0.5)
    seen = image[::step, ::step].reshape(-1, 3).astype(np.float32)
    mean = seen.mean(0) + 1.0
    tint = mean / np.exp(np.log(mean).mean())
    white = np.clip(np.clip(tint, 1 / _TINT, _TINT) / tint, 1 / _UNTINTED_MOST, _UNTINTED_MOST)
    dark, bright = np.percentile((seen * white).max(1), [_DARKEST, _BRIGHTEST])
    lift = float(np.clip(_BRIGHT / max(bright, 1.0), 1.0, _GAIN_MOST))
    contrast = min(_CONTRAST * lift * bright, _CONTRAST_MOST)
    gain = float(np.clip(contrast / max(bright - dark, 1.0), lift, _GAIN_MOST))
    return gain * white, float((lift - gain) * bright)


def noise(image: np.ndarray) -> float:
    """Standard deviation of the noise of an image (H, W, 3) uint8, grey values of 0 to 255.

    0 for images of less than three rows or columns. What is black or white, where noise is cut
    off, does not count.
    """
    height, width = image.shape[:2]
    h, w = min(_BLOCK, height), min(_BLOCK, width)
    blocks = [image[y:y + h, x:x + w]
              for y in np.linspace(0, height - h, _BLOCKS[0]).astype(int)
              for x in np.linspace(0, width - w, _BLOCKS[1]).astype(int)]
    grey = cv2.cvtColor(np.concatenate(blocks), cv2.COLOR_BGR2GRAY)
    bent = np.abs(cv2.filter2D(grey, cv2.CV_32F, _KERNEL))
    grey, bent = (a.reshape(len(blocks), h, w)[:, 1:-1, 1:-1] for a in (grey, bent))
    bent = bent[(grey > 4) & (grey < 251)]
    return float(np.median(bent)) / (6 * _MEDIAN) if len(bent) else 0.0


def smoothing(deviation: float) -> float:
    """Deviation, pixels, of the Gaussian that suits noise of a deviation; 0 where none does."""
    some = (deviation - _NOISE_LEAST) / 2
    more = (deviation - _NOISE_MUCH) / 10
    return float(np.clip(some, 0, _SMOOTH) + np.clip(more, 0, _SMOOTH_MOST - _SMOOTH))


def _curves(gain: np.ndarray, offset: float) -> np.ndarray:
    """(1, 256, 3) uint8, what becomes of each value of each colour."""
    values = np.arange(256, dtype=np.float32)[:, None] * gain + offset
    return np.clip(np.round(values), 0, 255).astype(np.uint8)[None]
