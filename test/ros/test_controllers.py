"""Joint states, wrist poses and transforms: which hand, which names, what without a distance."""

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from scipy.spatial.transform import Rotation  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from hiu_ros.perception.result import Hands  # noqa: E402
from hiu_ros.ros import controllers  # noqa: E402
from hiu_ros.ros.joint_angles import ANGLE_NAMES, joint_angles  # noqa: E402
from hiu_ros.ros.topics import OVERRIDES  # noqa: E402
from hiu_ros.ros.transforms import TransformSender  # noqa: E402

HEADER = Header(frame_id='camera')


def scored(fake, number, side, score):
    hand = fake.make_hand(number, side)
    object.__setattr__(hand, 'score', score)
    return hand


def test_one_hand_a_side_is_chosen_and_kept(fake):
    chosen = controllers.Chosen()
    first, better = scored(fake, 1, 'right', 0.6), scored(fake, 2, 'right', 0.9)
    assert chosen(Hands(640, 480, (first,)), 0)['right'].id == 'right_1'
    assert chosen(Hands(640, 480, (better, first)), 0)['right'].id == 'right_1'
    assert chosen(Hands(640, 480, (better,)), 0)['right'].id == 'right_2'
    left = scored(fake, 3, 'left', 0.5)
    assert set(chosen(Hands(640, 480, (better, left)), 0)) == {'left', 'right'}
    fresh = controllers.Chosen()
    assert fresh(Hands(640, 480, (first, better)), 0)['right'].id == 'right_2'


def test_a_bystander_does_not_take_over_where_the_hand_is_missed_for_a_while(fake):
    chosen = controllers.Chosen()
    mine, other, left = (scored(fake, number, side, 0.8) for number, side in (
        (1, 'right'), (2, 'right'), (3, 'left')))

    def followed(*hands):
        return {side: hand.id for side, hand in chosen(Hands(640, 480, hands), 3).items()}

    assert followed(mine) == {'right': 'right_1'}
    assert followed(mine, other, left) == {'right': 'right_1', 'left': 'left_3'}
    assert followed(other, left) == {'left': 'left_3'}
    assert followed() == {}
    assert followed(other) == {}
    assert followed(other, mine) == {'right': 'right_1'}
    assert [followed(other) for _ in range(4)] == [{}, {}, {}, {'right': 'right_2'}]


def test_a_hand_that_came_since_may_be_the_missed_one_and_is_followed_at_once(fake):
    chosen = controllers.Chosen()
    mine, other, again = (scored(fake, number, 'right', score) for number, score in (
        (1, 0.8), (2, 0.9), (3, 0.5)))
    chosen(Hands(640, 480, (mine,)), 60)
    chosen(Hands(640, 480, (mine, other)), 60)
    assert chosen(Hands(640, 480, (other, again)), 60)['right'].id == 'right_3'
    # Who was beside it stays another hand, however many more come and go.
    for number in range(4, 40):
        crowd = (again, other, scored(fake, number, 'right', 0.9))
        assert chosen(Hands(640, 480, crowd), 60)['right'].id == 'right_3'
    assert chosen(Hands(640, 480, (other,)), 60) == {}


def test_the_hand_of_before_is_followed_at_once_where_the_one_that_came_since_is_gone(fake):
    chosen = controllers.Chosen()
    before, since = scored(fake, 1, 'right', 0.8), scored(fake, 2, 'right', 0.8)
    for hands in ((before,), (since,), (before,)):
        assert chosen(Hands(640, 480, hands), 60)['right'] is hands[0]


def test_who_is_seen_beside_a_hand_is_remembered_however_many_come_and_go(fake):
    for last in range(10, 45):
        chosen = controllers.Chosen()
        mine, other = scored(fake, 1, 'right', 0.8), scored(fake, 2, 'right', 0.9)
        chosen(Hands(640, 480, (mine,)), 60)
        for number in range(10, last):
            passing = scored(fake, number, 'right', 0.9)
            assert chosen(Hands(640, 480, (mine, other, passing)), 60)['right'] is mine
        assert last == 10 or chosen(Hands(640, 480, (other,)), 60) == {}


def test_joint_states_are_named_by_side_and_angle(fake):
    chosen = controllers.Chosen()(fake.make_hands(2), 60)
    message = controllers.joint_states(chosen, HEADER)
    assert message.header is HEADER
    assert message.name[:2] == ['left_thumb_cmc_flexion', 'left_thumb_cmc_abduction']
    assert len(message.name) == 2 * len(ANGLE_NAMES) == 40
    start = message.name.index(f'right_{ANGLE_NAMES[0]}')
    np.testing.assert_allclose(
        message.position[start : start + 20], joint_angles(chosen['right']))
    empty = controllers.joint_states({}, HEADER)
    assert empty.name == [] and len(empty.position) == 0


def test_wrist_pose_is_there_with_a_distance_only(fake):
    message = controllers.wrist_pose(fake.make_hand(at=(0.1, 0.2, 0.7)), HEADER)
    assert (message.header, message.pose.position.z) == (HEADER, pytest.approx(0.7))
    assert controllers.wrist_pose(fake.make_hand(at=None), HEADER) is None


def test_transforms_agree_with_the_hand_and_its_pose(fake):
    hand = fake.make_hand(at=(0.1, -0.2, 0.6), turn=(0.2, -0.4, 1.0))
    hands = Hands(640, 480, (fake.make_hand(2, at=None), hand))
    result = controllers.transforms(hands, HEADER, 'hand_', joints=True)
    frames = {t.child_frame_id: t for t in result}
    assert len(frames) == len(result) == 17
    assert all(t.header is HEADER for t in result)
    wrist = frames['hand_right_1']
    pose = controllers.wrist_pose(hand, HEADER).pose
    assert wrist.transform.rotation == pose.orientation
    at = wrist.transform.translation
    assert (at.x, at.y, at.z) == pytest.approx((0.1, -0.2, 0.6))
    assert (at.x, at.y, at.z) == (pose.position.x, pose.position.y, pose.position.z)
    knuckle = frames['hand_right_1_index1'].transform
    place = hand.keypoints_m[5] + hand.translation_m
    assert knuckle.translation.z == pytest.approx(place[2], abs=1e-6)
    q = knuckle.rotation
    turn = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_rotvec()
    np.testing.assert_allclose(turn, (0.2, -0.4, 1.0), atol=1e-6)
    assert [t.child_frame_id for t in controllers.transforms(hands, HEADER, 'h_')] == [
        'h_right_1']


def test_the_frame_of_a_joint_turns_with_all_joints_before_it(fake):
    pose = np.random.default_rng(5).normal(0, 0.4, (16, 3))
    hand = replace(fake.make_hand(), pose=pose.ravel())
    frames = {t.child_frame_id: t.transform for t in controllers.transforms(
        Hands(640, 480, (hand,)), HEADER, '', joints=True)}
    turns = Rotation.from_rotvec(pose)
    for finger, first, knuckle in (('index', 1, 5), ('pinky', 7, 17), ('thumb', 13, 1)):
        turn = turns[0]
        for k in range(3):
            frame, turn = frames[f'right_1_{finger}{k + 1}'], turn * turns[first + k]
            at, q = frame.translation, frame.rotation
            place = hand.keypoints_m[knuckle + k] + hand.translation_m
            assert (at.x, at.y, at.z) == pytest.approx(place, abs=1e-6)
            assert (turn.inv() * Rotation.from_quat([q.x, q.y, q.z, q.w])).magnitude() < 1e-6


class FakeNode:
    """As much of a node as TransformSender uses, and the publisher that it makes."""

    def __init__(self, readers):
        self.readers, self.lines, self.sent = readers, [], []

    def get_logger(self):
        return self

    def info(self, text):
        self.lines.append(text)

    warning = info

    def resolve_topic_name(self, topic):
        return topic

    def create_publisher(self, kind, topic, qos, qos_overriding_options):
        assert topic == '/tf' and qos.depth == 100 and qos_overriding_options is OVERRIDES
        return self

    def get_subscription_count(self):
        return self.readers

    def publish(self, message):
        self.sent.append(message)


def test_without_tf_there_is_one_line_and_nothing_happens(fake, monkeypatch):
    for name in ('tf2_msgs', 'tf2_msgs.msg'):
        monkeypatch.setitem(sys.modules, name, None)
    node = FakeNode(1)
    sender = TransformSender(node)
    assert not sender.available and not sender.wanted()
    sender.send(controllers.transforms(fake.make_hands(1), HEADER, 'hand_'))
    assert node.lines == ['no TF: tf2_msgs is not installed']


def test_tf_is_sent_where_its_messages_are_and_wanted_by_readers_only(fake, monkeypatch):
    module = ModuleType('tf2_msgs.msg')
    module.TFMessage = lambda transforms: transforms
    monkeypatch.setitem(sys.modules, 'tf2_msgs', ModuleType('tf2_msgs'))
    monkeypatch.setitem(sys.modules, 'tf2_msgs.msg', module)
    assert not TransformSender(FakeNode(0)).wanted()
    node = FakeNode(1)
    sender = TransformSender(node)
    assert sender.available and sender.wanted()
    sender.send(controllers.transforms(fake.make_hands(2), HEADER, 'hand_'))
    sender.send([])
    assert [len(transforms) for transforms in node.sent] == [2]


def test_no_tf_is_sent_without_a_parent_and_that_is_told_once(fake, monkeypatch):
    module = ModuleType('tf2_msgs.msg')
    module.TFMessage = lambda transforms: transforms
    monkeypatch.setitem(sys.modules, 'tf2_msgs', ModuleType('tf2_msgs'))
    monkeypatch.setitem(sys.modules, 'tf2_msgs.msg', module)
    node = FakeNode(1)
    sender = TransformSender(node)
    for frame in ('', '/', 'camera', ''):
        sender.send(controllers.transforms(
            fake.make_hands(2), Header(frame_id=frame), 'hand_', joints=True))
    assert [{t.header.frame_id for t in sent} for sent in node.sent] == [{'camera'}]
    assert len(node.lines) == 1 and 'empty frame_id' in node.lines[0]


def test_tf_has_its_parameters_and_readers_where_a_robot_remaps_it(peer, wait_for, monkeypatch):
    import rclpy
    from visualization_msgs.msg import MarkerArray

    module = ModuleType('tf2_msgs.msg')
    # Any type that is installed: none is sent.
    module.TFMessage = MarkerArray
    monkeypatch.setitem(sys.modules, 'tf2_msgs', ModuleType('tf2_msgs'))
    monkeypatch.setitem(sys.modules, 'tf2_msgs.msg', module)
    node = rclpy.create_node('robot', context=peer.context, enable_rosout=False,
                             cli_args=['--ros-args', '-r', '/tf:=/robot/tf'])
    try:
        sender = TransformSender(node)
        for policy in ('reliability', 'durability', 'history', 'depth'):
            assert node.has_parameter(f'qos_overrides./robot/tf.publisher.{policy}')
        assert not sender.wanted()
        peer.listen('/robot/tf', MarkerArray)
        assert wait_for(sender.wanted)
    finally:
        node.destroy_node()
