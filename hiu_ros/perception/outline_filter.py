"""The mask of a hand brought to the edges of the image that it was seen in.

A guided filter (He, Sun, Tang 2013, TPAMI 35(6), equations 19 to 21; its fast form, arXiv
1505.00996): the mask is told anew as a linear function of the colours around each pixel, which
bends where they do. Where the colours tell nothing the mask is left as it is.
"""

from typing import Final

import cv2
import numpy as np

#: Pixels of the mask around one that its function is fitted to, to each side.
_RADIUS: Final = 2
#: Variance of colours, of 0 to 1, that is taken for noise.
_NOISE: Final = 1e-3
#: Times that the picture is as fine as the mask.
FINER: Final = 2


def along_edges(mask: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Probabilities (2n, 2n) float32 of a mask (n, n), as fine as the picture (2n, 2n, 3) uint8
    that it is of. They may lie a little outside 0 to 1."""
    n, size = len(mask), picture.shape[1::-1]
    small = cv2.resize(picture, (n, n), interpolation=cv2.INTER_AREA)
    colours = [colour.astype(np.float32) / 255 for colour in cv2.split(small)]
    mask = np.ascontiguousarray(mask, dtype=np.float32)
    means, middle = [_mean(colour) for colour in colours], _mean(mask)
    together = [_mean(c * mask) - m * middle for c, m in zip(colours, means)]
    alone = [_mean(c * c) - m * m for c, m in zip(colours, means)]
    crossed = [_mean(colours[i] * colours[j]) - means[i] * means[j]
               for i, j in ((1, 2), (2, 0), (0, 1))]
    slopes = _solved([a + _NOISE for a in alone], crossed, together)
    rest = _mean(middle - sum(s * m for s, m in zip(slopes, means)))
    # Plain colours tell nothing, and what then is left are means, which make fingers thin.
    plain = 3 * _NOISE / (sum(alone).clip(0) + 3 * _NOISE)
    answer = _enlarged(rest + plain * (mask - _mean(middle)), size)
    for slope, colour in zip(slopes, cv2.split(picture)):
        answer += cv2.multiply(_enlarged(_mean(slope), size), colour, scale=1 / 255,
                               dtype=cv2.CV_32F)
    return answer


def _mean(values: np.ndarray) -> np.ndarray:
    """Means of the pixels around each, (n, n)."""
    side = 2 * _RADIUS + 1
    return cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT)


def _enlarged(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)


def _solved(alone: list[np.ndarray], crossed: list[np.ndarray], right: list[np.ndarray]
            ) -> list[np.ndarray]:
    """The three x of S x = right by Cramer's rule, all (n, n).

    alone: the entries 00, 11, 22 of the symmetric S; crossed: 12, 02, 01.
    """
    (a, b, c), (f, e, d), (x, y, z) = alone, crossed, right
    bc, ce, cd = b * c - f * f, e * f - d * c, d * f - b * e
    ac, af, ab = a * c - e * e, d * e - a * f, a * b - d * d
    share = 1 / (a * bc + d * ce + e * cd)
    return [(bc * x + ce * y + cd * z) * share, (ce * x + ac * y + af * z) * share,
            (cd * x + af * y + ab * z) * share]
