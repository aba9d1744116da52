"""Names that the readings of single frames give to hands, without a network or images."""

from types import SimpleNamespace

import numpy as np
import pytest

from hiu_ros.perception.colour import UNKNOWN
from hiu_ros.perception.options import TrackingOptions
from hiu_ros.perception.tracker import Tracker

JOINTS = np.random.default_rng(3).uniform(-0.5, 0.5, (21, 2))
TAN, PALE = np.array([50.0, 18.0, 24.0]), np.array([75.0, 8.0, 10.0])


def reading(x, size=100.0, colour=TAN, right=6.0):
    """A clear reading of a hand in the middle of an image."""
    points = JOINTS * size + [x, 240]
    one = SimpleNamespace(
        keypoints_px=points, keypoint_scores=np.full(21, 0.9), presence=0.99, score=0.95,
        quality=0.89, right=right, side='right' if right > 0 else 'left', colour=colour,
        size=float(np.ptp(points, axis=0).max()))
    one.as_side = lambda side: one
    return one


def names(tracker, stamp, readings, size=(640, 480)):
    """Names of what a frame shows, its readings being of regions that the finder chose."""
    tracker.begin(stamp, size)
    seen = tracker.update(readings, [None] * len(readings), [0.9] * len(readings))
    return [track.name for track, _ in seen]


@pytest.mark.parametrize('change, name', [
    ({}, 'right_1'), ({'colour': TAN + [8, 1, 1]}, 'right_1'), ({'colour': PALE}, 'right_2'),
    ({'right': -6.0}, 'left_2'), ({'x': 500}, 'right_2'), ({'colour': UNKNOWN}, 'right_2')])
def test_a_newcomer_that_is_a_lost_hand_by_its_colour_gets_its_name_back(change, name):
    tracker = Tracker(TrackingOptions(), 4, 0.5)
    for k in range(30):
        assert names(tracker, k / 30, [reading(100)]) == ['right_1']
    for k in range(30, 40):
        assert names(tracker, k / 30, []) == []
    # Of another size: what comes in at the edge is seen in part.
    assert names(tracker, 40 / 30, [reading(**{'x': 290, 'size': 40.0} | change)]) == [name]
    assert len(tracker.tracks) == (1 if name == 'right_1' else 2)


def test_a_left_hand_gets_its_name_back_too():
    tracker = Tracker(TrackingOptions(), 4, 0.5)
    for k in range(30):
        assert names(tracker, k / 30, [reading(100, right=-6.0)]) == ['left_1']
    for k in range(30, 40):
        names(tracker, k / 30, [])
    assert names(tracker, 40 / 30, [reading(290, 40.0, right=-6.0)]) == ['left_1']


def test_a_name_is_given_back_once_only():
    tracker = Tracker(TrackingOptions(), 4, 0.5)
    for k in range(30):
        names(tracker, k / 30, [reading(100)])
    for k in range(30, 40):
        names(tracker, k / 30, [])
    both = [reading(290, 40.0), reading(220, 40.0)]
    assert sorted(names(tracker, 40 / 30, both)) == ['right_1', 'right_2']


def test_a_hand_of_another_resolution_is_not_told_by_the_pixels_where_one_was():
    tracker = Tracker(TrackingOptions(), 4, 0.5)
    for k in range(30):
        assert names(tracker, k / 30, [reading(100)]) == ['right_1']
    assert names(tracker, 1.0, [reading(100)], (1280, 960)) == ['right_2']
    assert names(tracker, 1.03, [reading(100)], (1280, 960)) == ['right_2']


def test_of_lost_hands_the_last_one_seen_comes_back_and_none_that_had_no_name():
    tracker = Tracker(TrackingOptions(), 4, 0.5)
    for k in range(40):
        names(tracker, k / 30, [reading(x) for x, end in ((100, 30), (300, 34)) if k < end])
    assert names(tracker, 40 / 30, [reading(200, 40.0)]) == ['right_2']

    tracker, before = Tracker(TrackingOptions(), 4, 0.5), reading(100, right=-6.0)
    for k in range(24):
        # The finder is not sure of the other hand, which is then hidden.
        tracker.begin(k / 30, (640, 480))
        tracker.update([before, reading(140)][:2 if k < 20 else 1], [None, None], [0.9, 0.2])
    assert [track.name for track in tracker.tracks] == ['left_1', None]
    assert names(tracker, 24 / 30, [before, reading(165, 40.0)]) == ['left_1', 'right_2']


def test_a_hand_is_renamed_and_begun_anew_once_its_side_has_clearly_turned():
    tracker = followed(3)
    track, = tracker.tracks
    memory = track.memory
    for k in range(3, 9):
        names(tracker, k / 30, [reading(100, right=-6.0)])
        turned = track.right < -4
        assert track.name == ('left_2' if turned else 'right_1')
        assert (track.memory is memory) != turned
    assert turned


@pytest.mark.parametrize('change, frames, kept', [
    ({}, 4, False), ({'colour': PALE}, 4, True), ({'right': -6.0}, 4, True), ({}, 20, True)])
def test_a_young_hand_is_a_part_of_an_older_one_unless_side_or_colour_differ(change, frames, kept):
    tracker = Tracker(TrackingOptions(), 4, 0.5)
    for k in range(30):
        names(tracker, k / 30, [reading(100)])
    for k in range(30, 30 + frames):
        names(tracker, k / 30, [reading(100), reading(150, **change)])
    # Both regions show the older hand.
    tracker.begin(1 + frames / 30, (640, 480))
    tracker.update([reading(100), reading(101)], [0, 1], [0.0, 0.0])
    assert len(tracker.tracks) == 1 + kept


def test_a_hand_behind_another_one_is_not_missed_for_a_while():
    tracker, stamps = Tracker(TrackingOptions(max_misses=3), 4, 0.5), iter(np.arange(300) / 30)
    near, behind = reading(100), reading(140, right=-6.0)

    def left(frames, *readings):
        """How many hands are followed after so many frames that show these."""
        for _ in range(frames):
            names(tracker, next(stamps), readings)
        return len(tracker.tracks)

    assert left(10, near, behind, reading(400)) == 3
    assert left(4, near) == 2 == left(40, near)
    assert left(1, near, behind) == 2 == left(45, near)
    assert left(5, near) == 1
    # Only those frames are made good in which it was hidden since it was seen last.
    assert left(5, near, behind) == 2 == left(40, near)
    assert left(1, near, behind) == 2 and left(4) == 0


@pytest.mark.parametrize('x, y, kept', [
    (10, 240, True), (630, 240, True), (300, 10, True), (300, 470, True), (300, 240, False),
    (40, 240, False)])
def test_a_hand_at_the_edge_of_the_image_is_not_missed_for_a_while(x, y, kept):
    tracker, one = Tracker(TrackingOptions(max_misses=3), 4, 0.5), reading(x)
    one.keypoints_px = one.keypoints_px + [0, y - 240]
    for k in range(20):
        names(tracker, k / 30, [one] if k < 10 else [])
    assert len(tracker.tracks) == kept


def followed(frames=5, min_score=0.5):
    """A tracker that follows a right hand at 100."""
    tracker = Tracker(TrackingOptions(), 4, min_score)
    for k in range(frames):
        assert names(tracker, k / 30, [reading(100)]) == ['right_1']
    tracker.begin(frames / 30, (640, 480))
    return tracker


def unsure(x, score=0.4, **change):
    one = reading(x, **change)
    one.score = score
    return one


def test_a_reading_of_a_region_of_its_own_may_be_less_sure_and_farther_off():
    def shown(one, asker, min_score=0.5):
        tracker = followed(min_score=min_score)
        seen = [track.name for track, _ in tracker.update([one], [asker], [0.9])]
        return seen, len(tracker.tracks)

    assert shown(unsure(100), 0) == (['right_1'], 1) and shown(unsure(100), None) == ([], 1)
    assert shown(reading(150), 0) == (['right_1'], 1)
    assert shown(reading(150), None) == (['right_2'], 2)
    # What is no hand's, and unsure, begins none.
    assert shown(unsure(500), 0) == ([], 1)
    # Where little makes a hand, no more is asked of one that is followed.
    assert shown(unsure(100, 0.25), 0) == ([], 1)
    assert shown(unsure(100, 0.25), 0, min_score=0.2) == (['right_1'], 1)


def test_a_hand_is_shown_by_a_reading_of_its_side_only():
    tracker = followed()
    wrong, fitting = reading(100, right=-6.0), reading(101)
    fitting.quality = 0.8
    (_, shown), = tracker.update([wrong, fitting], [0, None], [0.0, 0.9])
    assert shown is fitting and tracker.tracks[0].side_to_try == 'right'
    tracker.begin(0.2, (640, 480))
    assert tracker.update([wrong], [0], [0.0]) == []
    assert tracker.tracks[0].misses == 0 and tracker.tracks[0].side_to_try is None


def test_of_newcomers_no_more_are_shown_than_asked_for():
    tracker = Tracker(TrackingOptions(), 1, 0.5)
    assert len(names(tracker, 0.0, [reading(100), reading(400)])) == 1 == len(tracker.tracks)
    # One that has a name goes before one that is surer.
    tracker = Tracker(TrackingOptions(), 1, 0.5)
    for k in range(4):
        assert names(tracker, k / 30, [unsure(100, 0.7)]) == ['right_1']
    assert names(tracker, 4 / 30, [reading(400), unsure(100, 0.7)]) == ['right_1']


def test_a_newcomer_seen_once_does_not_take_the_place_of_a_lost_hand():
    tracker = Tracker(TrackingOptions(), 1, 0.5)
    for k in range(30):
        assert names(tracker, k / 30, [reading(100)]) == ['right_1']
    for k in range(30, 35):
        names(tracker, k / 30, [])
    assert names(tracker, 35 / 30, [reading(500, right=0.2)]) == []
    assert names(tracker, 36 / 30, []) == []
    assert names(tracker, 37 / 30, [reading(100)]) == ['right_1']


def test_a_hand_of_unsure_side_is_named_three_frames_later():
    tracker = Tracker(TrackingOptions(), 4, 0.5)
    shown = [names(tracker, k / 30, [reading(100, right=0.2)]) for k in range(5)]
    assert shown == [[], [], [], ['right_1'], ['right_1']]


def test_a_hand_that_is_not_announced_yet_is_soon_forgotten():
    tracker = Tracker(TrackingOptions(min_hits=3), 4, 0.5)
    for k, (readings, left) in enumerate([([reading(100)], 1), ([], 1), ([], 0)]):
        assert names(tracker, k / 30, readings) == [] and len(tracker.tracks) == left


def test_frames_count_in_which_a_hand_is_clear_and_apart_from_others():
    tracker = Tracker(TrackingOptions(), 4, 0.5)
    for k, x in enumerate([400, 400, 400, 160, 160]):
        names(tracker, k / 30, [reading(100), reading(x, right=-6.0)])
    blurred = reading(100)
    blurred.quality = 0.5
    names(tracker, 5 / 30, [blurred])
    assert tracker.tracks[0].apart == 3
