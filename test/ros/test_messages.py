"""Messages built from hands: values, order, buffers, and what an unknown distance looks like."""

import array
import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from hiu_ros.msg import HandKeypoints, HandMesh  # noqa: E402
from scipy.spatial.transform import Rotation  # noqa: E402
from sensor_msgs.msg import PointField  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from hiu_ros.hand.skeleton import JOINT_NAMES, KEYPOINT_NAMES  # noqa: E402
from hiu_ros.perception.masks import full_mask  # noqa: E402
from hiu_ros.perception.result import Hands, ScaleSource  # noqa: E402
from hiu_ros.ros import messages  # noqa: E402


@pytest.fixture
def header():
    header = Header(frame_id='camera_optical')
    header.stamp.sec, header.stamp.nanosec = 12, 345
    return header


def test_keypoint_constants_are_those_of_the_skeleton_table():
    for index, name in enumerate(KEYPOINT_NAMES):
        assert getattr(HandKeypoints, name.upper()) == index
    assert HandKeypoints.KEYPOINT_COUNT == len(KEYPOINT_NAMES)


def test_scale_sources_agree_with_the_result_type():
    for source in ScaleSource:
        assert getattr(HandKeypoints, source.name) == source.value
        assert getattr(HandMesh, source.name) == source.value


def test_keypoints_carry_every_value_of_a_hand(fake, header):
    hands = fake.make_hands(2)
    message = messages.keypoints(hands, header)
    assert message.header == header
    assert (message.image_width, message.image_height) == (640, 480)
    for entry, hand in zip(message.hands, hands):
        assert entry.id == hand.id
        assert entry.side == {'left': entry.LEFT, 'right': entry.RIGHT}[hand.side]
        scores = entry.side_confidence, entry.score, entry.residual_px
        assert scores == pytest.approx((hand.side_score, hand.score, hand.residual_px))
        np.testing.assert_allclose(entry.image_points, hand.keypoints_px.ravel())
        points = np.array(entry.points).reshape(21, 3)
        np.testing.assert_allclose(points, hand.keypoints_m + hand.translation_m, atol=1e-6)
        np.testing.assert_allclose(entry.confidence, hand.keypoint_scores)
        assert list(entry.valid) == list(hand.keypoints_valid)
        np.testing.assert_allclose(entry.box, hand.box)
        assert entry.scale_source == entry.CAMERA_INFO
        place = entry.translation.x, entry.translation.y, entry.translation.z
        assert place == pytest.approx(tuple(hand.translation_m))
        assert entry.wrist_pose.position == entry.translation
        assert entry.depth_stddev == pytest.approx(0.02)
        q = entry.wrist_pose.orientation
        turned = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
        np.testing.assert_allclose(turned, hand.wrist_rotation, atol=1e-6)


def test_unknown_distance_is_nan_and_points_are_relative_to_the_wrist(fake, header):
    hands = fake.make_hands(1, known=False)
    entry = messages.keypoints(hands, header).hands[0]
    for place in (entry.translation, entry.wrist_pose.position):
        assert np.isnan([place.x, place.y, place.z]).all()
    assert math.isnan(entry.depth_stddev) and entry.scale_source == entry.ASSUMED_SIZE
    np.testing.assert_allclose(np.array(entry.points).reshape(21, 3), hands.hands[0].keypoints_m)
    mesh = messages.meshes(hands, header, 'fake').hands[0]
    assert math.isnan(mesh.translation.z) and mesh.scale_source == mesh.ASSUMED_SIZE
    assert messages.points(hands, header).width == 0


@pytest.mark.parametrize('axis', [(0, 0, 0), (np.pi, 0, 0), (0, np.pi, 0), (0, 0, np.pi),
                                  (1, 2, -1), (-2.2, 2.2, 0), (2.6, 0.9, -0.6),
                                  (0.9, 2.6, -0.6), (-0.6, 0.9, 2.6)])
def test_quaternions_are_unit_and_turn_alike(axis):
    rotation = Rotation.from_rotvec(axis)
    q = messages.quaternion(rotation.as_matrix())
    assert math.hypot(q.x, q.y, q.z, q.w) == pytest.approx(1.0)
    assert q.w >= 0
    turned = Rotation.from_quat([q.x, q.y, q.z, q.w])
    assert (turned.inv() * rotation).magnitude() == pytest.approx(0.0, abs=1e-6)


def test_meshes_carry_every_value_of_a_hand(fake, header):
    hands = fake.make_hands(2)
    message = messages.meshes(hands, header, 'fake')
    assert message.header == header
    for mesh, hand in zip(message.hands, hands, strict=True):
        assert (mesh.id, mesh.side, mesh.model) == (hand.id, messages.SIDES[hand.side], 'fake')
        vertices = np.array(mesh.vertices).reshape(-1, 3)
        np.testing.assert_allclose(vertices, hand.vertices_m + hand.translation_m, atol=1e-6)
        assert mesh.translation == messages.point(hand.translation_m)
        assert np.array_equal(mesh.pose, hand.pose) and np.array_equal(mesh.shape, hand.shape)
        assert mesh.scale_source == mesh.CAMERA_INFO


def test_long_sequences_are_buffers(fake, header):
    hands = fake.make_hands(1)
    mesh = messages.meshes(hands, header, 'fake').hands[0]
    assert isinstance(mesh.vertices, array.array) and mesh.vertices.typecode == 'f'
    assert isinstance(messages.masks(hands, header).hands[0].mask.data, array.array)
    assert isinstance(messages.points(hands, header).data, array.array)


def test_masks_and_labels_agree(fake, header):
    hands = fake.make_hands(2)
    labels = messages.labels(hands, header)
    picture = np.array(labels.data).reshape(480, 640)
    array_message = messages.masks(hands, header)
    assert array_message.header == labels.header == header
    assert (array_message.image_width, array_message.image_height) == (640, 480)
    seen = np.zeros_like(picture)
    for number, entry in reversed(list(enumerate(array_message.hands, 1))):
        hand = hands.hands[number - 1]
        assert (entry.id, entry.side) == (hand.id, messages.SIDES[hand.side])
        region = entry.region
        mask = np.array(entry.mask.data).reshape(region.height, region.width)
        part = seen[region.y_offset :, region.x_offset :][: region.height, : region.width]
        part[mask > 0] = number
        assert (entry.mask.encoding, entry.mask.step) == ('mono8', region.width)
        assert entry.mask.header == header
    assert np.array_equal(picture, seen) and picture.max() == 2


@pytest.mark.parametrize('origin', [
    (-7, -5), (5, 3), (630, 470), (700, 0), (650, 0), (0, 490), (-35, 0), (0, -25)])
def test_masks_that_reach_beyond_the_image_are_cut(fake, header, origin):
    mask = np.random.default_rng(3).choice(np.array([0, 255], np.uint8), (20, 30))
    hand = replace(fake.make_hand(), mask=mask, mask_origin=origin)
    hands = type(fake.make_hands(0))(640, 480, (hand,))
    entry, full = messages.masks(hands, header).hands[0], full_mask(mask, origin, 640, 480)
    region = entry.region
    assert region.x_offset >= 0 and region.y_offset >= 0
    assert region.width == 0 or region.x_offset + region.width <= 640
    assert region.height == 0 or region.y_offset + region.height <= 480
    rows = slice(region.y_offset, region.y_offset + region.height)
    columns = slice(region.x_offset, region.x_offset + region.width)
    assert bytes(entry.mask.data) == full[rows, columns].tobytes()
    assert bytes(messages.labels(hands, header).data) == (full // 255).tobytes()


def test_a_label_is_where_a_mask_is_more_likely_than_not(fake, header):
    hand = replace(fake.make_hand(), mask=np.array([[0, 1, 127, 128, 255]], np.uint8),
                   mask_origin=(10, 20))
    labels = messages.labels(Hands(640, 480, (hand,)), header)
    assert list(np.array(labels.data).reshape(480, 640)[20, 10:15]) == [0, 0, 0, 1, 1]
    assert sum(labels.data) == 2


def test_where_two_masks_lie_on_each_other_the_first_hand_is_seen(fake, header):
    mask = np.full((20, 30), 255, np.uint8)
    hands = [replace(fake.make_hand(k), mask=mask, mask_origin=(x, 50))
             for k, x in ((1, 100), (2, 110))]
    labels = messages.labels(Hands(640, 480, tuple(hands)), header)
    row = np.array(labels.data).reshape(480, 640)[55, 95:145]
    assert row.tolist() == [0] * 5 + [1] * 30 + [2] * 10 + [0] * 5


def test_a_point_has_its_three_numbers_in_their_order():
    place = messages.point(np.array([0.1, -0.2, 0.7]))
    assert (place.x, place.y, place.z) == (0.1, -0.2, 0.7)


def test_topology_mirrors_the_triangles_for_the_left_hand(fake):
    message = messages.topology('fake', fake.COUNT, fake.TRIANGLES)
    right = np.array(message.triangles_right).reshape(-1, 3)
    left = np.array(message.triangles_left).reshape(-1, 3)
    assert np.array_equal(right, fake.TRIANGLES)
    # The other way around, so that they face outwards on the mirrored hand, too.
    assert np.array_equal(left, right[:, ::-1])
    assert list(message.joint_parents[:3]) == [-1, 0, 1]
    assert list(message.bones[:2]) == [1, 0]
    assert (message.model, message.vertex_count) == ('fake', fake.COUNT)
    assert message.joint_names == list(JOINT_NAMES)
    assert message.keypoint_names == list(KEYPOINT_NAMES)


def test_a_colour_image_has_three_bytes_a_pixel(header):
    pixels = np.arange(2 * 5 * 3, dtype=np.uint8).reshape(2, 5, 3)
    message = messages.image(header, pixels[:, ::-1], 'bgr8')
    assert (message.height, message.width, message.step, message.encoding) == (2, 5, 15, 'bgr8')
    assert message.header == header
    assert bytes(message.data) == pixels[:, ::-1].tobytes()


def test_points_are_the_vertices_with_number_and_colour(fake, header):
    hands = Hands(640, 480, (fake.make_hand(4), fake.make_hand(9, 'left')))
    message = messages.points(hands, header)
    kinds = {PointField.FLOAT32: '<f4', PointField.UINT32: '<u4'}
    assert [(f.name, f.offset, kinds[f.datatype], f.count) for f in message.fields] == [
        ('x', 0, '<f4', 1), ('y', 4, '<f4', 1), ('z', 8, '<f4', 1), ('id', 12, '<u4', 1),
        ('rgb', 16, '<u4', 1)]
    cloud = np.frombuffer(message.data, messages.POINT)
    assert message.header == header and message.width == len(cloud) == 2 * fake.COUNT
    assert message.point_step == 20 and message.row_step == 20 * len(cloud) and message.height == 1
    assert message.is_dense and not message.is_bigendian
    assert list(np.unique(cloud['id'])) == [4, 9]
    hand = hands.hands[0]
    xyz = np.stack([cloud[k] for k in 'xyz'], 1)[: fake.COUNT]
    np.testing.assert_allclose(xyz, hand.vertices_m + hand.translation_m, atol=1e-6)
    red, green, blue = (round(255 * c) for c in messages.colour(4))
    assert cloud['rgb'][0] == red * 65536 + green * 256 + blue


def test_eight_hands_can_be_told_apart_by_their_colours():
    colours = np.array([messages.colour(number) for number in range(1, 9)])
    assert (colours >= 0).all() and (colours <= 1).all()
    apart = np.linalg.norm(colours[:, None] - colours, axis=-1) + np.eye(8)
    assert apart.min() > 0.2
    assert messages.colour(9) == messages.colour(1)


def test_points_have_the_bytes_of_sensor_msgs_py(fake, header):
    point_cloud2 = pytest.importorskip('sensor_msgs_py.point_cloud2')
    message = messages.points(fake.make_hands(2), header)
    cloud = np.frombuffer(message.data, messages.POINT)
    theirs = point_cloud2.create_cloud(header, message.fields, cloud)
    assert bytes(theirs.data) == bytes(message.data)
    assert (theirs.point_step, theirs.row_step) == (message.point_step, message.row_step)
