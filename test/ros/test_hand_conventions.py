"""The conventions of others: OpenXR's joints and the wrist frame of dex-retargeting."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hiu_ros.hand.skeleton import KEYPOINT_NAMES
from hiu_ros.hand.template import load_template
from hiu_ros.ros.openxr import (
    ESTIMATED,
    OPENXR_NAMES,
    OPENXR_WEIGHTS,
    docs_table,
    to_openxr,
)
from hiu_ros.ros.retargeting import operator_points, operator_points_of, wrist_frame


def rest(side):
    template = load_template('fast')
    points = np.concatenate([template.joints, template.tips])
    order = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
    points = points[order]
    return points * (-1, 1, 1) if side == 'left' else points


def test_openxr_has_26_joints_in_its_order():
    assert len(OPENXR_NAMES) == 26
    assert OPENXR_NAMES[:6] == (
        'palm', 'wrist', 'thumb_metacarpal', 'thumb_proximal', 'thumb_distal', 'thumb_tip')
    assert OPENXR_NAMES[6:11] == tuple(
        f'index_{joint}' for joint in ('metacarpal', 'proximal', 'intermediate', 'distal', 'tip'))
    assert OPENXR_NAMES[25] == 'little_tip'
    np.testing.assert_allclose(OPENXR_WEIGHTS.sum(1), 1.0)


def test_the_docs_show_the_table():
    text = (Path(__file__).parents[2] / 'docs' / 'ros.md').read_text()
    assert docs_table() in text


def test_all_keypoints_reach_openxr_and_the_rest_is_marked():
    points = rest('right')
    joints = dict(zip(OPENXR_NAMES, to_openxr(points)))
    np.testing.assert_allclose(joints['little_proximal'], points[17], atol=1e-6)
    np.testing.assert_allclose(joints['thumb_metacarpal'], points[1], atol=1e-6)
    assert set(OPENXR_NAMES) - set(ESTIMATED) == {
        name for name, row in zip(OPENXR_NAMES, OPENXR_WEIGHTS) if row.max() == 1.0}
    assert len(ESTIMATED) == 5 and len(set(OPENXR_NAMES) - set(ESTIMATED)) == len(KEYPOINT_NAMES)
    palm, knuckle = joints['palm'], joints['middle_proximal']
    assert 0.5 < np.linalg.norm(palm) / np.linalg.norm(knuckle) < 0.8


def test_openxr_axes_are_up_and_back():
    points = np.zeros((21, 3))
    points[0] = (1.0, 2.0, 3.0)
    assert to_openxr(points, turn_axes=True)[1].tolist() == [1.0, -2.0, -3.0]


def test_openxr_refuses_another_number_of_points():
    with pytest.raises(ValueError, match=r'\(20, 3\)'):
        to_openxr(np.zeros((20, 3)))


@pytest.mark.parametrize('side', ['left', 'right'])
def test_operator_frame_has_fingers_up_and_palm_along_x(side):
    turn = Rotation.from_rotvec((0.4, -1.1, 2.0))
    points = turn.apply(rest(side)) + (0.3, -0.2, 0.8)
    moved = operator_points(points, side)
    assert np.allclose(moved[0], 0.0)
    middle = moved[9] / np.linalg.norm(moved[9])
    assert middle[2] > 0.999
    # The thumb is on +y for a right and on -y for a left hand.
    assert np.sign(moved[5, 1]) == (1 if side == 'right' else -1)
    # Curling the fingers towards the palm moves them along +x.
    curled = rest(side).copy()
    curled[8] += (0.0, -0.05, 0.0)
    difference = operator_points(turn.apply(curled), side)[8] - operator_points(
        turn.apply(rest(side)), side)[8]
    assert difference[0] > 0.045
    there = operator_points(turn.apply(rest(side)), side)
    np.testing.assert_allclose(moved, there, atol=1e-5)
    distances = np.linalg.norm(moved - moved[0], axis=1)
    np.testing.assert_allclose(distances, np.linalg.norm(rest(side), axis=1), atol=1e-5)


def test_wrist_frame_is_a_rotation_and_refuses_a_line():
    frame = wrist_frame(rest('right'))
    np.testing.assert_allclose(frame.T @ frame, np.eye(3), atol=1e-9)
    assert np.linalg.det(frame) == pytest.approx(1.0)
    unseen = rest('right')
    unseen[5, 1] = np.nan
    for points in (np.zeros((21, 3)), unseen):
        with pytest.raises(ValueError, match='plane'):
            wrist_frame(points)
    with pytest.raises(ValueError, match=r'\(20, 3\)'):
        wrist_frame(rest('right')[:20])
    with pytest.raises(ValueError, match='side'):
        operator_points(rest('right'), 'unknown')


def message(points, side):
    return SimpleNamespace(LEFT=1, RIGHT=2, side={'left': 1, 'right': 2}[side],
                           points=points.astype(np.float32).ravel())


@pytest.mark.parametrize('side', ['left', 'right'])
def test_operator_points_come_from_a_message(side):
    points = rest(side)
    np.testing.assert_allclose(
        operator_points_of(message(points, side)), operator_points(points, side), atol=1e-6)


@pytest.mark.parametrize('side', ['left', 'right'])
def test_dex_retargetings_own_detector_gives_the_same(side):
    """Its example's rule: normal of the plane by SVD, z towards the index side, fixed turn."""
    pytest.importorskip('dex_retargeting')
    from dex_retargeting.constants import OPERATOR2MANO, HandType

    points = Rotation.from_rotvec((1.0, 0.2, -0.5)).apply(rest(side))
    turn = OPERATOR2MANO[HandType[side]]
    np.testing.assert_allclose(
        operator_points(points, side), (points - points[0]) @ wrist_frame(points) @ turn,
        atol=1e-6)
