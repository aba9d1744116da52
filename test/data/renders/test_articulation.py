import numpy as np
import pytest
import torch

from hiu_ros.data.renders.articulation import (
    ANGLE_COUNT,
    DIP,
    FINGERS,
    LIMITS,
    MCP,
    PIP,
    THUMB,
    clamp,
    finger,
    joint_rotations,
)
from hiu_ros.data.renders.gestures import GESTURES
from hiu_ros.hand.model import HandModel, load_template

TIPS = {'thumb': 4, 'index': 8, 'middle': 12, 'ring': 16, 'pinky': 20}


@pytest.fixture(scope='module')
def model():
    return HandModel(load_template('fast'))


def keypoints(model, angles):
    rotations = torch.from_numpy(joint_rotations(np.atleast_2d(angles))).float()
    return model.keypoints(rotations, torch.zeros(len(rotations), 10)).numpy()


def test_zero_angles_are_the_rest_pose():
    assert np.allclose(joint_rotations(np.zeros(ANGLE_COUNT)), np.eye(3))


def test_results_are_rotations():
    rng = np.random.default_rng(0)
    angles = rng.uniform(LIMITS[:, 0], LIMITS[:, 1], (20, ANGLE_COUNT))
    rotations = joint_rotations(angles)
    assert np.allclose(rotations @ rotations.swapaxes(-1, -2), np.eye(3), atol=1e-9)
    assert np.allclose(np.linalg.det(rotations), 1)


@pytest.mark.parametrize('name', FINGERS)
@pytest.mark.parametrize('joint', [MCP, PIP, DIP])
def test_flexion_moves_a_tip_to_the_palm_side_and_leaves_the_others(model, name, joint):
    angles = np.zeros(ANGLE_COUNT)
    angles[finger(name)][joint] = 40
    moved = keypoints(model, angles)[0] - keypoints(model, np.zeros(ANGLE_COUNT))[0]
    assert moved[TIPS[name], 1] < -0.008
    others = [tip for finger_name, tip in TIPS.items() if finger_name != name]
    assert np.allclose(moved[others], 0, atol=1e-6)


@pytest.mark.parametrize('name', FINGERS)
def test_abduction_moves_a_tip_to_the_thumb_side(model, name):
    angles = np.zeros(ANGLE_COUNT)
    angles[finger(name)][3] = 10
    moved = keypoints(model, angles)[0] - keypoints(model, np.zeros(ANGLE_COUNT))[0]
    assert moved[TIPS[name], 2] > 0.005


def test_thumb_flexion_crosses_the_palm_and_abduction_leaves_its_plane(model):
    rest = keypoints(model, np.zeros(ANGLE_COUNT))[0, 4]
    for column, axis, sign in ((0, 2, -1), (1, 1, -1), (3, 2, -1), (4, 2, -1)):
        angles = np.zeros(ANGLE_COUNT)
        angles[THUMB][column] = 20
        assert sign * (keypoints(model, angles)[0, 4] - rest)[axis] > 0.003, column


def test_clamp_keeps_the_limits():
    wild = np.full((2, ANGLE_COUNT), 500.0)
    assert np.array_equal(clamp(wild)[0], LIMITS[:, 1])
    assert np.array_equal(clamp(-wild)[1], LIMITS[:, 0])


def test_gestures_are_within_the_limits():
    assert len(GESTURES) > 50
    for name, angles in GESTURES.items():
        assert np.array_equal(clamp(angles), angles), name


def test_gestures_are_what_their_names_say(model):
    points = {name: keypoints(model, angles)[0] for name, angles in GESTURES.items()}

    def reach(name, tip):
        return np.linalg.norm(points[name][TIPS[tip]] - points[name][0])

    for name in ('fist', 'thumb_up', 'letter_a'):
        assert all(reach(name, tip) < 0.11 for tip in FINGERS), name
    assert reach('point', 'index') > 0.17 and reach('point', 'middle') < 0.11
    assert reach('victory', 'middle') > 0.17 and reach('victory', 'ring') < 0.11
    for name in ('pinch', 'ok', 'letter_f', 'pinch_closed'):
        assert np.linalg.norm(points[name][4] - points[name][8]) < 0.022, name
    crossed = points['crossed']
    # The index tip has gone over to the middle finger's other side.
    assert crossed[8, 2] < crossed[12, 2]
