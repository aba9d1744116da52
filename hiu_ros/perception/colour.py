"""The colour of a hand, by which hands of different people and gloves are told apart."""

import cv2
import numpy as np

#: Probability from which on a pixel surely belongs to the hand, how many such pixels it takes, and
#: about how many, spread evenly, are looked at.
_SURE, _LEAST, _ENOUGH = 0.9, 30, 500
#: Weight of lightness, which changes with every turn of a hand, against that of a* and b*.
_LIGHTNESS = 0.25

#: The colour of what has none, as an empty mask.
UNKNOWN = np.full(3, np.nan)


def colour_of(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(3,) median CIE L*a*b* where a mask is sure, NaN where that is next to nothing.

    pixels: (n, n, 3) uint8 BGR. mask: (n, n) probability.
    """
    sure = np.flatnonzero(mask >= _SURE)
    if len(sure) < _LEAST:
        return UNKNOWN
    sample = pixels.reshape(-1, 3)[sure[::max(1, len(sure) // _ENOUGH)]]
    middle = np.median(sample, axis=0).astype(np.float32) / 255
    return cv2.cvtColor(middle.reshape(1, 1, 3), cv2.COLOR_BGR2LAB).reshape(3).astype(np.float64)


def colour_difference(a: np.ndarray, b: np.ndarray) -> float:
    """How unlike two colours (3,) are, in units of a* and b*; NaN where one is not known."""
    return float(np.linalg.norm((a - b) * [_LIGHTNESS, 1.0, 1.0]))
