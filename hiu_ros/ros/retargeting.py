"""Keypoints in the wrist frame that dex-retargeting expects of a hand detector.

That project takes (21, 3) joints in metres, wrist at the origin, in an operator frame: z from the
wrist to the middle knuckle, x out of the palm, y = z cross x (to the thumb of a right hand, away
from the thumb of a left one). It gets there by a wrist frame estimated from the wrist and the
index and middle knuckles alone, followed by a fixed turn for each side. The same is done here,
so that its robot configurations work as they are: feed `operator_points` where its examples feed
the joints of their own detector.

The keypoint order (wrist, thumb, index, middle, ring, pinky) is ours already.
"""

from typing import Final

import numpy as np

from hiu_ros.hand.skeleton import KEYPOINT_COUNT, KEYPOINT_NAMES

_WRIST, _INDEX, _MIDDLE = (
    KEYPOINT_NAMES.index(name) for name in ('wrist', 'index_mcp', 'middle_mcp')
)
#: Turn from the estimated wrist frame (row vectors: p_operator = p_wrist @ TURN[side]).
TURN: Final = {
    'right': np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    'left': np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]),
}


def wrist_frame(points: np.ndarray) -> np.ndarray:
    """Axes (3, 3), as columns, of the wrist frame of keypoints (21, 3); MANO's convention.

    x from the middle knuckle to the wrist, y along the normal of the plane through wrist, index
    and middle knuckle, z = x cross y towards the index side. Raises ValueError where the three
    points lie on one line.
    """
    points = np.asarray(points, np.float64)
    if points.shape != (KEYPOINT_COUNT, 3):
        raise ValueError(f'points have shape {points.shape}, expected ({KEYPOINT_COUNT}, 3)')
    back = points[_WRIST] - points[_MIDDLE]
    towards_index = points[_INDEX] - points[_MIDDLE]
    normal = np.cross(towards_index, back)
    if np.linalg.norm(normal) < 1e-9 or not np.isfinite(normal).all():
        raise ValueError('wrist, index and middle knuckle do not span a plane')
    x = back / np.linalg.norm(back)
    y = normal / np.linalg.norm(normal)
    return np.stack([x, y, np.cross(x, y)], axis=1)


def operator_points(points: np.ndarray, side: str) -> np.ndarray:
    """Keypoints (21, 3) in any right-handed metric frame as dex-retargeting's input (21, 3).

    `side` is 'left' or 'right'. Raises ValueError for another side or degenerate points.
    """
    if side not in TURN:
        raise ValueError(f"side is {side!r}, expected 'left' or 'right'")
    frame = wrist_frame(points)
    relative = np.asarray(points, np.float64) - np.asarray(points, np.float64)[_WRIST]
    return (relative @ frame @ TURN[side]).astype(np.float32)


def operator_points_of(message: object) -> np.ndarray:
    """The same from a hiu_ros/HandKeypoints message; ValueError where its side is UNKNOWN."""
    sides = {message.LEFT: 'left', message.RIGHT: 'right'}
    points = np.asarray(message.points, np.float32).reshape(KEYPOINT_COUNT, 3)
    return operator_points(points, sides.get(message.side, 'unknown'))
