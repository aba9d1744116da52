"""The frame of a wrist: one rule for both hands.

Origin: the wrist joint. x points from the wrist to the knuckle (metacarpophalangeal joint) of the
middle finger. z points out of the back of the hand, at a right angle to x. y = z x x completes a
right-handed frame, so y points to the thumb's side of a right hand and to the little finger's
side of a left hand.
"""

import numpy as np

from hiu_ros.hand.skeleton import KEYPOINT_NAMES

_WRIST = KEYPOINT_NAMES.index('wrist')
_INDEX = KEYPOINT_NAMES.index('index_mcp')
_MIDDLE = KEYPOINT_NAMES.index('middle_mcp')
_PINKY = KEYPOINT_NAMES.index('pinky_mcp')
#: Of the angle between index and little finger, from where it is no more than rounding.
_LEAST_SINE = 1e-4


def wrist_rotation(keypoints: np.ndarray, side: str) -> np.ndarray:
    """Rotations (..., 3, 3) from the wrist frame to the frame of keypoints (..., 21, 3).

    Columns are the axes x, y, z. side: 'left' or 'right', of all. The back of the hand is told
    from the knuckles of the index and the little finger. Where these joints fall on one line
    the result is NaN.
    """
    if side not in ('left', 'right'):
        raise ValueError(f"side must be 'left' or 'right', got {side!r}")
    points = np.asarray(keypoints, dtype=np.float64)
    wrist = points[..., _WRIST, :]
    pinky, middle, index = (_unit(points[..., k, :] - wrist) for k in (_PINKY, _MIDDLE, _INDEX))
    back = np.cross(pinky, index)
    if side == 'left':
        back = -back
    z = _unit(back - (back * middle).sum(-1, keepdims=True) * middle, least=_LEAST_SINE)
    x = np.where(np.isnan(z), np.nan, middle)
    return np.stack([x, np.cross(z, x), z], axis=-1)


def _unit(vector: np.ndarray, least: float = 1e-9) -> np.ndarray:
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(length > least, vector / length, np.nan)
