"""Motion of a hand on its own: where it is and what its fingers do at every time."""

from types import SimpleNamespace

import numpy as np
import pytest

from hiu_ros.data.renders.articulation import joint_rotations
from hiu_ros.data.renders.motion import HandMotion, ease

CENTRE, REACH = np.array([0.1, 0.02, 0.5]), np.array([0.2, 0.05, 0.08])
#: At rest the fingers' direction, and that of one of the hand's two faces.
ALONG, BACK = np.array([-1.0, 0, 0]), np.array([0, 1.0, 0])


class Poses:
    """A sampler of poses that keeps what was drawn."""

    def __init__(self):
        self.drawn = []

    def sample(self, rng):
        self.drawn.append(rng.uniform(-10, 60, 21))
        return self.drawn[-1], 'free'


def motion(seed=0, span=(-2.0, 12.0), duration=10.0, **more):
    poses = Poses()
    made = HandMotion(np.random.default_rng(seed), poses, np.full(10, 0.3), duration, span, CENTRE,
                      REACH, **more)
    return SimpleNamespace(at=made.at, times=made.times, drawn=poses.drawn)


def angle(one, two):
    """Degrees between rotations (..., 3, 3)."""
    trace = np.einsum('...ij,...ij->...', one, two)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def test_a_step_is_smooth_and_flat_at_both_ends():
    x = np.linspace(-0.5, 1.5, 2001)
    y = ease(x)
    assert (y[x <= 0] == 0).all() and (y[x >= 1] == 1).all() and (np.diff(y) >= 0).all()
    assert np.allclose(y + y[::-1], 1)  # the second half is the first one turned about
    slope = np.gradient(y, x)
    assert slope[(x < 0.01) | (x > 0.99)].max() < 0.01 and 1.5 < slope.max() < 2


def test_a_hand_stays_within_its_reach_and_makes_use_of_it():
    away = []
    for seed in range(8):
        made = motion(seed)
        away += [(made.at(t).place - CENTRE) / REACH for t in np.arange(0, 10, 0.4)]
    away = np.array(away)
    assert np.abs(away).max() <= 1
    assert (away.max(0) > 0.8).all() and (away.min(0) < -0.8).all()
    # No two directions go to and fro together.
    assert np.abs(np.corrcoef(away.T) - np.eye(3)).max() < 0.5


def test_a_hand_comes_from_below_and_leaves_downwards():
    made, there = motion(span=(3.0, 8.0)), motion()
    for time in (2.9, 8.1):
        assert made.at(time) is None
    lower = {time: made.at(time).place - there.at(time).place
             for time in (3.0, 3.4, 3.8, 5.0, 7.2, 7.6, 8.0)}
    for time, below in lower.items():
        assert below[0] == below[2] == 0, time
    # y points down; half of a picture of usual cameras is less than 0.6 of the distance high.
    for time in (3.0, 8.0):
        assert lower[time][1] / there.at(time).place[2] == pytest.approx(0.75)
    for time in (3.4, 7.6):
        assert lower[time][1] / there.at(time).place[2] == pytest.approx(0.375)
    for time in (3.8, 5.0, 7.2):
        assert lower[time][1] == pytest.approx(0, abs=1e-12)
    assert made.at(2.96) is not None and made.at(8.04) is not None


def test_fingers_go_from_pose_to_pose_and_rest_on_each():
    made = motion()
    assert len(made.times) == len(made.drawn) and made.times[-1] >= 12
    wanted = [joint_rotations(angles)[0, 1:] for angles in made.drawn]
    for k, time in enumerate(made.times[:-1]):
        if time > 12:
            break
        step = made.times[k + 1] - time
        for share, goal in ((0.0, k), (0.15, k), (0.85, k + 1), (1.0, k + 1)):
            found = made.at(time + share * step)
            if found is not None:
                assert np.allclose(found.plan.rotations[1:], wanted[goal], atol=1e-9)
        half = made.at(time + 0.5 * step)
        if half is not None:
            middle = joint_rotations((made.drawn[k] + made.drawn[k + 1]) / 2)[0, 1:]
            assert np.allclose(half.plan.rotations[1:], middle, atol=1e-9)


def test_fingers_take_about_a_second_from_pose_to_pose():
    steps = np.concatenate([np.diff(motion(seed).times) for seed in range(10)])
    assert 0.5 < steps.min() < 0.9 and 1.4 < steps.max() < 2 and 0.9 < steps.mean() < 1.4


def test_a_grasp_is_kept_while_the_hand_moves():
    grasp = np.linspace(0, 50, 21)
    free, made = motion(), motion(grasp=grasp)
    for time in np.arange(0, 10, 1.7):
        moment, other = made.at(time), free.at(time)
        assert np.allclose(moment.plan.rotations[1:], joint_rotations(grasp)[0, 1:])
        assert np.array_equal(moment.place, other.place)
        assert np.array_equal(moment.plan.rotations[0], other.plan.rotations[0])


def test_hands_are_mostly_upright_show_palm_and_back_and_turn_slowly():
    up, back, speed = [], [], []
    for seed in range(20):
        made = motion(seed)
        turns = np.stack([made.at(t).plan.rotations[0] for t in np.arange(0, 10, 0.8)])
        up += list(-(turns @ ALONG)[:, 1])
        back += list((turns @ BACK)[:, 2])
        speed += list(angle(turns[1:], turns[:-1]) / 0.8)
    assert np.mean(np.array(up) > 0.5) > 0.8 and np.median(up) < 0.99
    assert np.mean(np.array(back) > 0.5) > 0.15 and np.mean(np.array(back) < -0.5) > 0.15
    assert 5 < np.median(speed) < 40 and np.quantile(speed, 0.95) < 200


def test_a_turn_begins_and_ends_at_rest():
    made = motion()
    for time in made.times[1:8]:
        before, at, after = (made.at(time + d).plan for d in (-0.02, 0, 0.02))
        assert max(angle(before.rotations[0], at.rotations[0]),
                   angle(after.rotations[0], at.rotations[0])) < 0.5
        assert max(angle(before.forearm, at.forearm), angle(after.forearm, at.forearm)) < 0.5


def test_the_plan_is_the_same_at_any_asking_and_another_of_another_seed():
    one, two, other = motion(1), motion(1), motion(2)
    for time in (7.0, 0.3, 4.2):
        moments = [made.at(time) for made in (one, two, other)]
        places, turns, forearms = ([pick(moment) for moment in moments] for pick in (
            lambda m: m.place, lambda m: m.plan.rotations, lambda m: m.plan.forearm))
        for first, second, third in (places, turns, forearms):
            assert np.array_equal(first, second) and not np.allclose(first, third)
        assert np.array_equal(moments[0].plan.shape, np.full(10, 0.3))
        for rotations in (turns[0], forearms[0][None]):
            assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3), atol=1e-9)
            assert np.allclose(np.linalg.det(rotations), 1)
