"""Markers: never empty lists, numbers of the hands, DELETE for who left, shared points, cost."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('visualization_msgs')

from std_msgs.msg import Header  # noqa: E402
from visualization_msgs.msg import Marker  # noqa: E402

from hiu_ros.geometry.camera import Camera  # noqa: E402
from hiu_ros.perception.result import Hands  # noqa: E402
from hiu_ros.ros.markers import (  # noqa: E402
    NAMESPACES,
    HandMarkers,
    assumed_translation,
)
from hiu_ros.ros.messages import colour  # noqa: E402

HEADER = Header(frame_id='camera')


@pytest.fixture
def build(fake):
    markers = HandMarkers(fake.TRIANGLES, lifetime=1.25)

    def build(hands, left=()):
        return markers.build(hands, HEADER, left).markers

    return build


def places(marker):
    return np.array([(p.x, p.y, p.z) for p in marker.points])


def test_lists_hold_bones_joints_and_triangles_at_the_hand(fake, build):
    hands = fake.make_hands(2)
    markers = build(hands)
    assert len(markers) == 8
    for hand, number in zip(hands, (0, 1)):
        mine = {m.ns: m for m in markers if m.id == number}
        assert set(mine) == {'mesh', 'bones', 'joints', 'names'}
        keypoints = hand.keypoints_m + hand.translation_m
        np.testing.assert_allclose(places(mine['joints']), keypoints, atol=1e-6)
        np.testing.assert_allclose(places(mine['bones'])[:2], keypoints[[1, 0]], atol=1e-6)
        order = fake.TRIANGLES if hand.side == 'right' else fake.TRIANGLES[:, ::-1]
        vertices = hand.vertices_m + hand.translation_m
        np.testing.assert_allclose(places(mine['mesh']), vertices[order.ravel()], atol=1e-6)
        assert len(mine['mesh'].points) % 3 == 0 and len(mine['bones'].points) % 2 == 0
        assert mine['mesh'].lifetime.sec == 1 and mine['mesh'].lifetime.nanosec == 250_000_000
        assert all(m.header is HEADER and m.pose.orientation.w == 1.0 for m in mine.values())
        assert [mine[ns].type for ns in NAMESPACES] == [
            Marker.TRIANGLE_LIST, Marker.LINE_LIST, Marker.SPHERE_LIST, Marker.TEXT_VIEW_FACING]
        assert [mine[ns].color.a for ns in NAMESPACES] == pytest.approx([0.6, 1.0, 1.0, 1.0])
        assert [mine['mesh'].scale.x, mine['mesh'].scale.y, mine['mesh'].scale.z] == [1.0] * 3
        bone, ball = mine['bones'].scale, mine['joints'].scale
        # Metres: bones thinner than joints, which are round and smaller than a finger.
        assert 0.002 < bone.x < ball.x == ball.y == ball.z < 0.015
        assert bone.y == bone.z == 0.0 and 0.015 < mine['names'].scale.z < 0.04
        label, wrist = mine['names'], keypoints[0]
        assert label.text == hand.id
        # Below the wrist, as y points down, and near enough to be read as its name.
        assert 0.01 < label.pose.position.y - wrist[1] < 0.06
        assert (label.pose.position.x, label.pose.position.z) == pytest.approx(wrist[[0, 2]])
        hue = mine['bones'].color
        assert (hue.r, hue.g, hue.b) == pytest.approx(colour(number))
        for marker in mine.values():
            tinted = np.array([marker.color.r, marker.color.g, marker.color.b])
            assert (tinted >= colour(number)).all() and (tinted <= 1).all()


def test_points_are_the_same_objects_from_frame_to_frame(fake, build):
    first = build(fake.make_hands(1))[0].points
    second = build(fake.make_hands(1))[0].points
    assert first is second and len({id(p) for p in first}) <= fake.COUNT


def test_who_left_is_deleted_and_markers_have_the_numbers_of_the_ids(fake, build):
    both = fake.make_hands(2)
    build(both)
    stayed = Hands(640, 480, both.hands[1:])
    markers = build(stayed, {0})
    gone = [m for m in markers if m.action == Marker.DELETE]
    assert {(m.ns, m.id) for m in gone} == {(ns, 0) for ns in ('mesh', 'bones', 'joints', 'names')}
    assert {m.id for m in markers if m.action == Marker.ADD} == {1}
    assert all(m.action == Marker.ADD for m in build(stayed))
    new = Hands(640, 480, (fake.make_hand(5), *stayed.hands))
    assert {m.id for m in build(new)} == {5, 1}


def test_an_empty_frame_is_one_deleteall(fake, build):
    for _ in range(2):
        markers = build(fake.make_hands(0))
        assert [m.action for m in markers] == [Marker.DELETEALL]
        assert markers[0].header is HEADER


def test_no_marker_list_is_ever_empty(fake, build):
    rng = np.random.default_rng(2)
    for _ in range(20):
        markers = build(fake.make_hands(int(rng.integers(4)), known=bool(rng.integers(2))))
        assert markers
        for marker in markers:
            if marker.type in (Marker.LINE_LIST, Marker.SPHERE_LIST, Marker.TRIANGLE_LIST):
                assert marker.points or marker.action != Marker.ADD


def test_without_mesh_the_other_markers_stay(fake):
    markers = HandMarkers(fake.TRIANGLES, alpha=0.0)
    hands = fake.make_hands(1)
    built = markers.build(hands, HEADER).markers
    assert [m.ns for m in built] == ['bones', 'joints', 'names']


def test_a_mesh_that_is_no_longer_wanted_is_deleted_once(fake):
    markers = HandMarkers(fake.TRIANGLES, lifetime=0.0)
    hands, seen = Hands(640, 480, (fake.make_hand(3),)), []
    for markers.alpha in (0.6, 0.0, 0.0, 0.6, 0.0):
        built = markers.build(hands, HEADER).markers
        assert all(m.header is HEADER and m.id == 3 for m in built)
        seen.append([m.action for m in built if m.ns == 'mesh'])
    assert seen == [[Marker.ADD], [Marker.DELETE], [], [Marker.ADD], [Marker.DELETE]]


def test_a_hand_of_unknown_distance_is_drawn_in_line_with_its_image(fake, build):
    known, unknown = fake.make_hand(at=(0.05, 0.02, 0.7)), fake.make_hand(at=None)
    moved = Hands(640, 480, (unknown,))
    object.__setattr__(unknown, 'keypoints_px', known.keypoints_px)
    place = assumed_translation(unknown, 640, 480)
    # The picture was taken with f = 500, it is drawn as with the focal length that is assumed.
    focal = 0.9 * 640
    np.testing.assert_allclose(place, (0.05, 0.02, 0.7 * focal / 500), atol=0.02)
    markers = {m.ns: m for m in build(moved)}
    assert markers['names'].text == 'right_1 (distance assumed)'
    np.testing.assert_allclose(places(markers['joints'])[0], place, atol=1e-5)
    vertices = unknown.vertices_m[fake.TRIANGLES.ravel()] + place
    np.testing.assert_allclose(places(markers['mesh']), vertices, atol=1e-5)


@pytest.mark.parametrize('mirrored', [False, True])
def test_the_place_of_a_hand_seen_by_the_assumed_camera_is_its_true_one(fake, mirrored):
    hand, place = fake.make_hand(at=None, turn=(0.9, -0.6, 0.4)), np.array([0.06, -0.04, 0.7])
    pixels = Camera.assumed(640, 400).project(hand.keypoints_m + place)
    if mirrored:
        pixels = pixels * (-1, 1) + (639, 0)
    seen = replace(hand, keypoints_px=pixels)
    np.testing.assert_allclose(assumed_translation(seen, 640, 400, mirrored), place, atol=1e-6)


def test_a_hand_of_unknown_distance_in_a_mirrored_image_is_drawn_where_it_is_in_the_world(fake):
    hand = fake.make_hand(at=None)
    expected = assumed_translation(hand, 640, 480)
    mirrored = replace(hand, keypoints_px=hand.keypoints_px * (-1, 1) + (639, 0))
    markers = HandMarkers(fake.TRIANGLES)
    markers.mirrored = True
    built = {m.ns: m for m in markers.build(Hands(640, 480, (mirrored,)), HEADER).markers}
    np.testing.assert_allclose(places(built['joints'])[0], expected, atol=1e-5)
    assert expected[2] > 0.55  # not the place of hands that fit none


def test_a_hand_that_fits_no_place_ahead_is_drawn_half_a_metre_away(fake):
    hand = fake.make_hand(at=None)
    # Upside down and mirrored, as only a hand behind the camera would be seen.
    object.__setattr__(hand, 'keypoints_px', np.array([639, 479]) - hand.keypoints_px)
    assert assumed_translation(hand, 640, 480).tolist() == [0.0, 0.0, 0.5]
