"""Nothing is built for a topic that nobody reads; counted at the node's own outputs."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from rclpy.context import Context  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from hiu_ros.perception.frame import Frame  # noqa: E402
from hiu_ros.perception.result import Hands  # noqa: E402
from hiu_ros.ros.outputs import Limit, Outputs  # noqa: E402
from hiu_ros.ros.parameters import NodeOptions  # noqa: E402
from hiu_ros.ros.topics import LATCHED, OUTPUTS  # noqa: E402

OPTIONS = NodeOptions(marker_rate=0.0, annotated_rate=0.0)
FRAME = Frame(np.zeros((480, 640, 3), np.uint8))


class Transforms:
    """As much of TransformSender as outputs use, with or without somebody who listens to TF."""

    def __init__(self):
        self.listener, self.sent = False, []

    def wanted(self):
        return self.listener

    def send(self, transforms):
        self.sent.append([t.child_frame_id for t in transforms])


@pytest.fixture
def world(domain, fake):
    """A node with outputs, and a node to read with."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node, reader = (rclpy.create_node(name, context=context) for name in ('node', 'reader'))
    engine = fake.FakeEngine(NodeOptions())
    engine.drawn = 0
    draw = engine.draw

    def counting(frame, hands):
        engine.drawn += 1
        return draw(frame, hands)

    engine.draw = counting
    yield Outputs(node, '', engine, Transforms()), reader, engine
    for one in (node, reader):
        one.destroy_node()
    rclpy.shutdown(context=context)


def spin(reader, wait_for, condition):
    """Let a node read until a condition holds."""
    executor = rclpy.executors.SingleThreadedExecutor(context=reader.context)
    executor.add_node(reader)
    assert wait_for(lambda: executor.spin_once(timeout_sec=0.1) or condition())
    executor.shutdown()


def test_without_readers_nothing_is_built(world, fake):
    outputs, _, engine = world
    for _ in range(5):
        outputs.publish(fake.make_hands(2), Header(), FRAME, OPTIONS)
    assert sum(outputs.built.values()) == 0 and engine.drawn == 0
    assert not outputs.observed(OPTIONS)


@pytest.mark.parametrize('topic', [topic for topic in OUTPUTS if topic not in LATCHED])
def test_only_what_is_read_is_built(world, fake, wait_for, topic):
    outputs, reader, engine = world
    reader.create_subscription(OUTPUTS[topic], topic, lambda message: None, 10)
    assert wait_for(lambda: outputs.wanted(topic))
    assert outputs.observed(OPTIONS)
    for _ in range(3):
        outputs.publish(fake.make_hands(2), Header(), FRAME, OPTIONS)
    assert outputs.built == {topic: 3}
    assert engine.drawn == (3 if topic == 'annotated' else 0)


def test_transforms_are_built_for_listeners_of_tf_alone(world, fake):
    outputs, _, _ = world
    transforms = outputs._transforms
    outputs.publish(fake.make_hands(2), Header(), FRAME, OPTIONS)
    assert transforms.sent == [] and not outputs.observed(OPTIONS)
    transforms.listener = True
    off = replace(OPTIONS, tf=False)
    outputs.publish(fake.make_hands(2), Header(), FRAME, off)
    assert transforms.sent == [] and not outputs.observed(off)
    assert outputs.observed(OPTIONS)
    outputs.publish(fake.make_hands(2), Header(), FRAME, OPTIONS)
    assert transforms.sent == [['hand_right_0', 'hand_left_1']]
    outputs.publish(fake.make_hands(1), Header(), FRAME, replace(OPTIONS, tf_joints=True))
    assert len(transforms.sent[1]) == 17 and outputs.built == {'tf': 2}


def test_a_controller_that_comes_later_does_not_wait_for_who_left_long_ago(
    world, fake, monkeypatch
):
    outputs, _, _ = world
    reading, states = {'hand_joint_states'}, []
    monkeypatch.setattr(outputs, 'wanted', reading.__contains__)
    monkeypatch.setitem(outputs._publishers, 'hand_joint_states',
                        SimpleNamespace(publish=states.append))
    options = replace(OPTIONS, max_misses=3)
    gone, here = (fake.make_hand(number, 'right') for number in (1, 2))
    for hands in ((gone, here), (here,)):
        outputs.publish(Hands(640, 480, hands), Header(), FRAME, options)
    reading.clear()
    for _ in range(10):
        outputs.publish(Hands(640, 480, (here,)), Header(), FRAME, options)
    reading.add('hand_joint_states')
    outputs.publish(Hands(640, 480, (here,)), Header(), FRAME, options)
    assert [len(state.name) for state in states] == [20, 0, 20]


def test_every_message_is_its_topics_own_and_has_the_header_of_the_image(world, fake, monkeypatch):
    outputs, _, engine = world
    monkeypatch.setattr(outputs, 'wanted', lambda topic: True)
    sent = {topic: [] for topic in OUTPUTS}
    for topic, received in sent.items():
        monkeypatch.setitem(outputs._publishers, topic, SimpleNamespace(publish=received.append))
    outputs._transforms = SimpleNamespace(
        wanted=lambda: True, send=lambda transforms: sent.update(tf=transforms))
    header = Header(frame_id='optical')
    header.stamp.sec = 12
    places = {'left': (-0.1, 0.0, 0.6), 'right': (0.2, 0.0, 0.7)}
    hands = Hands(640, 480, tuple(
        fake.make_hand(number, side, at) for number, (side, at) in enumerate(places.items())))
    outputs.publish(hands, header, FRAME, OPTIONS)
    stamped = [*sent['tf'], *sent['markers'][0].markers]
    stamped += [message for topic in set(OUTPUTS) - {*LATCHED, 'markers'}
                for message in sent[topic]]
    assert len(sent['tf']) == 2 and all(message.header == header for message in stamped)
    assert all(len(sent[topic]) == 1 for topic in OUTPUTS if topic not in LATCHED)
    assert [mesh.model for mesh in sent['meshes'][0].hands] == [engine.model] * 2
    for side, place in places.items():
        at = sent[f'wrist_pose/{side}'][0].pose.position
        assert (at.x, at.y, at.z) == pytest.approx(place)
    picture, = sent['annotated']
    assert picture.encoding == 'bgr8'
    assert bytes(picture.data) == engine.draw(FRAME, hands).tobytes()


def test_why_there_is_no_wrist_pose_is_told_once_and_to_its_readers_alone(
    world, fake, wait_for, monkeypatch
):
    outputs, reader, _ = world
    lines = []
    monkeypatch.setattr('hiu_ros.ros.outputs.UNPLACED', 0.0)
    outputs._node = SimpleNamespace(get_logger=lambda: SimpleNamespace(info=lines.append),
                                    resolve_topic_name=lambda topic: f'/robot/{topic}')
    for topic, told in (('hand_joint_states', 0), ('wrist_pose/left', 1)):
        reader.create_subscription(OUTPUTS[topic], topic, lambda message: None, 10)
        assert wait_for(lambda topic=topic: outputs.wanted(topic))
        for _ in range(2):
            outputs.publish(fake.make_hands(2, known=False), Header(), FRAME, OPTIONS)
        assert len(lines) == told
    assert '/robot/camera_info' in lines[0] and outputs.built == {'hand_joint_states': 4}


def test_nothing_is_told_of_wrist_poses_where_camera_info_comes_soon(
    world, fake, wait_for, monkeypatch
):
    """It often comes behind the first images, also where it is published as it should be."""
    outputs, reader, _ = world
    lines, now = [], [100.0]
    outputs._node = SimpleNamespace(get_logger=lambda: SimpleNamespace(info=lines.append),
                                    resolve_topic_name=lambda topic: f'/robot/{topic}')
    reader.create_subscription(OUTPUTS['wrist_pose/left'], 'wrist_pose/left', print, 10)
    assert wait_for(lambda: outputs.wanted('wrist_pose/left'))
    monkeypatch.setattr('hiu_ros.ros.outputs.time',
                        SimpleNamespace(monotonic=lambda: now[0]))
    for moment, known, told in ((100.0, False, 0), (100.9, False, 0), (101.0, True, 0),
                                (105.0, False, 0), (105.9, False, 0), (106.1, False, 1),
                                (109.0, False, 1)):
        now[0] = moment
        outputs.publish(fake.make_hands(2, known), Header(), FRAME, OPTIONS)
        assert len(lines) == told, moment


def test_two_cameras_do_not_share_frames_of_tf(world, fake):
    one, reader, engine = world
    transforms = Transforms()
    transforms.listener = True
    for camera in ('front', 'rear'):
        outputs = Outputs(reader, camera, engine, transforms)
        outputs.publish(fake.make_hands(1), Header(frame_id=camera), FRAME, OPTIONS)
        outputs.close()
    assert transforms.sent == [['hand_front_right_0'], ['hand_rear_right_0']]


def test_the_latched_topic_alone_does_not_keep_the_camera_busy(world, wait_for):
    outputs, reader, _ = world
    reader.create_subscription(OUTPUTS['topology'], 'topology', lambda message: None, 10)
    assert wait_for(lambda: outputs.wanted('topology'))
    assert not outputs.observed(OPTIONS)


def test_markers_and_annotated_images_keep_to_their_rate(world, fake, wait_for):
    outputs, reader, _ = world
    for topic in ('markers', 'annotated', 'hands'):
        reader.create_subscription(OUTPUTS[topic], topic, lambda message: None, 10)
        assert wait_for(lambda topic=topic: outputs.wanted(topic))
    slow = NodeOptions(marker_rate=0.01, annotated_rate=0.01)
    for _ in range(4):
        outputs.publish(fake.make_hands(1), Header(), FRAME, slow)
    assert outputs.built == {'hands': 4, 'markers': 1, 'annotated': 1}
    for changes in ({'marker_rate': 0.0}, {'annotated_rate': 0.0}, {'annotated_rate': 0.0}):
        outputs.publish(fake.make_hands(1), Header(), FRAME, replace(slow, **changes))
    assert outputs.built == {'hands': 7, 'markers': 2, 'annotated': 3}


def test_deletes_wait_for_the_next_markers_and_spare_who_is_back_by_then(world, fake, wait_for):
    outputs, reader, _ = world
    received = []
    reader.create_subscription(OUTPUTS['markers'], 'markers', received.append, 10)
    assert wait_for(lambda: outputs.wanted('markers'))
    outputs.publish(fake.make_hands(2), Header(), FRAME, OPTIONS)
    seldom = NodeOptions(marker_rate=0.001)
    outputs.publish(fake.make_hands(1), Header(), FRAME, seldom)
    outputs.publish(fake.make_hands(1), Header(), FRAME, OPTIONS)
    outputs.publish(fake.make_hands(0), Header(), FRAME, seldom)
    outputs.publish(fake.make_hands(1), Header(), FRAME, OPTIONS)

    spin(reader, wait_for, lambda: len(received) == 3)
    deleted = [{m.id for m in message.markers if m.action == m.DELETE} for message in received]
    assert deleted == [set(), {1}, set()]


def test_hands_that_left_before_anybody_read_markers_are_not_deleted(world, fake, wait_for):
    outputs, reader, _ = world
    for count in (3, 0):
        outputs.publish(fake.make_hands(count), Header(), FRAME, OPTIONS)
    received = []
    reader.create_subscription(OUTPUTS['markers'], 'markers', received.append, 10)
    assert wait_for(lambda: outputs.wanted('markers'))
    outputs.publish(fake.make_hands(1), Header(), FRAME, OPTIONS)
    spin(reader, wait_for, lambda: received)
    assert {marker.action for marker in received[0].markers} == {received[0].markers[0].ADD}


def test_markers_look_as_the_parameters_of_the_moment_say(world, fake, wait_for):
    outputs, reader, _ = world
    received = []
    reader.create_subscription(OUTPUTS['markers'], 'markers', received.append, 10)
    assert wait_for(lambda: outputs.wanted('markers'))
    for changes in ({'marker_lifetime': 2.5}, {'mesh_alpha': 0.25}, {'mesh_alpha': 0.0}, {},
                    {'mirrored_input': True}):
        outputs.publish(fake.make_hands(1, known=False), Header(), FRAME,
                        replace(OPTIONS, **changes))
    spin(reader, wait_for, lambda: len(received) == 5)
    long, pale, bare, usual, mirrored = (message.markers for message in received)
    joints = [next(m.points for m in markers if m.ns == 'joints') for markers in (usual, mirrored)]
    assert joints[0] != joints[1]
    assert {(m.lifetime.sec, m.lifetime.nanosec) for m in long} == {(2, 500_000_000)}
    assert {(m.lifetime.sec, m.lifetime.nanosec) for m in pale} == {(0, 500_000_000)}
    assert [m.color.a for m in pale if m.ns == 'mesh'] == [0.25]
    # The mesh of before is taken back: with marker_lifetime 0 a viewer would show it for ever.
    assert [m.action == m.DELETE for m in bare if m.ns == 'mesh'] == [True]


@pytest.mark.parametrize('seen', [True, False])
def test_a_farewell_takes_back_what_was_shown_under_the_last_header(world, fake, wait_for, seen):
    outputs, reader, _ = world
    received = {topic: [] for topic in OUTPUTS if topic not in LATCHED}
    for topic, messages in received.items():
        reader.create_subscription(OUTPUTS[topic], topic, messages.append, 10)
    assert wait_for(lambda: all(outputs.wanted(topic) for topic in received))
    header = Header(frame_id='camera')
    if seen:
        outputs.publish(fake.make_hands(1), header, FRAME, OPTIONS)
    outputs.close()
    fields = {'hands': 'hands', 'masks': 'hands', 'meshes': 'hands', 'points': 'data',
              'labels': 'data', 'hand_joint_states': 'name', 'markers': 'markers'}
    count = 2 if seen else 0
    spin(reader, wait_for, lambda: all(len(received[topic]) == count for topic in fields))
    assert reader.count_publishers('hands') == 0
    for topic in fields if seen else ():
        shown, last = (getattr(message, fields[topic]) for message in received[topic])
        if topic == 'markers':
            assert [m.action for m in last] == [last[0].DELETEALL]
            assert last[0].header == header
        elif topic == 'labels':
            assert any(shown) and not any(last) and len(last) == 640 * 480
            assert received[topic][1].header == header
        else:
            assert len(shown) and not len(last) and received[topic][1].header == header
    for message in (*received['hands'], *received['masks']):
        assert (message.image_width, message.image_height) == (640, 480)


def test_limit_lets_the_first_one_pass_and_then_no_more_than_its_rate(monkeypatch):
    times = iter((0.0, 0.05, 0.095, 0.15, 0.151))
    monkeypatch.setattr('hiu_ros.ros.outputs.time.monotonic', lambda: next(times))
    limit = Limit()
    assert [limit(10.0) for _ in range(4)] == [True, False, True, False] and limit(0.0)
