import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.pose_fit import PoseDoubt, chain, fit_pose
from hiu_ros.hand.model import load_template
from hiu_ros.hand.skeleton import JOINT_NAMES, JOINT_PARENTS

TEMPLATE = load_template('fast')
NOISE = 0.004


def rest(count):
    return (np.repeat(points[None].astype(float), count, 0)
            for points in (TEMPLATE.joints, TEMPLATE.tips))


def turns(vectors):
    return Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(*vectors.shape, 3)


def readings(count, seed=0):
    """Hands, poses predicted of them that are wrong as doubted, and rays wrong by the noise."""
    rng = np.random.default_rng(seed)
    true = turns(rng.normal(0, 0.2, (count, 16, 3)))
    true[:, 0] = Rotation.random(count, random_state=seed).as_matrix()
    places = rng.uniform([-0.1, -0.1, 0.4], [0.1, 0.1, 0.8], (count, 3))
    predicted = turns(rng.normal(0, PoseDoubt().table(), (count, 16, 3))) @ true
    rays = projected(true, places) + rng.normal(0, NOISE / np.sqrt(2), (count, 21, 2))
    return true, places, predicted, rays


def projected(rotations, places):
    points = chain(rotations, *rest(len(rotations)))[0] + places[:, None]
    return points[..., :2] / points[..., 2:]


def fitted(predicted, places, rays, weights, **options):
    count = len(predicted)
    return fit_pose(
        predicted, places, *rest(count), rays, weights, np.full(count, NOISE), **options)


def test_the_fit_is_the_likeliest_pose_between_joints_and_prediction():
    _, places, predicted, rays = readings(8)
    rays[:, [8, 13]] += 4 * NOISE  # counts linearly
    weights = np.random.default_rng(1).uniform(0.2, 1.0, (8, 21))
    doubt = PoseDoubt(wrist=0.2, bend=0.2, spread=0.1, twist=0.06, thumb=0.15)

    def cost(rotations, place):
        away = np.linalg.norm(projected(rotations, place) - rays, axis=-1) / NOISE
        seen = weights * np.where(away < 2, away ** 2 / 2, 2 * away - 2)
        away = rotations @ predicted.swapaxes(-1, -2)
        turned = Rotation.from_matrix(away.reshape(-1, 3, 3)).as_rotvec().reshape(8, 16, 3)
        return seen.sum(1) + ((turned / doubt.table()) ** 2).sum((1, 2)) / 2

    fit = fitted(predicted, places, rays, weights, doubt=doubt, steps=100)
    least = cost(fit.rotations, fit.translation)
    for step in np.concatenate([np.eye(3), -np.eye(3)]):
        assert (cost(fit.rotations, fit.translation + 0.002 * step) > least).all()
        for joint in range(16):
            move = np.zeros((8, 16, 3))
            move[:, joint] = 0.02 * step
            assert (cost(turns(move) @ fit.rotations, fit.translation) > least).all()


def test_a_few_steps_come_near_to_the_likeliest_pose():
    _, places, predicted, rays = readings(20)
    few, many = (fitted(predicted, places, rays, np.ones((20, 21)), **options)
                 for options in ({}, {'steps': 50}))
    turned = few.rotations @ many.rotations.swapaxes(-1, -2)
    angle = Rotation.from_matrix(turned.reshape(-1, 3, 3)).magnitude()
    assert np.quantile(angle, 0.95) < 0.03
    assert np.allclose(few.translation, many.translation, rtol=0.02, atol=0.002)


def test_the_variance_of_the_depth_tells_its_error():
    _, places, predicted, rays = readings(300)
    fit = fitted(predicted, places, rays, np.ones((300, 21)))
    score = (fit.translation - places)[:, 2] / np.sqrt(fit.depth_variance)
    assert 0.7 < np.sqrt(np.mean(score ** 2)) < 1.3


def test_the_residual_is_the_mean_distance_of_joints_by_their_weights():
    _, places, predicted, rays = readings(3)
    weights = np.random.default_rng(2).uniform(0.1, 1, (3, 21))
    fit = fitted(predicted, places, rays, weights)
    away = np.linalg.norm(projected(fit.rotations, fit.translation) - rays, axis=-1)
    assert np.allclose(fit.residual, np.average(away, axis=1, weights=weights))


def test_the_chain_tells_the_axes_that_each_joint_turns_in():
    true, *_ = readings(2)
    parents = chain(true, *rest(2))[2]
    assert np.array_equal(parents[:, 0], np.stack([np.eye(3)] * 2))
    for joint, parent in enumerate(JOINT_PARENTS[1:], start=1):
        assert np.allclose(parents[:, joint], parents[:, parent] @ true[:, parent])


def test_hands_of_a_batch_are_fitted_as_one_by_one_however_far_they_start():
    _, places, predicted, rays = readings(3)
    places[1] = [0.4, -0.3, 0.1]
    places[2, 2] = 6.0
    weights = np.ones((3, 21))
    together = fitted(predicted, places, rays, weights)
    for k in range(3):
        part = slice(k, k + 1)
        alone = fitted(predicted[part], places[part], rays[part], weights[part])
        for name in ('rotations', 'translation', 'depth_variance', 'residual'):
            np.testing.assert_allclose(
                getattr(together, name)[k], getattr(alone, name)[0], rtol=1e-6, atol=1e-9)


def test_what_is_given_is_not_changed():
    _, places, predicted, rays = readings(2)
    before = predicted.copy(), places.copy(), rays.copy()
    fitted(predicted, places, rays, np.ones((2, 21)))
    for value, kept in zip((predicted, places, rays), before):
        assert np.array_equal(value, kept)


def test_fingers_bend_about_z_and_spread_at_their_base_and_the_thumb_turns_any_way():
    table = PoseDoubt(wrist=1.0, bend=2.0, spread=3.0, twist=4.0, thumb=5.0).table()
    for name, row in zip(JOINT_NAMES, table):
        if name == 'wrist' or name.startswith('thumb'):
            expected = [1.0 if name == 'wrist' else 5.0] * 3
        else:
            expected = [4.0, 3.0 if name.endswith('1') else 4.0, 2.0]
        assert row.tolist() == pytest.approx(expected), name
