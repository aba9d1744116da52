"""The node process over DDS: every output topic, for images with and without hands."""

import math

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from sensor_msgs.msg import CameraInfo  # noqa: E402

from hiu_ros.ros.topics import LATCHED, OUTPUTS  # noqa: E402


@pytest.fixture(scope='module')
def node(spawn_shared):
    node = spawn_shared(parameters={'marker_rate': 0.0, 'annotated_rate': 0.0})
    assert node.wait_log('fake on fake')
    return node


def listen_to_all(peer):
    for topic in OUTPUTS:
        peer.listen(topic, latched=topic in LATCHED)


def camera_info(size=(160, 120), focal=125.0):
    k = [focal, 0.0, size[0] / 2, 0.0, focal, size[1] / 2, 0.0, 0.0, 1.0]
    return CameraInfo(width=size[0], height=size[1], k=k, distortion_model='plumb_bob',
                      d=[0.0] * 5)


def test_every_topic_carries_the_header_of_the_image(node, peer):
    listen_to_all(peer)
    for _ in range(10):
        peer.send(camera_info(), 'camera_info')
        if peer.ask(2).hands[0].scale_source == 1:
            break
    answers = peer.ask_all([topic for topic in OUTPUTS if topic not in LATCHED], 2)
    header = answers['hands'].header
    markers = answers['markers'].markers
    assert all(marker.header == header for marker in markers)
    assert all(marker.points for marker in markers if marker.type in (5, 7, 11))

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
        assert mask.mask.header == header
        assert len(mask.mask.data) == mask.region.width * mask.region.height > 0
        assert mask.region.x_offset + mask.region.width <= 160
    for mesh in answers['meshes'].hands:
        assert len(mesh.vertices) == 3 * 777 and np.isfinite(mesh.vertices).all()
        assert np.isfinite(mesh.pose).all() and np.isfinite(mesh.shape).all()
    labels = answers['labels']
    assert (labels.width, labels.height, labels.encoding) == (160, 120, 'mono8')
    assert set(np.unique(labels.data)) == {0, 1, 2}
    annotated = answers['annotated']
    assert (annotated.width, annotated.height, annotated.encoding) == (160, 120, 'bgr8')
    assert annotated.data[-1] == 2
    cloud = answers['points']
    assert cloud.width == 2 * 777 and len(cloud.data) == cloud.row_step * cloud.height
    joints = answers['hand_joint_states']
    assert len(joints.name) == len(set(joints.name)) == len(joints.position) == 40
    assert np.isfinite(joints.position).all()


def test_an_empty_image_gives_empty_arrays(node, peer):
    listen_to_all(peer)
    fields = {'hands': 'hands', 'masks': 'hands', 'meshes': 'hands', 'points': 'data',
              'hand_joint_states': 'name', 'labels': 'data', 'markers': 'markers'}
    peer.ask_all(fields, 1)
    answers = peer.ask_all(fields, 0)
    assert not any(answers.pop('labels').data)
    markers = answers.pop('markers').markers
    assert markers and all(marker.action != marker.ADD for marker in markers)
    for topic, message in answers.items():
        assert len(getattr(message, fields[topic])) == 0, topic
    header = answers['hands'].header
    for side in ('left', 'right'):
        assert all(m.header != header for m in peer.received[f'wrist_pose/{side}'])


def test_a_hand_has_a_place_as_soon_as_camera_info_comes_and_not_before(spawn, peer, wait_for):
    node = spawn(parameters={'cameras': "['plain']"})
    assert node.wait_log('fake on fake')
    kinds = {f'plain/{topic}': OUTPUTS[topic] for topic in ('hands', 'meshes', 'points',
                                                             'wrist_pose/right')}
    for topic, kind in kinds.items():
        peer.listen(topic, kind)

    def answered():
        """The answers to an image, once all readers are known."""
        image = peer.image(1)
        peer.send(image, 'plain/image')
        found = [peer.answer(image.header, f'plain/{topic}', timeout=1.0)
                 for topic in ('hands', 'meshes', 'points')]
        return all(found) and found

    answers = wait_for(answered)
    assert answers, node.log
    hand = answers[0].hands[0]
    assert hand.scale_source == hand.ASSUMED_SIZE
    assert math.isnan(hand.translation.z) and math.isnan(hand.wrist_pose.position.x)
    assert abs(hand.wrist_pose.orientation.w) <= 1.0 and np.isfinite(hand.points).all()
    assert list(hand.points[:3]) == [0.0, 0.0, 0.0]
    assert math.isnan(answers[1].hands[0].translation.x)
    assert answers[2].width == 0
    assert not peer.received['plain/wrist_pose/right']

    def told():
        """Whether the log says what is missing, as it does when that lasts."""
        peer.send(peer.image(1), 'plain/image')
        return 'publish camera_info on /plain/camera_info' in node.log

    assert wait_for(told, step=0.2)

    def placed():
        """Whether an image is answered with a place, now that the camera tells its own."""
        peer.send(camera_info(), 'plain/camera_info')
        image = peer.image(1)
        peer.send(image, 'plain/image')
        answer = peer.answer(image.header, 'plain/hands', timeout=1.0)
        return answer and answer.hands[0].scale_source == answer.hands[0].CAMERA_INFO and answer

    assert math.isfinite(wait_for(placed).hands[0].translation.z)
    assert wait_for(lambda: peer.received['plain/wrist_pose/right'])


def test_topology_reaches_a_late_reader(node, peer, wait_for):
    peer.listen('topology', latched=True)
    message = wait_for(lambda: peer.received['topology'])[0]
    assert message.vertex_count == 777
    left, right = (np.array(t).reshape(-1, 3) for t in (
        message.triangles_left, message.triangles_right))
    assert np.array_equal(left, right[:, ::-1])
    assert len(message.keypoint_names) == 21 and len(message.bones) == 40
