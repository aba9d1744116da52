"""Joint angles of known poses, the same for both sides and wherever the hand is turned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.rotations import axis_angle_to_matrix
from hiu_ros.hand.model import HandModel
from hiu_ros.hand.skeleton import JOINT_NAMES
from hiu_ros.hand.template import load_template
from hiu_ros.perception.result import Hand
from hiu_ros.ros.joint_angles import ANGLE_NAMES, LIMITS, joint_angles, joint_frames

MODEL = HandModel(load_template('fast'))


def hand(turns=None, side='right', whole=(0.0, 0.0, 0.0)):
    """A hand whose joints (by name) are turned by rotation vectors of the right hand."""
    pose = np.zeros((16, 3), np.float32)
    pose[0] = whole
    for name, turn in (turns or {}).items():
        pose[JOINT_NAMES.index(name)] = turn
    points = MODEL.keypoints(
        axis_angle_to_matrix(torch.from_numpy(pose))[None], torch.zeros(1, 10))[0].numpy()
    if side == 'left':
        pose, points = pose * (1, -1, -1), points * (-1, 1, 1)
    return Hand(
        id='x', side=side, side_score=1.0, score=1.0, box=np.zeros(4),
        keypoints_px=np.zeros((21, 2)), keypoint_scores=np.ones(21),
        keypoints_valid=np.ones(21, bool), keypoints_m=points, vertices_m=np.zeros((0, 3)),
        pose=pose.ravel(), shape=np.zeros(10), wrist_rotation=np.eye(3), mask=np.zeros((1, 1)),
    )


def angles(*arguments, **keywords):
    return dict(zip(ANGLE_NAMES, joint_angles(hand(*arguments, **keywords))))


def test_the_flat_hand_is_zero():
    assert np.abs(joint_angles(hand())).max() < 1e-6


@pytest.mark.parametrize('finger', ['index', 'middle', 'ring', 'pinky'])
def test_a_bent_finger_shows_in_its_own_angles_only(finger):
    bend = {f'{finger}{k}': (0.0, 0.0, angle) for k, angle in ((1, 0.8), (2, 1.2), (3, 0.6))}
    found = angles(bend)
    # The finger's own direction is up to 15 degrees off the axis that the knuckle turns about.
    assert found.pop(f'{finger}_mcp_flexion') == pytest.approx(0.8, abs=0.04)
    assert found.pop(f'{finger}_pip_flexion') == pytest.approx(1.2, abs=0.06)
    assert found.pop(f'{finger}_dip_flexion') == pytest.approx(0.6, abs=0.04)
    assert abs(found.pop(f'{finger}_mcp_abduction')) < 0.15
    assert max(map(abs, found.values())) < 1e-6


def test_spread_fingers_have_positive_abduction():
    spread = {'index1': (0, 0.2, 0), 'ring1': (0, -0.2, 0), 'pinky1': (0, -0.3, 0)}
    found = angles(spread)
    assert found['index_mcp_abduction'] == pytest.approx(0.2, abs=0.02)
    assert found['ring_mcp_abduction'] == pytest.approx(0.2, abs=0.02)
    assert found['pinky_mcp_abduction'] == pytest.approx(0.3, abs=0.02)
    assert found['middle_mcp_abduction'] == 0.0


def test_thumb_flexion_brings_the_tip_to_the_little_fingers_base():
    rest = hand()
    bone = rest.keypoints_m[4] - rest.keypoints_m[3]
    axis = np.cross(bone, rest.keypoints_m[17] - rest.keypoints_m[2])
    turn = 0.7 * axis / np.linalg.norm(axis)
    bent = hand({'thumb3': turn})
    found = dict(zip(ANGLE_NAMES, joint_angles(bent)))
    assert found['thumb_ip_flexion'] == pytest.approx(0.7, abs=0.02)
    assert abs(found['thumb_mcp_flexion']) < 1e-6

    def gap(one):
        return np.linalg.norm(one.keypoints_m[4] - one.keypoints_m[17])

    assert gap(bent) < gap(rest) - 0.005


@pytest.mark.parametrize('joint, name', [('thumb1', 'cmc'), ('thumb2', 'mcp'), ('thumb3', 'ip')])
def test_every_thumb_joint_flexes_square_to_its_bone_and_the_way_across_the_palm(joint, name):
    points = hand().keypoints_m
    start = int(joint[-1])
    axis = np.cross(points[start + 1] - points[start], points[17] - points[2])
    found = angles({joint: 0.6 * axis / np.linalg.norm(axis)})
    assert found.pop(f'thumb_{name}_flexion') == pytest.approx(0.6, abs=1e-5)
    assert max(map(abs, found.values())) < 1e-5


def test_a_hand_without_extent_has_angles_that_are_numbers():
    flat = replace(hand({'index1': (0.1, 0.2, 0.3)}), keypoints_m=np.zeros((21, 3)))
    assert np.isfinite(joint_angles(flat)).all()


def test_thumb_abduction_leaves_the_palm():
    rest = hand()
    bone = rest.keypoints_m[2] - rest.keypoints_m[1]
    # Turns the thumb towards -y, out of the palm's side of the right hand.
    axis = np.cross(bone, (0.0, -1.0, 0.0))
    found = angles({'thumb1': 0.4 * axis / np.linalg.norm(axis)})
    assert found['thumb_cmc_abduction'] > 0.3


def test_sides_and_the_turn_of_the_whole_hand_do_not_matter():
    rng = np.random.default_rng(4)
    for _ in range(5):
        turns = {name: rng.normal(0, 0.3, 3) for name in JOINT_NAMES[1:]}
        reference = joint_angles(hand(turns))
        for side in ('right', 'left'):
            whole = rng.normal(0, 1.5, 3)
            np.testing.assert_allclose(
                joint_angles(hand(turns, side, whole)), reference, atol=1e-5)


def test_what_the_fingers_do_changes_no_angle_of_the_thumb():
    thumb = {'thumb1': (0.3, -0.2, 0.1), 'thumb2': (0.2, 0.3, -0.1), 'thumb3': (0.1, 0.3, 0.2)}
    fist = {name: (0.0, 0.2, 1.0) for name in JOINT_NAMES[1:] if 'thumb' not in name}
    alone, with_fist = angles(thumb), angles(thumb | fist)
    for name in ANGLE_NAMES[:4]:
        assert abs(alone[name]) > 0.01
        assert with_fist[name] == pytest.approx(alone[name], abs=1e-5)


@pytest.mark.parametrize('turn', [3.0, -3.0])
def test_angles_stay_within_human_limits(turn):
    for axis in np.eye(3):
        wild = {name: turn * axis for name in JOINT_NAMES[1:]}
        for name, value in angles(wild).items():
            low, high = LIMITS[name]
            assert low <= value <= high


#: Degrees that most hands reach, and that hardly any hand goes beyond.
RANGES = {
    'mcp_flexion': (-30, 90, -45, 110), 'pip_flexion': (-5, 110, -20, 125),
    'dip_flexion': (-10, 80, -35, 95), 'mcp_abduction': (-20, 20, -40, 40),
    'thumb_cmc_flexion': (-15, 45, -45, 60), 'thumb_cmc_abduction': (-20, 60, -45, 80),
    'thumb_mcp_flexion': (-10, 60, -30, 90), 'thumb_ip_flexion': (-20, 80, -45, 100)}


@pytest.mark.parametrize('name', ANGLE_NAMES)
def test_limits_hold_what_hands_can_do_and_no_more(name):
    reached = RANGES.get(name) or RANGES[name.split('_', 1)[1]]
    least, most, lowest, highest = np.radians(reached)
    lower, upper = LIMITS[name]
    assert lowest <= lower <= least and most <= upper <= highest


def test_joint_frames_chain_from_the_wrist():
    one = hand({'index1': (0, 0, 0.5), 'index2': (0, 0, 0.4)}, whole=(0.3, 0.1, 0.0))
    frames, local = joint_frames(one.pose)
    wrist = Rotation.from_rotvec((0.3, 0.1, 0.0)).as_matrix()
    tip = Rotation.from_rotvec((0, 0, 0.9)).as_matrix()
    np.testing.assert_allclose(frames[JOINT_NAMES.index('index3')], wrist @ tip, atol=1e-6)
    np.testing.assert_allclose(local[JOINT_NAMES.index('index3')], np.eye(3), atol=1e-6)
