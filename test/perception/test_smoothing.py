import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hiu_ros.perception.smoothing import (
    HandSmoother,
    OneEuro,
    RotationFilter,
    Smoothing,
    VectorFilter,
)

DT = 1 / 30


def test_nothing_is_smoothed_unless_asked_for():
    smoother = HandSmoother(Smoothing())
    rng = np.random.default_rng(0)
    for k in range(3):
        points, place = rng.normal(size=(21, 2)), np.abs(rng.normal(size=3)) + 0.1
        turn = Rotation.random(16, random_state=k).as_matrix()
        assert np.array_equal(smoother.image_points(points, 100.0, k * DT), points)
        assert np.allclose(smoother.place(place, k * DT), place)
        assert np.array_equal(smoother.pose(turn, k * DT), turn)
    assert not Smoothing().any and Smoothing(depth=OneEuro()).any and Smoothing.usual().any


def test_noise_of_a_value_at_rest_is_damped_by_half_at_least():
    noise = np.random.default_rng(0).normal(0, 0.003, (300, 2))
    smooth = VectorFilter(Smoothing.usual().sideways, 0.25)
    out = np.array([smooth(value, k * DT) for k, value in enumerate(noise)])
    assert out[30:].std() < 0.5 * noise.std()
    turns = 4 * np.random.default_rng(1).normal(0, 0.003, (300, 3))
    turner = RotationFilter(Smoothing.usual().pose, 0.25)
    out = np.concatenate([turner(Rotation.from_rotvec(turn).as_matrix()[None], k * DT)
                          for k, turn in enumerate(turns)])
    assert Rotation.from_matrix(out[30:]).as_rotvec().std() < 0.5 * turns.std()


@pytest.mark.parametrize('option, speed', [
    ('image', 1.0),  # one hand length a second
    ('sideways', 0.45),  # 0.3 m/s at 0.7 m
    ('depth', 0.45),
    ('pose', 1.5),
])
def test_lag_of_steady_motion_is_as_documented_and_under_one_frame(option, speed):
    settings = getattr(Smoothing.usual(), option)
    times = np.arange(120) * DT
    if option == 'pose':
        smooth = RotationFilter(settings, 0.25)
        truth = Rotation.from_rotvec(np.outer(times * speed, [0, 0, 1])).as_matrix()
        out = np.array([smooth(m[None], t)[0] for m, t in zip(truth, times)])
        late = Rotation.from_matrix(out.swapaxes(1, 2) @ truth).magnitude()[-1] / speed
    else:
        smooth = VectorFilter(settings, 0.25)
        out = np.array([smooth(np.array([t * speed, 0.0]), t)[0] for t in times])
        late = times[-1] - out[-1] / speed
    assert late == pytest.approx(settings.lag(speed), rel=0.15)
    assert late <= DT


def test_filters_start_again_after_a_gap_and_when_time_runs_back():
    smooth = VectorFilter(OneEuro(0.5, 0.0), gap=0.25)
    smooth(np.array([0.0]), 0.0)
    assert smooth(np.array([1.0]), 0.1)[0] < 0.5
    assert smooth(np.array([9.0]), 0.5)[0] == 9.0
    assert smooth(np.array([4.0]), 0.4)[0] == 4.0
    turns = Rotation.from_rotvec([[0, 0, 0.0], [0, 0, 1.0]]).as_matrix()
    turner = RotationFilter(OneEuro(0.5, 0.0), gap=0.25)
    turner(turns[:1], 0.0)
    assert np.allclose(turner(turns[1:], 1.0), turns[1:])


def test_where_time_stands_still_a_frame_counts_as_passed():
    for kind, values in (
        (VectorFilter, np.array([[[0.0]], [[3.0]], [[3.0]]])),
        (RotationFilter,
         Rotation.from_rotvec([[0, 0, 0], [0, 0, 1], [0, 0, 1]]).as_matrix()[:, None]),
    ):
        still, moving = kind(OneEuro(), gap=0.25), kind(OneEuro(), gap=0.25)
        for k, value in enumerate(values):
            out = still(value, 1.0)
            assert np.allclose(out, moving(value, 1.0 + k * DT))
        assert not np.allclose(out, values[-1])


def test_a_stamp_given_twice_does_not_undo_the_smoothing():
    noise = np.random.default_rng(0).normal(0, 0.003, (600, 2))
    stamps = np.arange(600) * DT
    twice = np.where(np.arange(600) % 10 == 9, stamps - DT, stamps)
    spread = []
    for times in (stamps, twice):
        smooth = VectorFilter(Smoothing.usual().sideways, 0.25)
        spread.append(np.std([smooth(v, t) for v, t in zip(noise, times)][30:]))
    assert spread[1] < 1.1 * spread[0]


def test_every_joint_and_every_point_is_filtered_by_its_own_speed():
    rng = np.random.default_rng(3)
    turns = Rotation.from_rotvec(rng.normal(0, 0.3, (20, 5, 3)).cumsum(0).reshape(-1, 3))
    turns = turns.as_matrix().reshape(20, 5, 3, 3)
    points = rng.normal(0, 0.1, (20, 5, 2)).cumsum(0)
    for kind, values in ((RotationFilter, turns), (VectorFilter, points)):
        together, alone = kind(OneEuro(), 0.25), [kind(OneEuro(), 0.25) for _ in range(5)]
        for k, value in enumerate(values):
            out = together(value, k * DT)
            each = [one(value[j:j + 1], k * DT)[0] for j, one in enumerate(alone)]
            assert np.allclose(out, each)


def test_a_filter_keeps_its_own_values_whatever_becomes_of_those_given_and_returned():
    rng = np.random.default_rng(4)
    turns = Rotation.from_rotvec(rng.normal(0, 0.3, (4, 3))).as_matrix()[:, None]
    for kind, values in ((RotationFilter, turns), (VectorFilter, rng.normal(size=(4, 5, 2)))):
        kept, spoilt = kind(OneEuro(), 0.25), kind(OneEuro(), 0.25)
        for k, value in enumerate(values):
            expected, given = kept(value, k * DT).copy(), value.copy()
            out = spoilt(given, k * DT)
            assert np.array_equal(out, expected)
            given[:], out[:] = 0.0, 0.0


@pytest.mark.parametrize('part', ['image', 'sideways', 'depth', 'pose'])
def test_only_what_is_asked_for_is_smoothed(part):
    smoother = HandSmoother(Smoothing(**{part: OneEuro(1.0, 0.0)}))
    rng = np.random.default_rng(5)
    for k in range(2):
        points, place = rng.normal(size=(21, 2)), rng.uniform(0.5, 1, 3)
        turns = Rotation.random(16, random_state=k).as_matrix()
        out = smoother.place(place, k * DT)
        same = {
            'image': np.array_equal(smoother.image_points(points, 100.0, k * DT), points),
            'sideways': np.allclose(out[:2] / out[2], place[:2] / place[2]),
            'depth': np.isclose(out[2], place[2]),
            'pose': np.array_equal(smoother.pose(turns, k * DT), turns),
        }
        assert same == {name: k == 0 or name != part for name in same}


def test_points_of_a_hand_without_a_size_stay_as_they_are():
    smoother = HandSmoother(Smoothing.usual())
    for k in range(3):
        assert np.array_equal(smoother.image_points(np.full((21, 2), k), 0.0, k * DT),
                              np.full((21, 2), k))


def test_rotations_stay_rotations_and_take_the_short_way():
    smooth = RotationFilter(OneEuro(2.0, 0.0), gap=1.0)
    start = Rotation.from_rotvec([0, 0, math.radians(170)])
    smooth(start.as_matrix()[None], 0.0)
    end = Rotation.from_rotvec([0, 0, math.radians(-170)])
    out = smooth(end.as_matrix()[None], DT)[0]
    assert np.allclose(out @ out.T, np.eye(3))
    turned = math.degrees((start.inv() * Rotation.from_matrix(out)).as_rotvec()[2])
    assert 0 < turned < 20


def test_a_hand_far_from_the_corner_of_the_image_is_quiet_though_its_size_is_uncertain():
    smoother, rng = HandSmoother(Smoothing.usual()), np.random.default_rng(2)
    hand = [1200, 650] + rng.uniform(-60, 60, (21, 2))
    noise = rng.normal(0, 1, (90, 21, 2))
    out = np.array([smoother.image_points(hand + shift, np.ptp(hand + shift, axis=0).max(), k * DT)
                    for k, shift in enumerate(noise)])
    assert (out[30:] - hand).std() < 0.7 * noise.std()


def test_image_filter_does_not_depend_on_the_size_of_the_hand():
    rng = np.random.default_rng(1)
    path = np.cumsum(rng.normal(0, 0.02, (20, 21, 2)), axis=0)
    near, far = (HandSmoother(Smoothing.usual()) for _ in range(2))
    for k, points in enumerate(path):
        a = near.image_points(400 * points, 400.0, k * DT)
        b = far.image_points(40 * points, 40.0, k * DT)
    assert np.allclose(a / 400, b / 40)


@pytest.mark.parametrize('change', [
    {'min_cutoff': 0.0}, {'beta': -1.0}, {'speed_cutoff': math.nan},
])
def test_settings_are_checked(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        OneEuro(**change)
    with pytest.raises(ValueError, match='gap'):
        Smoothing(gap=0.0)
