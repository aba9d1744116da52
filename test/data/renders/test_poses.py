import numpy as np
import pytest

from hiu_ros.data.renders.articulation import LIMITS
from hiu_ros.data.renders.poses import (
    PALM_TO_CAMERA,
    PoseSampler,
    penetration,
    sample_orientation,
    sample_wrist,
    uniform_rotation,
)
from hiu_ros.hand.model import HandModel, load_template


@pytest.fixture(scope='module')
def sampler():
    return PoseSampler(HandModel(load_template('fast')))


def test_gestures_do_not_penetrate(sampler):
    depth = penetration(sampler.keypoints(sampler.table))
    bad = {n: round(1e3 * d, 1) for n, d in zip(sampler.names, depth) if d > 0.001}
    assert not bad


def test_a_finger_pushed_through_the_thumb_is_seen(sampler):
    points = sampler.keypoints(np.zeros((1, 21)))
    assert penetration(points)[0] <= 0
    points[0, 6:9] += (points[0, 3] - points[0, 7])
    assert penetration(points)[0] > 0.002


def test_grasps_are_free_of_penetration_and_close_around_something(sampler):
    angles = np.stack([sampler.sample_grasp(np.random.default_rng([2, i])) for i in range(80)])
    assert (angles >= LIMITS[:, 0]).all() and (angles <= LIMITS[:, 1]).all()
    points = sampler.keypoints(angles)
    assert (penetration(points) <= 0.001).all()
    bent = np.linalg.norm(points[:, [8, 12]] - points[:, [5, 9]], axis=-1).min(1)
    assert (bent < 0.085).all()  # a straight finger reaches 0.09 to 0.1 m from its base
    assert len(np.unique(angles, axis=0)) == 80


def test_samples_are_within_limits_free_of_penetration_and_varied(sampler):
    drawn = [sampler.sample(np.random.default_rng([1, i])) for i in range(120)]
    angles = np.stack([a for a, _ in drawn])
    assert (angles >= LIMITS[:, 0]).all() and (angles <= LIMITS[:, 1]).all()
    depth = penetration(sampler.keypoints(angles))
    assert (depth <= 0.003).all() and (depth <= 0.001).mean() > 0.9
    assert {kind for _, kind in drawn} == {'gesture', 'blend', 'synergy', 'free'}
    curl = angles[:, [1, 5, 9, 13]].mean(1)
    assert (curl < 15).sum() > 5 and (curl > 80).sum() > 5


def test_a_generator_gives_the_same_pose_again(sampler):
    one, two = (sampler.sample(np.random.default_rng(5))[0] for _ in range(2))
    assert np.array_equal(one, two)


def test_rotations_are_proper():
    rng = np.random.default_rng(2)
    turns = [uniform_rotation(rng), sample_orientation(rng)[0], sample_wrist(rng),
             PALM_TO_CAMERA]
    for turn in turns:
        assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(turn) == pytest.approx(1)


def test_uniform_rotations_have_no_preferred_direction():
    rng = np.random.default_rng(3)
    turns = np.stack([uniform_rotation(rng) for _ in range(4000)])
    assert np.abs(turns.mean(0)).max() < 0.04


def test_views_are_what_they_are_called():
    rng = np.random.default_rng(4)
    palm = {'palm': [], 'back': [], 'edge': []}
    for _ in range(1500):
        turn, kind = sample_orientation(rng)
        if kind in palm:
            # The palm looks along -y of the hand; the camera looks along +z.
            palm[kind].append((turn @ [0, -1, 0])[2])
    assert np.mean(palm['palm']) < -0.6 and np.mean(palm['back']) > 0.6
    assert abs(np.mean(palm['edge'])) < 0.15 and np.std(palm['edge']) < 0.45
