import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.camera import Camera
from hiu_ros.geometry.crop import Crop
from hiu_ros.geometry.placement import crop_to_camera, huber, place, rotation_to_ray
from hiu_ros.geometry.pose_fit import chain, fit_pose
from hiu_ros.hand.model import HandModel, load_template

CAMERA = Camera(610.0, 605.0, 322.0, 238.0, 640, 480, 'plumb_bob', (-0.2, 0.05, 1e-3, 0.0, 0.0))
TEMPLATE = load_template('fast')


def random_hands(count, seed=0):
    """Pose, keypoints relative to the wrist, and places 0.3 to 1.5 m away, in view."""
    rng = np.random.default_rng(seed)
    rotations = Rotation.from_rotvec(rng.normal(0, 0.15, (count * 16, 3))).as_matrix()
    rotations = rotations.reshape(count, 16, 3, 3)
    rotations[:, 0] = Rotation.random(count, random_state=seed).as_matrix()
    joints = np.repeat(TEMPLATE.joints[None].astype(float), count, 0)
    tips = np.repeat(TEMPLATE.tips[None].astype(float), count, 0)
    depth = rng.uniform(0.3, 1.5, count)
    pixels = rng.uniform([150, 120], [490, 360], (count, 2))
    return rotations, joints, tips, CAMERA.unproject(pixels, depth)


def test_exact_joints_give_the_exact_place():
    rotations, joints, tips, truth = random_hands(40)
    points = chain(rotations, joints, tips)[0]
    rays = CAMERA.normalise(CAMERA.project(points + truth[:, None]))
    placed = place(points, rays, np.ones((40, 21)), np.full(40, 2 / 610))
    assert placed.valid.all()
    assert np.allclose(placed.translation, truth, atol=1e-6)
    assert (placed.residual < 1e-7).all()


def test_hands_of_a_batch_are_placed_as_one_by_one():
    rotations, joints, tips, truth = random_hands(6)
    points = chain(rotations, joints, tips)[0]
    rays = CAMERA.normalise(CAMERA.project(points + truth[:, None]))
    rays += np.random.default_rng(1).normal(0, 0.003, rays.shape)
    whole = place(points, rays, np.ones((6, 21)), np.full(6, 0.003)).translation
    for k in range(6):
        one = place(points[k:k + 1], rays[k:k + 1], np.ones((1, 21)), np.full(1, 0.003))
        assert np.allclose(one.translation[0], whole[k], atol=1e-9)


def test_a_few_joints_far_off_hardly_move_the_hand():
    rotations, joints, tips, truth = random_hands(30)
    points = chain(rotations, joints, tips)[0]
    rng = np.random.default_rng(2)
    pixels = CAMERA.project(points + truth[:, None])
    size = np.ptp(pixels, axis=1).max(axis=1)
    pixels += rng.normal(0, 0.01, pixels.shape) * size[:, None, None]
    pixels[:, [4, 8, 12]] += 0.5 * size[:, None, None] * rng.normal(size=(30, 3, 2))
    placed = place(points, CAMERA.normalise(pixels), np.ones((30, 21)), 0.015 * size / 607)
    error = np.linalg.norm(placed.translation - truth, axis=1) / truth[:, 2]
    assert np.median(error) < 0.02


def test_a_few_joints_far_off_hardly_move_a_hand_close_to_the_camera():
    rotations, joints, tips, truth = random_hands(200)
    truth *= 0.25 / truth[:, 2:]
    points = chain(rotations, joints, tips)[0]
    pixels = CAMERA.project(points + truth[:, None])
    size = np.ptp(pixels, axis=1).max(axis=1)
    off = np.random.default_rng(2).normal(size=(200, 4, 2))
    pixels[:, [4, 8, 12, 16]] += 0.5 * size[:, None, None] * off
    placed = place(points, CAMERA.normalise(pixels), np.ones((200, 21)), 0.03 * size / 607)
    error = np.linalg.norm(placed.translation - truth, axis=1) / 0.25
    assert np.nanquantile(error, 0.9) < 0.1


def test_a_joint_as_far_off_as_expected_counts_in_full_and_one_far_beyond_no_more_the_farther():
    none, expected, far, farther = huber(np.array([0.0, 0.01, 0.2, 0.4]), np.full(4, 0.01))
    assert none == expected == 1
    assert far < 0.3 and farther == pytest.approx(far / 2)


def test_covariance_tells_the_error_of_the_depth():
    rotations, joints, tips, truth = random_hands(300)
    points = chain(rotations, joints, tips)[0]
    noise = 0.004
    rays = CAMERA.normalise(CAMERA.project(points + truth[:, None]))
    rays += np.random.default_rng(3).normal(0, noise / np.sqrt(2), rays.shape)
    placed = place(points, rays, np.ones((300, 21)), np.full(300, noise))
    score = (placed.translation - truth)[:, 2] / np.sqrt(placed.covariance[:, 2, 2])
    assert 0.5 < np.std(score) < 1.5


def test_too_few_joints_and_hands_behind_the_camera_have_no_place():
    rotations, joints, tips, truth = random_hands(2)
    points = chain(rotations, joints, tips)[0]
    rays = CAMERA.normalise(CAMERA.project(points + truth[:, None]))
    weights = np.ones((2, 21))
    weights[0, 3:] = 0
    rays[1] = -rays[1]
    placed = place(points, rays, weights, np.full(2, 0.003))
    assert not placed.valid.any()
    assert np.isnan(placed.translation).all()


@pytest.mark.parametrize('axes', [[0, 1], [0], [1]])
def test_joints_without_a_ray_are_left_out(axes):
    rotations, joints, tips, truth = random_hands(3)
    points = chain(rotations, joints, tips)[0]
    rays = CAMERA.normalise(CAMERA.project(points + truth[:, None]))
    rays[:, 5:9, axes] = np.nan
    noise = np.full(3, 0.003)
    placed = place(points, rays, np.ones((3, 21)), noise)
    assert np.allclose(placed.translation, truth, atol=1e-6)
    fit = fit_pose(rotations, 1.1 * truth, joints, tips, rays, np.ones((3, 21)), noise)
    assert np.allclose(fit.translation, truth, atol=1e-4)


def test_four_joints_place_a_hand_and_three_do_not():
    rotations, joints, tips, truth = random_hands(2)
    points = chain(rotations, joints, tips)[0]
    rays = CAMERA.normalise(CAMERA.project(points + truth[:, None]))
    weights = np.zeros((2, 21))
    weights[0, [0, 5, 12, 17]] = weights[1, [0, 5, 17]] = 0.3
    placed = place(points, rays, weights, np.full(2, 0.003))
    assert placed.valid.tolist() == [True, False]
    assert np.allclose(placed.translation[0], truth[0], atol=1e-6)
    for part in (placed.translation, placed.covariance, placed.residual):
        assert np.isfinite(part[0]).all() and np.isnan(part[1]).all()


def test_the_place_is_doubted_by_the_noise_expected_or_more_where_the_joints_lie_worse():
    rotations, joints, tips, truth = random_hands(1)
    points = chain(rotations, joints, tips)[0]
    exact = CAMERA.normalise(CAMERA.project(points + truth[:, None]))
    poor = exact + np.random.default_rng(0).normal(0, 0.02, exact.shape)

    def doubt(rays, noise):
        return place(points, rays, np.ones((1, 21)), np.full(1, noise)).covariance[0, 2, 2] ** 0.5

    assert doubt(exact, 0.02) == pytest.approx(2 * doubt(exact, 0.01), rel=1e-3)
    assert 0.01 < doubt(exact, 0.01) / truth[0, 2] < 0.1
    assert doubt(poor, 0.002) > 5 * doubt(exact, 0.002)


def test_rotation_to_ray_takes_z_to_the_ray_without_rolling():
    rays = CAMERA.rays(np.random.default_rng(0).uniform(0, 480, (50, 2)))
    turn = rotation_to_ray(rays)
    assert np.allclose(turn[..., 2], rays)
    assert np.allclose(turn @ turn.swapaxes(1, 2), np.eye(3))
    axis = Rotation.from_matrix(turn).as_rotvec()
    assert np.allclose(axis[:, 2], 0.0)


@pytest.mark.parametrize('angle', [0.0, 0.7, -2.0])
def test_virtual_camera_of_a_turned_crop_sees_what_the_crop_shows(angle):
    camera = Camera(600.0, 600.0, 320.0, 240.0, 640, 480)
    crop = Crop((500.0, 350.0), 60.0, angle=angle, resolution=64)
    centre = camera.rays(np.array(crop.centre))
    turn = crop_to_camera(centre, angle)
    assert np.allclose(turn @ turn.T, np.eye(3)) and np.allclose(turn[:, 2], centre)
    local = np.array([[0.004, 0.0, 0.0], [0.0, 0.004, 0.0]])
    shown = crop.to_crop(camera.project(local @ turn.T + centre))
    middle = (crop.resolution - 1) / 2
    direction = (shown - middle) / np.linalg.norm(shown - middle, axis=1, keepdims=True)
    # Off the optical axis the pinhole stretches the picture, so directions agree nearly only.
    assert np.allclose(direction, np.eye(2), atol=0.2)
    assert np.linalg.norm(crop.to_crop(camera.project(centre)) - middle) < 1e-6


def test_chain_agrees_with_the_hand_model():
    rotations, joints, tips, _ = random_hands(5)
    model = HandModel(TEMPLATE)
    expected = model.keypoints(
        torch.tensor(rotations, dtype=torch.float32), torch.zeros(5, 10)).numpy()
    assert np.allclose(chain(rotations, joints, tips)[0], expected, atol=1e-6)


def test_fit_brings_the_projection_onto_the_joints_and_the_pose_nearer():
    rotations, joints, tips, truth = random_hands(60)
    rng = np.random.default_rng(5)
    points = chain(rotations, joints, tips)[0]
    rays = CAMERA.normalise(CAMERA.project(points + truth[:, None]))
    bend = np.zeros((60, 16, 3))
    bend[..., 2] = rng.normal(0, 0.2, (60, 16))
    bend[:, 0] = rng.normal(0, 0.12, (60, 3))
    guess = Rotation.from_rotvec(bend.reshape(-1, 3)).as_matrix().reshape(60, 16, 3, 3) @ rotations
    guessed = chain(guess, joints, tips)[0]
    noise = np.full(60, 0.002)
    start = place(guessed, rays, np.ones((60, 21)), noise)
    fit = fit_pose(guess, start.translation, joints, tips, rays, np.ones((60, 21)), noise)
    before = np.linalg.norm(guessed - points, axis=-1).mean()
    after = np.linalg.norm(chain(fit.rotations, joints, tips)[0] - points, axis=-1).mean()
    assert after < 0.7 * before
    assert np.median(fit.residual) < 0.25 * np.median(start.residual)
    depth = np.abs(fit.translation - truth)[:, 2] / truth[:, 2]
    assert np.median(depth) < np.median(np.abs(start.translation - truth)[:, 2] / truth[:, 2])
    assert np.allclose(fit.rotations @ fit.rotations.swapaxes(-1, -2), np.eye(3), atol=1e-9)


def test_fit_leaves_a_pose_that_agrees_alone():
    rotations, joints, tips, truth = random_hands(5)
    points = chain(rotations, joints, tips)[0]
    rays = CAMERA.normalise(CAMERA.project(points + truth[:, None]))
    fit = fit_pose(rotations, truth, joints, tips, rays, np.ones((5, 21)), np.full(5, 0.002))
    assert np.allclose(fit.rotations, rotations, atol=1e-6)
    assert np.allclose(fit.translation, truth, atol=1e-6)


def test_fit_without_evidence_keeps_the_prediction():
    rotations, joints, tips, truth = random_hands(3)
    rays = np.full((3, 21, 2), np.nan)
    fit = fit_pose(rotations, truth, joints, tips, rays, np.ones((3, 21)), np.full(3, 0.002))
    assert np.allclose(fit.rotations, rotations)
