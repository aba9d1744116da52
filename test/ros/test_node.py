"""The node process over DDS: every output topic, for images with and without hands."""

import math

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from sensor_msgs.msg import CameraInfo  # noqa: E402

from hiu_ros.ros.topics import LATCHED, OUTPUTS  # noqa: E402


@pytest.fixture(scope='module')
def node(spawn):
    node = spawn(parameters={'marker_rate': 0.0, 'annotated_rate': 0.0})
    assert node.wait_log('fake on fake')
    return node


def listen_to_all(peer):
    for topic in OUTPUTS:
        peer.listen(topic, latched=topic in LATCHED)


def camera_info(size=(640, 480), focal=500.0):
    k = [focal, 0.0, size[0] / 2, 0.0, focal, size[1] / 2, 0.0, 0.0, 1.0]
    return CameraInfo(width=size[0], height=size[1], k=k, distortion_model='plumb_bob',
                      d=[0.0] * 5)


def settled(peer, wait_for, topic, count=1):
    """Wait until the node's publisher of a topic and our reader know each other."""
    return wait_for(lambda: peer.node.count_publishers(topic) >= count)


def test_every_topic_carries_the_header_of_the_image(node, peer, wait_for):
    listen_to_all(peer)
    assert all(settled(peer, wait_for, topic) for topic in OUTPUTS)
    for _ in range(10):
        peer.send(camera_info(), 'camera_info')
        if peer.ask(2).hands[0].scale_source == 1:
            break
    image = peer.image(2)
    peer.send(image)
    answers = {}
    for topic in OUTPUTS:
        if topic not in LATCHED and topic != 'markers':
            answers[topic] = peer.answer(image.header, topic)
            assert answers[topic] is not None, topic
    markers = wait_for(lambda: next(
        (m for m in peer.received['markers'] if m.markers[0].header == image.header), None))
    assert all(marker.header == image.header for marker in markers.markers)
    assert all(marker.points for marker in markers.markers if marker.type in (5, 7, 11))

    hands = answers['hands'].hands
    assert [hand.id for hand in hands] == ['right_0', 'left_1']
    assert [hand.side for hand in hands] == [hands[0].RIGHT, hands[0].LEFT]
    for hand in hands:
        for name, length in (('image_points', 42), ('points', 63), ('confidence', 21)):
            values = np.array(getattr(hand, name))
            assert values.shape == (length,) and np.isfinite(values).all()
        assert len(hand.valid) == 21
        assert math.isfinite(hand.wrist_pose.position.z)
    for topic in ('masks', 'meshes'):
        assert [hand.id for hand in answers[topic].hands] == ['right_0', 'left_1']
    for mask in answers['masks'].hands:
        assert mask.mask.header == image.header
        assert len(mask.mask.data) == mask.region.width * mask.region.height > 0
        assert mask.region.x_offset + mask.region.width <= image.width
    for mesh in answers['meshes'].hands:
        assert len(mesh.vertices) == 3 * 777 and np.isfinite(mesh.vertices).all()
        assert np.isfinite(mesh.pose).all() and np.isfinite(mesh.shape).all()
    labels = answers['labels']
    assert (labels.width, labels.height, labels.encoding) == (640, 480, 'mono8')
    assert set(np.unique(labels.data)) == {0, 1, 2}
    annotated = answers['annotated']
    assert (annotated.width, annotated.height, annotated.encoding) == (640, 480, 'bgr8')
    assert annotated.data[-1] == 2
    cloud = answers['points']
    assert cloud.width == 2 * 777 and len(cloud.data) == cloud.row_step * cloud.height
    joints = answers['hand_joint_states']
    assert len(joints.name) == len(set(joints.name)) == len(joints.position) == 40
    assert np.isfinite(joints.position).all()


def test_an_empty_image_gives_empty_arrays(node, peer, wait_for):
    listen_to_all(peer)
    assert all(settled(peer, wait_for, topic) for topic in OUTPUTS)
    peer.ask(1)
    image = peer.image(0)
    peer.send(image)
    for topic, field in (('hands', 'hands'), ('masks', 'hands'), ('meshes', 'hands'),
                         ('points', 'data'), ('hand_joint_states', 'name')):
        message = peer.answer(image.header, topic)
        assert message is not None and len(getattr(message, field)) == 0, topic
    assert not any(peer.answer(image.header, 'labels').data)
    markers = wait_for(lambda: next(
        (m for m in peer.received['markers'] if m.markers[0].header == image.header), None))
    assert markers.markers and all(marker.action != marker.ADD for marker in markers.markers)
    for side in ('left', 'right'):
        assert all(m.header != image.header for m in peer.received[f'wrist_pose/{side}'])


def test_without_camera_info_the_place_is_nan_and_nothing_pretends_otherwise(
    spawn, peer, wait_for
):
    node = spawn(parameters={'cameras': "['plain']"})
    assert node.wait_log('fake on fake')
    kinds = {f'plain/{topic}': OUTPUTS[topic] for topic in ('hands', 'meshes', 'points',
                                                             'wrist_pose/right')}
    for topic, kind in kinds.items():
        peer.listen(topic, kind)
        assert settled(peer, wait_for, topic)
    for _ in range(20):
        image = peer.image(1)
        peer.send(image, 'plain/image')
        if answer := peer.answer(image.header, 'plain/hands', timeout=0.5):
            break
    hand = answer.hands[0]
    assert hand.scale_source == hand.ASSUMED_SIZE
    assert math.isnan(hand.translation.z) and math.isnan(hand.wrist_pose.position.x)
    assert abs(hand.wrist_pose.orientation.w) <= 1.0 and np.isfinite(hand.points).all()
    assert list(hand.points[:3]) == [0.0, 0.0, 0.0]
    assert math.isnan(peer.answer(image.header, 'plain/meshes').hands[0].translation.x)
    assert peer.answer(image.header, 'plain/points').width == 0
    assert not peer.received['plain/wrist_pose/right']
    node.end()


def test_topology_reaches_a_late_reader(node, peer, wait_for):
    peer.listen('topology', latched=True)
    message = wait_for(lambda: peer.received['topology'])[0]
    assert message.vertex_count == 777
    left, right = (np.array(t).reshape(-1, 3) for t in (
        message.triangles_left, message.triangles_right))
    assert np.array_equal(left, right[:, ::-1])
    assert len(message.keypoint_names) == 21 and len(message.bones) == 40
