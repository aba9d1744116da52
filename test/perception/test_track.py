"""What a followed hand remembers, and where it is looked for next."""

from types import SimpleNamespace

import numpy as np
import pytest

from hiu_ros.perception.colour import UNKNOWN
from hiu_ros.perception.hand_memory import HandMemory
from hiu_ros.perception.track import YOUNG, Track

STEP = 1 / 30
JOINTS = np.random.default_rng(3).uniform(-0.5, 0.5, (21, 2))
JOINTS /= np.ptp(JOINTS, axis=0).max()
TAN, PALE = np.array([50.0, 18.0, 24.0]), np.array([75.0, 8.0, 10.0])


def reading(x=200.0, size=100.0, colour=TAN, right=6.0, quality=0.9, score=0.95, presence=1.0):
    return SimpleNamespace(
        keypoints_px=JOINTS * size + [x, 240], keypoint_scores=np.full(21, quality),
        presence=presence, score=score, quality=quality, right=right, colour=colour, size=size)


def followed(frames, speed=0.0, **change):
    """A hand seen in so many frames, that moves by `speed` px from one to the next."""
    track = Track(reading(200.0).keypoints_px, 0.0, HandMemory())
    for k in range(frames):
        track.see(reading(200.0 + speed * k, **change), k * STEP)
    return track


def moved(track, stamp):
    """How far a hand is expected to be from where it was seen last, px."""
    away = track.expected(stamp) - track.keypoints
    assert np.allclose(away, away[0])
    return away[0]


def test_a_hand_that_moves_steadily_is_expected_where_it_will_be():
    track = followed(12, speed=10.0)
    assert np.allclose(moved(track, track.stamp + STEP), [10, 0], atol=0.1)
    assert np.allclose(moved(followed(1, speed=10.0), STEP), 0)


def test_a_single_leap_is_not_expected_to_go_on_in_full():
    track = followed(12, speed=10.0)
    track.see(reading(200.0 + 11 * 10 + 40), track.stamp + STEP)
    assert 12 < moved(track, track.stamp + STEP)[0] < 35


def test_a_missed_hand_slows_down_and_stops():
    track, way = followed(12, speed=10.0), []
    for misses in range(40):
        track.misses = misses
        way.append(moved(track, track.stamp + (misses + 1) * STEP)[0])
    steps = np.diff(way)
    assert way[0] == pytest.approx(10, abs=0.1)
    assert (steps > 0).all() and (np.diff(steps) < 0).all() and steps[0] < 8
    assert steps[-1] < 0.01 and 25 < way[-1] < 50


def test_a_slow_camera_does_not_throw_a_hand_far_ahead():
    track = followed(12, speed=10.0)
    assert moved(track, track.stamp + 1.5)[0] <= 0.2 * 10 / STEP + 1


def test_neither_bursts_nor_pauses_tell_a_motion():
    track = followed(12, speed=10.0)
    motion = track.motion
    track.see(reading(track.keypoints.mean(axis=0)[0] + 10), track.stamp + 0.001)
    assert np.allclose(track.motion, motion)
    track.see(reading(500.0), track.stamp + 0.7)
    assert np.allclose(track.motion, 0) and np.allclose(moved(track, track.stamp + STEP), 0)
    track.see(reading(510.0), track.stamp + STEP)
    assert 3 < moved(track, track.stamp + STEP)[0] <= 10


def test_a_hand_is_looked_for_in_a_wider_region_the_longer_it_is_missed():
    track, margins = followed(12), []
    for misses in range(10):
        track.misses = misses
        margins.append(track.margin(crowded=False))
    assert margins[0] == 1 and 1.05 < margins[1] < 1.2
    assert (np.diff(margins) >= 0).all() and 1.2 < margins[-1] < 1.6


def test_the_region_of_blurred_joints_is_wider_but_does_not_grow_with_their_spread():
    sharp, blurred = followed(12), followed(12, quality=0.3)
    assert sharp.margin(crowded=False) == 1 and 1.05 < blurred.margin(crowded=False) < 1.3
    region = blurred.margin(crowded=False) * 100
    blurred.keypoints = JOINTS * 150 + 200
    assert blurred.margin(crowded=False) * 150 == pytest.approx(region, rel=0.05)
    blurred.keypoints = JOINTS * 50 + 200
    assert blurred.margin(crowded=False) * 50 < region
    sharp.misses = blurred.misses = 4
    assert blurred.margin(crowded=False) >= sharp.margin(crowded=False)


def test_where_hands_touch_a_region_stays_about_as_large_as_the_hand():
    track = followed(12)
    assert track.margin(crowded=True) == 1
    # A part of the hand is seen.
    track.keypoints = JOINTS * 50 + 200
    assert 75 < track.margin(crowded=True) * 50 <= 100 and track.margin(crowded=False) == 1
    track.keypoints = JOINTS * 10 + 200
    assert track.margin(crowded=True) * 10 < 30
    assert followed(2, size=0.0).margin(crowded=True) == 1


@pytest.mark.parametrize('crowded', [False, True])
def test_a_hand_whose_joints_fall_on_one_point_has_a_region_too(crowded):
    assert followed(2, size=0.0, quality=0.0).margin(crowded) >= 1


def test_the_usual_size_follows_slowly():
    track = followed(12)
    track.see(reading(size=50.0), track.stamp + STEP)
    assert 90 < track.size < 98
    for _ in range(60):
        track.see(reading(size=50.0), track.stamp + STEP)
    assert track.size == pytest.approx(50, abs=1)


def test_both_sides_are_tried_until_one_is_sure_and_again_when_in_doubt():
    for side, right in (('right', 6.0), ('left', -6.0)):
        track = followed(1, right=right)
        track.side = side
        first = track.side_score
        assert 0.9 < first < 0.99
        for _ in range(3):
            track.see(reading(right=right), track.stamp + STEP)
        assert track.side_to_try == side and track.side_score > first
        track.doubtful = True
        assert track.side_to_try is None
        track.doubtful, track.right = False, -track.right
        assert track.side_to_try is None and track.side_score < 0.01
    assert followed(1, right=1.0).side_to_try is None


def test_no_frame_says_more_of_the_side_than_another_and_a_doubtful_one_says_less():
    most = followed(1, right=6.0).right
    assert most == followed(1, right=60.0).right == followed(1, right=6.0, quality=1.0).right
    assert followed(1, right=6.0, presence=0.3).right < 0.5 * most
    assert followed(1, right=6.0, quality=0.3).right < 0.5 * most
    # One sharp joint makes no sharp hand.
    track, one = followed(0), reading(right=6.0, quality=0.3)
    one.keypoint_scores[8] = 1.0
    track.see(one, 0.0)
    assert track.right < 0.5 * most


def test_left_hands_are_told_as_soon_as_right_ones():
    for frames in (1, 3, 40):
        assert followed(frames, right=-0.5).right == -followed(frames, right=0.5).right


def test_a_side_seen_for_minutes_can_still_turn_within_seconds():
    track = followed(1000)
    for _ in range(30):
        track.see(reading(right=-6.0), track.stamp + STEP)
    assert track.right < 0


def test_the_colour_is_the_mean_of_the_first_frames_and_then_changes_slowly():
    track = followed(1, colour=UNKNOWN)
    assert np.isnan(track.colour).all()
    track = followed(1)
    track.see(reading(colour=PALE), STEP)
    assert np.allclose(track.colour, (TAN + PALE) / 2)
    track.see(reading(colour=UNKNOWN), 2 * STEP)
    assert np.allclose(track.colour, (TAN + PALE) / 2)
    track = followed(100)
    track.see(reading(colour=PALE), track.stamp + STEP)
    assert 0.02 < np.linalg.norm(track.colour - TAN) / np.linalg.norm(PALE - TAN) < 0.1
    late = followed(1, colour=UNKNOWN)
    late.see(reading(colour=PALE), STEP)
    assert np.allclose(late.colour, PALE)


def test_trust_and_sharpness_are_those_of_the_last_frames():
    track = followed(1, score=0.6, quality=0.5)
    assert (track.trust, track.sharpness) == (0.6, 0.5)
    track.see(reading(score=0.0, quality=0.0), STEP)
    assert 0.3 < track.trust < 0.55 and 0.3 < track.sharpness < 0.45
    for _ in range(20):
        track.see(reading(score=0.9, quality=0.8), track.stamp + STEP)
    assert (track.trust, track.sharpness) == pytest.approx((0.9, 0.8), abs=0.01)


def test_another_pose_in_the_next_frame_is_worth_less_than_the_same_one():
    track, folded = followed(12), followed(12)
    track.see(reading(), track.stamp + STEP)
    other = reading()
    other.keypoints_px = other.keypoints_px[::-1]
    folded.see(other, folded.stamp + STEP)
    assert folded.trust < 0.8 * track.trust


def test_only_a_named_hand_in_sight_and_not_too_blurred_is_sure_of_its_place():
    def state(name='right_1', misses=0, quality=0.9):
        track = followed(3, quality=quality)
        track.name, track.misses = name, misses
        return track.sure

    assert state() and state(quality=0.3)
    assert not (state(name=None) or state(misses=1) or state(quality=0.1))


def test_a_hand_is_awaited_near_and_the_farther_the_longer_it_is_missed():
    track = followed(YOUNG)
    near = track.awaited(track.stamp + STEP)
    track.misses = 5
    missed = track.awaited(track.stamp + 6 * STEP)
    assert not near.lost and missed.lost and near.patience < 1 < missed.patience < 2
    # How long counts, not how many images came.
    track.misses = 0
    assert track.awaited(track.stamp + 6 * STEP).patience == pytest.approx(missed.patience)
    young = followed(YOUNG - 1)
    young.misses = 5
    assert not young.awaited(young.stamp + 6 * STEP).lost
    # Where it is headed is not known yet.
    assert 1.3 < followed(2).awaited(2 * STEP).patience < 2.5
    assert not near.named and near.right == track.right and near.colour is track.colour


def test_a_hand_that_turns_out_to_be_an_older_one_is_that_one_from_now_on():
    old, new = followed(YOUNG, right=-6.0), followed(2, colour=PALE)
    old.name, old.side, old.apart, old.found = 'left_3', 'left', 7, 0.8
    new.found = 0.4
    new.go_on_as(old)
    assert (new.name, new.side, new.apart, new.found) == ('left_3', 'left', 7, 0.8)
    assert new.memory is old.memory and new.right == old.right
    assert new.colour is old.colour and new.hits == YOUNG + 2
