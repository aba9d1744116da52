"""Other hands painted over in the picture of one hand, so that it is not taken for them.

Where two hands cross, a network that is shown both puts the joints of one on the other, and the
next crop follows them there. The tracker knows where the other hand is: its outline is filled
with the colour of what is around, but for what may be of the hand that is looked for.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from hiu_ros.hand.skeleton import BONES

#: Bones, and lines across the palm, between keypoints.
_LINES = (*BONES, (5, 9), (9, 13), (13, 17), (1, 5), (2, 5), (1, 9))
#: Width of the lines over the length of the palm, and the shortest palm over a hand's size.
_WIDTH, _PALM = 0.30, 0.5


def outline(keypoints: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width) uint8, 255 where a hand with these keypoints (21, 2) px lies, roughly."""
    picture = np.zeros((height, width), np.uint8)
    _draw(picture, keypoints)
    return picture


def _draw(picture: np.ndarray, keypoints: np.ndarray) -> None:
    size = float(np.ptp(keypoints, axis=0).max())
    palm = max(float(np.linalg.norm(keypoints[9] - keypoints[0])), _PALM * size)
    thick = int(np.clip(round(_WIDTH * palm), 1, 255))
    # OpenCV draws within 16 bits only.
    points = np.clip(np.rint(keypoints), -9999, 9999).astype(int)
    for a, b in _LINES:
        cv2.line(picture, points[a].tolist(), points[b].tolist(), 255, thick)


def covered(
    picture: np.ndarray, own: np.ndarray | None, others: Sequence[np.ndarray]
) -> np.ndarray:
    """The picture (n, n, 3) uint8 without the other hands; itself where there are none.

    own: keypoints (21, 2) in pixels of the picture of the hand that is looked for, where they are
    known: what lies near them stays. others: those of the others.
    """
    height, width = picture.shape[:2]
    hidden = np.zeros((height, width), np.uint8)
    for points in others:
        if (points.max(axis=0) > 0).all() and (points.min(axis=0) < [width, height]).all():
            _draw(hidden, points)
    kept = np.zeros((height, width), np.uint8)
    if own is not None:
        _draw(kept, own)
    hidden[kept > 0] = 0
    # Some thousand pixels tell the colour as well as all of a large image.
    step = max(1, max(height, width) // 100)
    around = (hidden | kept)[::step, ::step] == 0
    if not hidden.any() or not around.any():
        return picture
    colour = np.median(picture[::step, ::step][around], axis=0)
    result = picture.copy()
    result[hidden > 0] = colour
    return result
