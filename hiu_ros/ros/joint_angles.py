"""Flexion and abduction angles of a hand, named and limited as controllers expect them.

The angles are read off the pose (rotations between bones), not off the places of keypoints, and
are zero on the flat hand. The bones' rest directions are recovered from the hand itself, so any
hand model with the 16 joints of the skeleton table will do. A left hand is mirrored first: equal
gestures of both sides give equal angles.
"""

from typing import Final

import numpy as np
from scipy.spatial.transform import Rotation

from hiu_ros.hand.skeleton import (
    FINGERS,
    JOINT_COUNT,
    JOINT_NAMES,
    JOINT_PARENTS,
    KEYPOINT_NAMES,
    KEYPOINTS_FROM_JOINTS,
)
from hiu_ros.perception.result import Hand

_THUMB_JOINTS = ('cmc', 'mcp', 'ip')
_FINGER_JOINTS = ('mcp', 'pip', 'dip')


def _limits() -> dict[str, tuple[float, float]]:
    limits = {
        'thumb_cmc_flexion': (-0.50, 0.90), 'thumb_cmc_abduction': (-0.60, 1.20),
        'thumb_mcp_flexion': (-0.35, 1.25), 'thumb_ip_flexion': (-0.50, 1.55),
    }
    for finger in FINGERS[1:]:
        limits[f'{finger}_mcp_flexion'] = (-0.60, 1.75)
        limits[f'{finger}_mcp_abduction'] = (-0.50, 0.50)
        limits[f'{finger}_pip_flexion'] = (-0.20, 2.05)
        limits[f'{finger}_dip_flexion'] = (-0.35, 1.50)
    return limits


#: Angle -> (lower, upper), rad: what a human hand reaches; angles are clipped to it.
LIMITS: Final = _limits()
#: The 20 angles of one hand, in the order of `joint_angles`.
ANGLE_NAMES: Final = tuple(LIMITS)

_KEYPOINT_OF_JOINT: Final = {joint: k for k, joint in enumerate(KEYPOINTS_FROM_JOINTS)}
#: The 15 finger joints, thumb first, and the keypoints that their bones begin at.
_JOINTS: Final = np.array([JOINT_NAMES.index(f'{finger}{k}') for finger in FINGERS
                           for k in (1, 2, 3)])
_STARTS: Final = np.array([_KEYPOINT_OF_JOINT[joint] for joint in _JOINTS])
_PINKY: Final = KEYPOINT_NAMES.index('pinky_mcp')
#: Sign of the abduction of each of these joints.
_OUTWARDS: Final = np.repeat(
    [-1.0 if finger in ('ring', 'pinky') else 1.0 for finger in FINGERS], 3)
_Z: Final = np.array([0.0, 0.0, 1.0])


def _places() -> np.ndarray:
    """Where each of ANGLE_NAMES stands among 15 flexions and, behind them, 15 abductions."""
    joints = [f'{finger}_{joint}' for finger in FINGERS
              for joint in (_THUMB_JOINTS if finger == 'thumb' else _FINGER_JOINTS)]
    names = [f'{joint}_{kind}' for kind in ('flexion', 'abduction') for joint in joints]
    return np.array([names.index(name) for name in ANGLE_NAMES])


_PLACES: Final = _places()
_LOWER, _UPPER = np.array(list(LIMITS.values())).T


def joint_frames(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations of the joints (16, 3, 3) into camera axes, and relative to their parents.

    `pose` holds (48,) or (16, 3) axis-angle, MANO joint order; the first is the whole hand's.
    """
    local = Rotation.from_rotvec(np.asarray(pose).reshape(JOINT_COUNT, 3)).as_matrix()
    frames = local.copy()
    for joint, parent in enumerate(JOINT_PARENTS):
        if parent >= 0:
            frames[joint] = frames[parent] @ local[joint]
    return frames, local


def joint_angles(hand: Hand) -> np.ndarray:
    """The angles (20,) of a hand, radians, in the order of ANGLE_NAMES, clipped to LIMITS.

    Flexion closes the hand; a bone turned by R from its rest direction f has flexion
    atan2(Rf . (a x f), Rf . f) and sideways angle asin(Rf . a), a the flexion axis. For a finger
    a is the z axis of the rest frame (thumb side); abduction is away from the middle finger, and
    to the thumb side for the middle finger itself. For the thumb a is square to the bone and to
    the way to the little finger's base, and abduction leaves the plane of the palm.
    """
    pose = hand.pose.reshape(JOINT_COUNT, 3).astype(np.float64)
    points = hand.keypoints_m.astype(np.float64)
    if hand.side == 'left':
        pose = pose * (1, -1, -1)
        points = points * (-1, 1, 1)
    frames, local = joint_frames(pose)
    # Every bone, and what moves with the palm, in the rest frame.
    bones = np.einsum('jba,jb->ja', frames[_JOINTS], points[_STARTS + 1] - points[_STARTS])
    thumb, pinky = (points[[_STARTS[0], _PINKY]] - points[0]) @ frames[0]
    across_palm = pinky - (thumb + bones[0])
    forward = _unit(bones)
    axis = _Z - forward * forward[:, 2:]
    axis[:3] = np.cross(forward[:3], across_palm)
    axis = _unit(axis)
    turned = np.einsum('jab,jb->ja', local[_JOINTS], forward)
    closing = np.cross(axis, forward)
    flexion = np.arctan2((turned * closing).sum(1), (turned * forward).sum(1))
    sideways = np.arcsin(np.clip((turned * axis).sum(1), -1, 1))
    angles = np.concatenate([flexion, _OUTWARDS * sideways])
    return np.clip(angles[_PLACES], _LOWER, _UPPER)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
