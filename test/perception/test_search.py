"""When an image is searched, and which of the boxes found there are looked at."""

import numpy as np
import pytest

from hiu_ros.perception.association import joint_box
from hiu_ros.perception.hand_memory import HandMemory
from hiu_ros.perception.options import TrackingOptions
from hiu_ros.perception.track import Track
from hiu_ros.perception.tracker import LATE, PAUSE, Tracker

JOINTS = np.random.default_rng(3).uniform(-0.5, 0.5, (21, 2))


def track(x=200.0, name='right_1', misses=0, sharpness=0.9):
    hand = Track(JOINTS * 100 + [x, 240], 0.0, HandMemory(), name=name, sharpness=sharpness)
    hand.hits, hand.misses = 5, misses
    return hand


def tracker(*tracks, max_hands=2, interval=3):
    """A tracker of these hands, in a new frame."""
    it = Tracker(TrackingOptions(finder_interval=interval), max_hands, 0.5)
    it.begin(0.0)
    it.tracks = list(tracks)
    it.begin(1 / 30)
    return it


def box(x=200.0, grow=1.0):
    return joint_box(JOINTS * 100 * grow + [x, 240])


@pytest.mark.parametrize('tracks, due', [
    ((), True), ((track(),), False), ((track(), track(400.0)), False),
    ((track(), track(400.0, misses=1)), True), ((track(misses=1),), True),
    # What has no name yet is not missed, and takes no place.
    ((track(), track(400.0, None, misses=1)), False), ((track(name=None),), False)])
def test_a_search_is_due_where_a_hand_is_missed_and_where_there_is_none(tracks, due):
    it = tracker(*tracks)
    it.unexplained([], [])
    assert it.wants_search() is due


def test_a_search_is_due_every_few_frames_unless_all_places_are_taken():
    for most, expected in ((2, [False, False, True, True]), (1, [False] * 4)):
        it, due = tracker(track(), max_hands=most), []
        it.unexplained([], [])
        for k in range(2, 6):
            it.begin(k / 30)
            due.append(it.wants_search())
        assert due == expected
    it = tracker(track(name=None), max_hands=1)
    assert [it.begin(k / 30) and it.wants_search() for k in (2, 3)] == [True, True]


def test_a_hand_in_sight_explains_the_box_that_lies_on_it():
    it = tracker(track())
    boxes = [box(195.0), box(400.0), box(215.0, 1.4)]
    assert it.unexplained(boxes, [0.7, 0.6, 0.5]) == [1]
    assert it.tracks[0].found == 0.7
    # One hand explains one box, and keeps the best score it was given.
    it = tracker(track())
    assert it.unexplained([box(), box(210.0), box(390.0)], [0.4, 0.3, 0.2]) == [1]
    it.unexplained([box()], [0.2])
    assert it.tracks[0].found == 0.4
    # Another hand elsewhere explains it no less.
    it = tracker(track(), track(400.0), max_hands=4)
    assert it.unexplained([box(395.0), box()], [0.7, 0.6]) == []


@pytest.mark.parametrize('at, grow, explained', [
    (200.0, 1.0, True), (228.0, 1.0, True), (300.0, 1.0, False), (200.0, 1.7, True),
    (200.0, 2.2, False), (200.0, 0.6, True), (200.0, 0.4, False), (215.0, 0.54, True)])
def test_a_box_that_is_much_larger_or_smaller_or_beside_a_hand_is_looked_at(at, grow, explained):
    assert tracker(track()).unexplained([box(at, grow)], [0.9]) == ([] if explained else [0])


@pytest.mark.parametrize('turned', [False, True])
def test_boxes_are_as_large_as_they_are_long(turned):
    flat = track()
    flat.keypoints = np.stack([np.linspace(150, 250, 21), np.linspace(225, 255, 21)], axis=1)
    if turned:
        flat.keypoints = flat.keypoints[:, ::-1]
    grown = [np.array([150.0, 205, 100, 70]), np.array([90.0, 225, 220, 30])]
    fits = [tracker(flat).unexplained([box[[1, 0, 3, 2]] if turned else box], [0.9]) == []
            for box in grown]
    assert fits == [True, False]


def test_of_two_hands_that_overlap_each_explains_the_box_that_lies_on_it_best():
    it = tracker(track(200.0), track(230.0), max_hands=4)
    assert it.unexplained([box(228.0), box(198.0), box(215.0)], [0.9, 0.8, 0.7]) == [2]
    assert [hand.found for hand in it.tracks] == [0.8, 0.9]


def test_a_hand_that_is_missed_or_blurred_explains_nothing():
    assert tracker(track(misses=1)).unexplained([box()], [0.9]) == [0]
    assert tracker(track(sharpness=0.2)).unexplained([box()], [0.9]) == [0]


def test_no_more_boxes_are_looked_at_than_there_are_places():
    boxes = [box(x) for x in (400.0, 600.0, 800.0)]
    assert tracker(max_hands=2).unexplained(boxes, [0.9] * 3) == [0, 1]
    assert tracker(track(), max_hands=2).unexplained(boxes, [0.9] * 3) == [0]
    assert tracker(track(), track(), max_hands=1).unexplained(boxes, [0.9] * 3) == []
    # What has no name takes no place, nor does a hand that is not in sight.
    assert tracker(track(name=None), max_hands=2).unexplained(boxes, [0.9] * 3) == [0, 1]
    assert tracker(track(misses=2), max_hands=2).unexplained(boxes, [0.9] * 3) == [0, 1]


def test_a_box_is_compared_with_where_a_hand_is_by_now():
    fast = track()
    fast.motion = np.array([3000.0, 0])
    it = tracker(fast)
    assert it.unexplained([box(300.0), box(200.0)], [0.9, 0.9]) == [1]
    assert np.allclose(it.expected()[0], fast.keypoints + [100, 0])


def test_frames_without_a_stamp_are_a_thirtieth_of_a_second_apart():
    it = Tracker(TrackingOptions(), 2, 0.5)
    assert it.begin(None) == 0
    assert it.begin(None) == pytest.approx(1 / 30)
    assert it.begin(5.0) == 5 and it.begin(None) == pytest.approx(5 + 1 / 30)


@pytest.mark.parametrize('step, kept', [(1 / 30, True), (0.0, True), (0.99 * PAUSE, True),
                                        (1.01 * PAUSE, False), (-0.99 * LATE, True),
                                        (-1.01 * LATE, False)])
def test_a_pause_or_time_that_runs_back_forgets_the_hands(step, kept):
    it = tracker(track())
    now = it.begin(1 / 30 + step)
    assert bool(it.tracks) is kept
    # Where it runs back by little, it stands still.
    assert now == (max(1 / 30 + step, 1 / 30) if kept else 1 / 30 + step)
