import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hiu_ros.geometry.rotations import axis_angle_to_matrix
from hiu_ros.hand.model import HandModel, load_template
from hiu_ros.hand.skeleton import BONES, JOINT_PARENTS, KEYPOINT_NAMES, TIP_KEYPOINTS
from hiu_ros.hand.template import DETAILS, read_template

SHARED = Path(os.environ.get('HIU_SHARED', Path(__file__).resolve().parents[2] / '..' / 'shared'))
MIRROR = torch.tensor([-1.0, 1.0, 1.0])
PALM, THUMB_SIDE = torch.tensor([0.0, -1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])


@pytest.fixture(scope='module', params=DETAILS)
def template(request):
    return load_template(request.param)


@pytest.fixture(scope='module')
def model(template):
    return HandModel(template)


@pytest.fixture(scope='module')
def fast():
    return HandModel(load_template('fast'))


def random_hands(count, seed=0, spread=0.4):
    generator = torch.Generator().manual_seed(seed)
    pose = spread * torch.randn(count, 16, 3, generator=generator)
    return pose, torch.randn(count, 10, generator=generator)


def posed(model, **angles):
    """Keypoints (21, 3) of the mean hand with some joints' axis-angles set."""
    pose = torch.zeros(1, 16, 3)
    for joint, value in angles.items():
        pose[0, int(joint[1:])] = torch.tensor(value)
    return model.keypoints(axis_angle_to_matrix(pose), torch.zeros(1, 10))[0]


def test_rest_pose_is_a_flat_right_hand_in_metres(model):
    keypoints = posed(model)
    names = dict(zip(KEYPOINT_NAMES, keypoints))
    assert names['wrist'].abs().max() == 0
    assert 0.18 < names['middle_tip'].norm() < 0.21
    assert 0.085 < names['middle_mcp'].norm() < 0.115
    for finger in ('index', 'middle', 'ring', 'pinky'):
        chain = torch.stack([names[f'{finger}_{part}'] for part in ('mcp', 'pip', 'dip', 'tip')])
        bones = chain[1:] - chain[:-1]
        assert (bones.norm(dim=-1) > 0.012).all()
        directions = bones / bones.norm(dim=-1, keepdim=True)
        assert directions[:, 0].max() < -0.9  # along -x
        torch.testing.assert_close(
            directions, directions[:1].expand(3, 3), atol=1e-4, rtol=0)  # straight
    across = [names[f'{f}_mcp'][2].item() for f in ('index', 'middle', 'ring', 'pinky')]
    assert across == sorted(across, reverse=True)
    assert names['thumb_tip'] @ THUMB_SIDE > 0.05
    assert names['thumb_tip'] @ PALM > 0.03


def test_tips_lie_at_the_ends_of_the_fingers(model):
    zero = torch.eye(3).expand(1, 16, 3, 3)
    result = model(zero, torch.zeros(1, 10))
    for tip in TIP_KEYPOINTS:
        distance = (result.vertices[0] - result.keypoints[0, tip]).norm(dim=-1)
        assert distance.min() < 0.008


def test_positive_z_bends_the_fingers_and_positive_y_leads_to_the_thumb(fast):
    rest = posed(fast)
    for joint, tip in (('j1', 8), ('j4', 12), ('j10', 16), ('j7', 20)):
        assert (posed(fast, **{joint: (0.0, 0.0, 0.5)}) - rest)[tip] @ PALM > 0.02
        assert (posed(fast, **{joint: (0.0, 0.3, 0.0)}) - rest)[tip] @ THUMB_SIDE > 0.015
    bent = posed(fast, j15=(0.57, -0.81, 0.12))
    assert (bent - rest)[4].norm() > 0.02
    index_base = rest[5]
    assert (bent[4] - index_base).norm() < (rest[4] - index_base).norm()


def test_a_fist_closes(fast):
    fingers = (1, 4, 7, 10)
    fist = posed(fast, **{
        f'j{base + k}': (0.0, 0.0, angle)
        for base in fingers for k, angle in enumerate((1.4, 1.6, 1.0))
    })
    palm = fist[[0, 5, 9, 13, 17]].mean(0)
    for tip in (8, 12, 16, 20):
        assert (fist[tip] - palm).norm() < 0.06
        assert (posed(fast)[tip] - palm).norm() > 0.08
        assert fist[tip] @ PALM > 0.0


def test_bones_keep_their_lengths(fast):
    pose, shape = random_hands(6, spread=1.0)
    moved = fast.keypoints(axis_angle_to_matrix(pose), shape)
    rest = fast.keypoints(torch.eye(3).expand(6, 16, 3, 3), shape)
    child, parent = torch.tensor(BONES).T
    torch.testing.assert_close(
        (moved[:, child] - moved[:, parent]).norm(dim=-1),
        (rest[:, child] - rest[:, parent]).norm(dim=-1), atol=1e-6, rtol=0)


def test_joints_agree_with_a_walk_along_the_tree(fast):
    pose, shape = random_hands(1, seed=4)
    turn = axis_angle_to_matrix(pose)[0]
    template = fast.template
    rest = template.joints + np.einsum('k,kjc->jc', shape[0].numpy(), template.joint_dirs)
    world, place = [], []
    for joint, parent in enumerate(JOINT_PARENTS):
        if joint == 0:
            world.append(turn[0].numpy())
            place.append(rest[0])
        else:
            place.append(place[parent] + world[parent] @ (rest[joint] - rest[parent]))
            world.append(world[parent] @ turn[joint].numpy())
    result = fast(turn[None], shape)
    np.testing.assert_allclose(result.joints[0].numpy(), place, atol=1e-6)


def test_vertices_follow_their_joints_by_weight_whatever_the_shape(model, template):
    pose, shape = random_hands(2, seed=5)
    turn = axis_angle_to_matrix(pose)
    result = model(turn, shape)
    world = []
    for joint, parent in enumerate(JOINT_PARENTS):
        world.append(turn[:, joint] if parent < 0 else world[parent] @ turn[:, joint])
    dirs, joint_dirs = (torch.as_tensor(value) for value in (
        template.shapedirs, template.joint_dirs))
    rest = torch.as_tensor(template.vertices) + torch.einsum('bk,kvc->bvc', shape, dirs)
    joints = torch.as_tensor(template.joints) + torch.einsum('bk,kjc->bjc', shape, joint_dirs)
    arm = rest[:, :, None] - joints[:, None]
    carried = torch.einsum('bjik,bvjk->bvji', torch.stack(world, dim=1), arm)
    expected = torch.einsum('vj,bvjc->bvc', torch.as_tensor(template.weights),
                            carried + result.joints[:, None])
    torch.testing.assert_close(result.vertices, expected, atol=1e-6, rtol=0)
    assert torch.equal(model.faces, torch.as_tensor(template.faces, dtype=torch.int64))


def test_keypoints_alone_are_the_same(model):
    pose, shape = random_hands(5)
    rotations = axis_angle_to_matrix(pose)
    torch.testing.assert_close(
        model.keypoints(rotations, shape), model(rotations, shape).keypoints, atol=0, rtol=0)


def test_a_batch_is_its_hands_one_by_one(model):
    pose, shape = random_hands(4)
    rotations = axis_angle_to_matrix(pose)
    together = model(rotations, shape)
    for i in range(4):
        alone = model(rotations[i:i + 1], shape[i:i + 1])
        for whole, part in zip(together, alone):
            torch.testing.assert_close(whole[i:i + 1], part, atol=1e-6, rtol=0)
    assert model(rotations[:0], shape[:0]).keypoints.shape == (0, 21, 3)


def test_the_zero_pose_and_shape_are_the_template(model, template):
    result = model(torch.eye(3).expand(1, 16, 3, 3), torch.zeros(1, 10))
    np.testing.assert_allclose(result.vertices[0].numpy(), template.vertices, atol=1e-6)
    np.testing.assert_allclose(result.joints[0].numpy(), template.joints, atol=1e-6)
    np.testing.assert_allclose(
        result.keypoints[0, list(TIP_KEYPOINTS)].numpy(), template.tips, atol=1e-6)


def test_turning_the_wrist_turns_everything(model):
    pose, shape = random_hands(3)
    rotations = axis_angle_to_matrix(pose)
    extra = axis_angle_to_matrix(torch.tensor([0.3, -1.2, 2.0]))
    turned = rotations.clone()
    turned[:, 0] = extra @ rotations[:, 0]
    for before, after in zip(model(rotations, shape), model(turned, shape)):
        torch.testing.assert_close(after, before @ extra.T, atol=1e-6, rtol=0)


def test_the_first_shape_is_size(fast):
    flat = torch.eye(3).expand(2, 16, 3, 3)
    shape = torch.zeros(2, 10)
    shape[0, 0], shape[1, 0] = -1, 1
    small, large = fast.keypoints(flat, shape)[:, 12].norm(dim=-1)
    assert 0.03 < large - small < 0.06


def test_the_left_hand_is_the_mirrored_right_hand(model, template):
    left = HandModel(template.mirrored())
    assert left.side == 'left'
    pose, shape = random_hands(3)
    here = model(axis_angle_to_matrix(pose), shape)
    there = left(axis_angle_to_matrix(pose * -MIRROR), shape)
    for right, mirrored in zip(here, there):
        torch.testing.assert_close(mirrored, right * MIRROR, atol=1e-6, rtol=0)
    np.testing.assert_array_equal(left.template.faces, template.faces[:, ::-1])


def test_mirrored_twice_is_the_same_hand(template):
    twice = template.mirrored().mirrored()
    for field, value in vars(template).items():
        np.testing.assert_array_equal(getattr(twice, field), value, err_msg=field)


def test_the_mean_pose_of_a_mirrored_template_is_that_of_the_other_hand():
    mean = np.arange(45.0)
    mirrored = replace(load_template('fast'), pose_mean=mean).mirrored()
    np.testing.assert_array_equal(mirrored.pose_mean.reshape(15, 3),
                                  mean.reshape(15, 3) * [1, -1, -1])


def test_arrays_and_sides_that_do_not_fit_are_named():
    template = load_template('fast')
    with pytest.raises(ValueError, match="'left' or 'right', got 'both'"):
        replace(template, side='both')
    for field in ('weights', 'joints', 'tip_dirs', 'nail'):
        with pytest.raises(ValueError, match=rf'hand template .*: {field} has shape \(3, 2\)'):
            replace(template, **{field: np.zeros((3, 2))})


def test_gradients_reach_pose_and_shape(model):
    pose, shape = random_hands(2)
    pose[0] = 0  # the flat hand is where fits start
    pose.requires_grad_()
    shape.requires_grad_()
    result = model(axis_angle_to_matrix(pose), shape)
    (result.vertices.square().sum() + result.keypoints.square().sum()).backward()
    assert torch.isfinite(pose.grad).all()
    assert torch.isfinite(shape.grad).all()
    # Turning the wrist changes no distance from it; every other joint and each shape does.
    assert (pose.grad[1, 1:].abs().sum(-1) > 1e-6).all()
    assert (shape.grad.abs() > 0).all()


def test_keypoint_gradients_agree_with_finite_differences():
    model = HandModel(load_template('fast')).double()
    pose, shape = (value.double() for value in random_hands(1))
    pose.requires_grad_()
    shape.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p, s: model.keypoints(axis_angle_to_matrix(p), s), (pose, shape))


def test_the_forearm_turns_about_the_wrist_and_leaves_the_hand():
    template = load_template('forearm')
    model = HandModel(template)
    pose, shape = random_hands(2)
    rotations = axis_angle_to_matrix(pose)
    turn = axis_angle_to_matrix(torch.tensor([[0.0, 0.4, 0.5], [0.0, -0.3, -0.6]]))
    straight, bent = model(rotations, shape), model(rotations, shape, turn)
    fingers = torch.as_tensor(template.forearm_weight == 0)
    torch.testing.assert_close(bent.vertices[:, fingers], straight.vertices[:, fingers])
    torch.testing.assert_close(bent.keypoints, straight.keypoints)
    end = torch.as_tensor(template.vertices[:, 0] > 0.1)
    about_wrist = rotations[:, 0] @ turn @ rotations[:, 0].transpose(1, 2)
    expected = straight.vertices[:, end] @ about_wrist.transpose(1, 2)
    torch.testing.assert_close(bent.vertices[:, end], expected, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match='has no forearm'):
        HandModel(load_template('fast'))(rotations, shape, turn)


def test_it_has_nothing_to_train_or_to_save(fast):
    assert list(fast.parameters()) == []
    assert fast.state_dict() == {}


def test_wrong_shapes_are_named(fast):
    with pytest.raises(ValueError, match=r'rotations must be \(B, 16, 3, 3\), got \(2, 48\)'):
        fast(torch.zeros(2, 48), torch.zeros(2, 10))
    with pytest.raises(ValueError, match=r'shape must be \(1, 10\), got \(2, 10\)'):
        fast.keypoints(torch.eye(3).expand(1, 16, 3, 3), torch.zeros(2, 10))


@pytest.mark.parametrize('detail, file', [
    ('fast', 'hand_right_777.npz'), ('render', 'hand_right_1609.npz')])
def test_it_matches_the_reference_conversion(detail, file):
    path = SHARED / 'data' / 'hand_model' / file
    if not path.is_file():
        pytest.skip(f'reference {path} is not there')
    ours, reference = load_template(detail), read_template(path)
    assert ours.vertices.shape == reference.vertices.shape
    assert ours.faces.shape == reference.faces.shape

    def points(template, shapes):
        rest = np.concatenate((template.joints, template.tips))
        dirs = np.concatenate((template.joint_dirs, template.tip_dirs), 1)
        if detail == 'render':  # the simplified meshes have other vertices
            rest = np.concatenate((rest, template.vertices))
            dirs = np.concatenate((dirs, template.shapedirs), 1)
        return (rest + np.einsum('bk,kvc->bvc', shapes, dirs)).reshape(len(shapes), -1)

    mean, other = (points(t, np.zeros((1, 10))) for t in (ours, reference))
    assert np.linalg.norm((mean - other).reshape(-1, 3), axis=1).max() < 1e-3
    shapes = np.random.default_rng(0).uniform(-2, 2, (50, 10))
    directions = (points(ours, np.eye(10)) - mean).T
    wanted = (points(reference, shapes) - mean).T
    fitted = directions @ np.linalg.lstsq(directions, wanted, rcond=None)[0]
    error = np.linalg.norm((fitted - wanted).T.reshape(-1, 3), axis=1)
    assert error.max() < 0.5e-3
