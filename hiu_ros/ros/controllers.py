"""What controllers take: joint states, wrist poses and transforms, from `Hands`; pure functions.

A controller follows one left and one right hand. `Chosen` keeps to a hand, so that a second
person's hand does not take over where the first one is missed for some frames.
"""

import array

import numpy as np
from geometry_msgs.msg import PoseStamped, Transform, TransformStamped, Vector3
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from hiu_ros.hand.skeleton import JOINT_NAMES, KEYPOINT_NAMES, KEYPOINTS_FROM_JOINTS
from hiu_ros.perception.result import Hand, Hands
from hiu_ros.ros.joint_angles import ANGLE_NAMES, joint_angles, joint_frames
from hiu_ros.ros.messages import placed, point, quaternion

#: Hands seen beside a followed one that are remembered: more than can be in view.
REMEMBERED = 16


class Chosen:
    """Which left and which right hand is the controllers'; one per camera."""

    def __init__(self) -> None:
        self._followed: dict[str, str] = {}
        #: By side: frames that the followed hand was missed in, and who was seen beside it, those
        #: seen last at the end.
        self._missed: dict[str, int] = {}
        self._beside: dict[str, dict[str, None]] = {}

    def __call__(self, hands: Hands, patience: int) -> dict[str, Hand]:
        """Side -> hand, at most one a side: the one of before, else the one of the best score.

        Who was seen beside the one of before is another hand, and takes its place only once it was
        missed in more than `patience` frames; one that came since may be it, with a new id.
        """
        chosen = {}
        for side in ('left', 'right'):
            hand = self._of_side(side, [h for h in hands if h.side == side], patience)
            if hand is not None:
                chosen[side] = hand
        return chosen

    def _of_side(self, side: str, candidates: list[Hand], patience: int) -> Hand | None:
        beside = self._beside.setdefault(side, {})
        same = [hand for hand in candidates if hand.id == self._followed.get(side)]
        if not same:
            self._missed[side] = self._missed.get(side, 0) + 1
            free = candidates if self._missed[side] > patience else [
                hand for hand in candidates if hand.id not in beside]
            if not free:
                return None
            same = [max(free, key=lambda hand: hand.score)]
        self._followed[side], self._missed[side] = same[0].id, 0
        for hand in candidates:
            beside.pop(hand.id, None)
            if hand is not same[0]:
                beside[hand.id] = None
        for id_ in list(beside)[:-REMEMBERED]:
            del beside[id_]
        return same[0]


def joint_states(chosen: dict[str, Hand], header: Header) -> JointState:
    """The `hand_joint_states` topic: `left_index_mcp_flexion` and so on, rad, 20 a side.

    Names are those of ANGLE_NAMES behind the side. Without a hand the message is empty.
    """
    names = [f'{side}_{name}' for side in chosen for name in ANGLE_NAMES]
    values = [joint_angles(hand) for hand in chosen.values()]
    position = array.array('d', np.concatenate(values).tobytes() if values else b'')
    return JointState(header=header, name=names, position=position)


def wrist_pose(hand: Hand, header: Header) -> PoseStamped | None:
    """A `wrist_pose/<side>` topic; None while the hand's distance is unknown."""
    if hand.translation_m is None:
        return None
    message = PoseStamped(header=header)
    message.pose.position = point(hand.translation_m)
    message.pose.orientation = quaternion(hand.wrist_rotation)
    return message


def transforms(
    hands: Hands, header: Header, prefix: str, joints: bool = False
) -> list[TransformStamped]:
    """TF of every hand whose place is known: `<prefix><id>`, the wrist frame in the image's frame.

    With `joints` also `<prefix><id>_<joint>` for the 16 joints of HandTopology, parented to the
    image's frame, too, with the axes of the hand model's joint.
    """
    result = []
    for hand in hands:
        if hand.translation_m is None:
            continue
        name = f'{prefix}{hand.id}'
        result.append(_transform(header, name, hand.translation_m, hand.wrist_rotation))
        if not joints:
            continue
        places = placed(hand, hand.keypoints_m)
        rotations, _ = joint_frames(hand.pose)
        for keypoint in range(len(KEYPOINT_NAMES)):
            joint = KEYPOINTS_FROM_JOINTS[keypoint]
            if joint < len(JOINT_NAMES):
                child = f'{name}_{JOINT_NAMES[joint]}'
                result.append(_transform(header, child, places[keypoint], rotations[joint]))
    return result


def _transform(
    header: Header, child: str, position: np.ndarray, rotation: np.ndarray
) -> TransformStamped:
    x, y, z = (float(value) for value in position)
    return TransformStamped(
        header=header, child_frame_id=child,
        transform=Transform(
            translation=Vector3(x=x, y=y, z=z), rotation=quaternion(rotation)
        ),
    )
