"""Anatomical joint angles of a hand, and the rotations they stand for.

21 angles in degrees, right hand. Four fingers (index, middle, ring, pinky) have four each:
mcp, pip and dip flexion (towards the palm) and abduction (towards the thumb's side). The thumb has
five: cmc flexion (across the palm), cmc abduction (out of the palm's plane), cmc twist (pad turned
to the fingers), mcp and ip flexion. All zero is the rest pose of the hand model.
"""

import numpy as np

ANGLE_COUNT = 21
FINGERS = ('index', 'middle', 'ring', 'pinky')
MCP, PIP, DIP, ABDUCTION = range(4)
THUMB = slice(16, 21)

#: First joint of each finger in MANO order.
_FIRST_JOINT = {'index': 1, 'middle': 4, 'ring': 10, 'pinky': 7}
#: Directions of the straight fingers at rest, degrees towards the thumb.
_FAN = {'index': 7.0, 'middle': 0.0, 'ring': -7.0, 'pinky': -15.0}
#: Frame of the thumb at rest: flexion axis, out of the nail, along the bone.
_THUMB_FLEX = np.array([0.545, -0.838, 0.043])
_THUMB_NAIL = np.array([0.281, 0.231, 0.931])
_THUMB_BONE = np.array([-0.790, -0.490, 0.370])

#: Lowest and highest angle of each of the 21.
LIMITS = np.array(
    [[-25, 95], [-8, 112], [-12, 85], [-18, 24]]
    + [[-25, 95], [-8, 112], [-12, 85], [-18, 18]]
    + [[-25, 95], [-8, 112], [-12, 85], [-18, 18]]
    + [[-25, 98], [-8, 110], [-12, 85], [-24, 20]]
    + [[-28, 42], [-30, 38], [-12, 38], [-20, 62], [-25, 85]], dtype=np.float64)


def finger(name: str) -> slice:
    """Columns of one of the four fingers."""
    start = 4 * FINGERS.index(name)
    return slice(start, start + 4)


def clamp(angles: np.ndarray) -> np.ndarray:
    """Angles (..., 21) within the limits."""
    return np.clip(angles, LIMITS[:, 0], LIMITS[:, 1])


def axis_rotations(axis: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Rotation matrices (N, 3, 3) about one axis (3,) by angles (N,) (Rodrigues)."""
    axis = axis / np.linalg.norm(axis)
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    t = np.radians(degrees)[:, None, None]
    return np.eye(3) + np.sin(t) * k + (1 - np.cos(t)) * (k @ k)


def joint_rotations(angles: np.ndarray) -> np.ndarray:
    """Relative rotations (N, 16, 3, 3) in MANO order of angles (N, 21); the wrist is identity."""
    angles = np.atleast_2d(angles)
    out = np.broadcast_to(np.eye(3), (len(angles), 16, 3, 3)).copy()
    for name, joint in _FIRST_JOINT.items():
        mcp, pip, dip, abduction = angles[:, finger(name)].T
        fan = np.radians(_FAN[name])
        axis = np.array([np.sin(fan), 0.0, np.cos(fan)])
        # A flexed finger cannot be spread: the collateral ligaments are tight.
        loose = np.clip(1.15 - np.abs(mcp) / 80, 0.15, 1)
        spread = axis_rotations(np.array([0.0, 1.0, 0.0]), abduction * loose)
        out[:, joint] = spread @ axis_rotations(axis, mcp)
        out[:, joint + 1] = axis_rotations(axis, pip)
        out[:, joint + 2] = axis_rotations(axis, dip)
    flexion, abduction, twist, mcp, ip = angles[:, THUMB].T
    out[:, 13] = (axis_rotations(_THUMB_NAIL, abduction) @ axis_rotations(_THUMB_FLEX, flexion)
                  @ axis_rotations(-_THUMB_BONE, twist))
    out[:, 14] = axis_rotations(_THUMB_FLEX, mcp)
    out[:, 15] = axis_rotations(_THUMB_FLEX, ip)
    return out
