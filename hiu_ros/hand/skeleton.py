"""The one table of a hand's keypoints, joints and bones.

Keypoints follow the FreiHAND order (wrist, thumb to pinky, base to tip), joints the MANO order
(wrist, index, middle, pinky, ring, thumb; three each). `HandKeypoints.msg` repeats the keypoint
indices as constants; a test compares both.
"""

from typing import Final

FINGERS: Final = ('thumb', 'index', 'middle', 'ring', 'pinky')

KEYPOINT_NAMES: Final = (
    'wrist',
    'thumb_cmc', 'thumb_mcp', 'thumb_ip', 'thumb_tip',
    'index_mcp', 'index_pip', 'index_dip', 'index_tip',
    'middle_mcp', 'middle_pip', 'middle_dip', 'middle_tip',
    'ring_mcp', 'ring_pip', 'ring_dip', 'ring_tip',
    'pinky_mcp', 'pinky_pip', 'pinky_dip', 'pinky_tip',
)
KEYPOINT_COUNT: Final = len(KEYPOINT_NAMES)

#: (child, parent) keypoints of the 20 bones, finger by finger from base to tip.
BONES: Final = tuple(
    (4 * finger + k, 0 if k == 1 else 4 * finger + k - 1)
    for finger in range(5)
    for k in range(1, 5)
)
BONE_NAMES: Final = tuple(KEYPOINT_NAMES[child] for child, _ in BONES)

JOINT_NAMES: Final = (
    'wrist',
    'index1', 'index2', 'index3',
    'middle1', 'middle2', 'middle3',
    'pinky1', 'pinky2', 'pinky3',
    'ring1', 'ring2', 'ring3',
    'thumb1', 'thumb2', 'thumb3',
)
JOINT_COUNT: Final = len(JOINT_NAMES)
#: Parent joint of each MANO joint; the wrist has none (-1).
JOINT_PARENTS: Final = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)

#: Keypoint k is this row of [16 joints; tips of thumb, index, middle, ring, pinky].
KEYPOINTS_FROM_JOINTS: Final = (
    0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20,
)
TIP_KEYPOINTS: Final = (4, 8, 12, 16, 20)

SHAPE_COUNT: Final = 10
POSE_COUNT: Final = 3 * JOINT_COUNT
