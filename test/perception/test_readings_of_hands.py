"""Which readings of a frame begin, go on with and end followed hands."""

from types import SimpleNamespace

import numpy as np
import pytest

from hiu_ros.perception.options import TrackingOptions
from hiu_ros.perception.tracker import Tracker

JOINTS = np.random.default_rng(3).uniform(-0.5, 0.5, (21, 2))
TAN = np.array([50.0, 18.0, 24.0])


def reading(x=200.0, size=100.0, right=6.0, score=0.95, quality=0.89, y=240.0, alone=0.95):
    points = JOINTS * size + [x, y]
    one = SimpleNamespace(
        keypoints_px=points, keypoint_scores=np.full(21, 0.9), presence=0.99, score=score,
        score_alone=alone, quality=quality, right=right, colour=TAN,
        side='right' if right > 0 else 'left', size=float(np.ptp(points, axis=0).max()))
    one.as_side = lambda side: one
    return one


class Follower:
    """A tracker and the time of its last frame."""

    def __init__(self, max_hands=4, min_score=0.5, **options):
        self.tracker = Tracker(TrackingOptions(**options), max_hands, min_score)
        self.frame = 0

    def see(self, readings=(), askers=None, found=0.9, frames=1, lost=0.0):
        """Names of what the last of some frames shows. askers: None for readings of found
        regions."""
        askers = [None] * len(readings) if askers is None else askers
        for _ in range(frames):
            self.tracker.begin(self.frame / 30, (640, 480))
            self.frame += 1
            seen = self.tracker.update(
                readings, askers, [found if who is None else 0.0 for who in askers], lost)
        return [track.name for track, _ in seen]

    @property
    def names(self):
        """Names of all hands that are known."""
        return [track.name for track in self.tracker.tracks]


def test_a_new_hand_needs_a_better_reading_than_a_followed_one():
    run = Follower()
    assert run.see([reading(score=0.45)]) == [] and run.names == []
    assert run.see([reading(score=0.55)]) == ['right_1']
    assert run.see([reading(score=0.42)], [0]) == ['right_1']
    assert run.see([reading(score=0.29)], [0]) == []
    # What the finder chose is asked for as much as a new hand.
    assert run.see([reading(score=0.45)]) == []
    # Nor does a reading of a followed hand's region begin another one where it is not that hand.
    run = Follower()
    run.see([reading()], frames=3)
    assert run.see([reading(500.0, score=0.45)], [0]) == [] and run.names == ['right_1']


def test_a_followed_hand_is_never_asked_for_more_than_a_new_one():
    run = Follower(min_score=0.2)
    assert run.see([reading(score=0.25)]) == ['right_1']
    assert run.see([reading(score=0.22)], [0]) == ['right_1']
    assert run.see([reading(score=0.18)], [0]) == []


def test_a_hand_of_low_scores_for_many_frames_is_not_shown():
    run = Follower()
    run.see([reading()], frames=3)
    shown = [run.see([reading(score=0.32)], [0]) for _ in range(12)]
    assert shown[0] == ['right_1'] and shown[-1] == []
    assert run.names == ['right_1']


@pytest.mark.parametrize('misses, kept', [(5, True), (6, False)])
def test_a_named_hand_ends_when_it_is_missed_too_often(misses, kept):
    run = Follower(max_misses=5)
    run.see([reading()], frames=3)
    run.see(frames=misses)
    assert run.see([reading()]) == (['right_1'] if kept else ['right_2'])


def test_a_hand_without_a_name_ends_when_it_is_missed_twice():
    for misses, known in ((1, 1), (2, 0)):
        run = Follower(min_hits=3)
        run.see([reading()], frames=2)
        run.see(frames=misses)
        assert len(run.names) == known


def test_misses_of_a_hand_at_the_edge_or_behind_another_do_not_count_for_a_while():
    def gone(x, frames, *others):
        run = Follower(max_misses=5)
        run.see([reading(x), *others], frames=3)
        run.see(others, frames=frames)
        return 'right_1' not in run.names

    assert gone(200, 8) and gone(200, 8, reading(400))
    assert not gone(10, 40) and not gone(630, 40)
    assert not gone(200, 40, reading(250))
    # Not for ever, and not where it is all but within the image.
    assert gone(10, 60) and gone(200, 60, reading(250)) and gone(40, 8)


@pytest.mark.parametrize('x, y', [(300, 5), (300, 475), (-150, -150)])
def test_a_hand_may_leave_over_any_edge_or_corner_of_the_image(x, y):
    run = Follower(max_misses=5)
    run.see([reading(x, y=y)], frames=3)
    run.see(frames=20)
    assert run.names == ['right_1']


def test_a_hand_that_was_hidden_and_seen_again_may_be_hidden_as_long_again():
    run = Follower(max_misses=5)
    hidden = reading(250)
    run.see([reading(), hidden], frames=20)
    for _ in range(3):
        run.see([hidden], frames=40)
        assert len(run.names) == 2
        assert run.see([reading(), hidden]) == ['right_1', 'right_2']
    # Where nothing hides them, hands do not live on what they were hidden before.
    run.see(frames=8)
    assert run.names == []


def test_a_side_that_is_not_clear_is_waited_for_a_few_frames_only():
    run = Follower(min_hits=2)
    assert [run.see([reading(right=0.1)]) for _ in range(5)] == [[], [], [], [], ['right_1']]
    run = Follower(min_hits=2)
    assert [run.see([reading(right=-6.0)]) for _ in range(2)] == [[], ['left_1']]


@pytest.mark.parametrize('sizes', [[(640, 480)], [(640, 480), (480, 640)]])
def test_a_side_that_is_not_clear_is_not_waited_for_in_a_show_of_photographs(sizes):
    tracker, shown = Tracker(TrackingOptions(), 4, 0.5), []
    for k in range(4):
        tracker.begin(3.0 * k, sizes[k % len(sizes)])
        shown.append(len(tracker.update([reading(right=0.1)], [None], [0.9])))
    assert shown == [0, 0, 1, 1]
    # From here on the images are those of a video.
    tracker.begin(None, sizes[-1])
    assert tracker.update([reading(500.0, right=0.1)], [None], [0.9]) == []


def test_a_hand_the_finder_hardly_saw_has_no_name_until_it_is_found_again():
    run = Follower(announce_score=0.4)
    assert run.see([reading()], found=0.35, frames=20) == []
    assert run.see([reading()], [0]) == []
    assert run.see([reading()], found=0.45) == ['right_1']
    assert run.see([reading()], found=0.1) == ['right_1']


@pytest.mark.parametrize('found,alone,announced', [
    (0.35, 0.7, False),  # a coat rack
    (0.35, 0.95, True),
    (0.55, 0.6, True),
    (0.25, 0.95, False),
])
def test_what_the_finder_doubts_is_announced_where_it_looks_much_like_a_hand(
        found, alone, announced):
    run = Follower()
    assert bool(run.see([reading(alone=alone)], found=found, frames=20)) is announced
    # Doubts are counted from what is asked of the finder, and it sees less in poor light.
    run = Follower(announce_score=0.0)
    assert run.see([reading(alone=alone)], found=found)
    run = Follower()
    assert bool(run.see([reading(alone=alone)], found=found, lost=1.0)) is (found > 0.3)


def test_what_is_doubted_takes_no_place_of_a_hand():
    run = Follower(max_hands=1)
    assert run.see([reading(100, alone=0.6)], found=0.4) == []
    assert run.see([reading(100, alone=0.6)], [0], frames=20) == []
    assert run.see([reading(100, alone=0.6), reading(500)], [0, None]) == ['right_1']


def test_a_hand_keeps_its_name_where_it_looks_less_like_one_later():
    run = Follower()
    assert run.see([reading()], found=0.35) == ['right_1']
    assert run.see([reading(alone=0.1)], [0], frames=20) == ['right_1']


def test_a_newcomer_takes_no_name_of_a_hand_that_had_none():
    run = Follower(announce_score=0.4)
    # It may be back, since it is at the edge of the image.
    run.see([reading(5)], found=0.35, frames=20)
    run.see()
    # A part of it only, so another hand at first.
    assert run.see([reading(45, size=40.0)]) == ['right_1']


def test_a_side_that_turns_a_little_turns_no_name():
    run = Follower()
    run.see([reading()], frames=5)
    run.see([reading(right=-0.1)], frames=60)
    assert run.tracker.tracks[0].right < 0 and run.names == ['right_1']
    # Nor does a left hand get the name of a right one.
    run.see(frames=3)
    assert run.see([reading(240, size=40.0, right=-6.0)]) == ['left_2']


def test_what_was_learned_of_a_hand_ends_with_its_side():
    run = Follower()
    run.see([reading()], frames=5)
    memory = run.tracker.tracks[0].memory
    names = [run.see([reading(right=-6.0)]) for _ in range(30)]
    assert names[-1] == ['left_2'] and run.names == ['left_2']
    assert run.tracker.tracks[0].memory is not memory
    # In between nothing is shown: the hand has one side, its readings have the other.
    assert [] in names and ['right_1'] not in names and ['right_2'] not in names


def test_with_one_hand_too_many_named_ones_go_before_new_ones_and_sure_ones_before_others():
    run = Follower(max_hands=2, min_hits=2)
    run.see([reading(100), reading(300)], frames=5)
    assert sorted(run.see([reading(500, score=0.99), reading(100), reading(300)], frames=5)) == [
        'right_1', 'right_2']
    assert sorted(run.names) == ['right_1', 'right_2']
    run = Follower(max_hands=1)
    assert run.see([reading(100, score=0.6), reading(300, score=0.9)]) == ['right_1']
    assert [track.trust for track in run.tracker.tracks] == [0.9]


@pytest.mark.parametrize('found', [[0.2, 0.9], [0.9, 0.2]])
def test_with_one_hand_too_many_what_gets_a_name_goes_before_what_the_finder_hardly_saw(found):
    tracker = Tracker(TrackingOptions(announce_score=0.5), 1, 0.5)
    tracker.begin(0.0, (640, 480))
    readings = [reading(x, score=0.9 if score < 0.5 else 0.7)
                for x, score in zip((100.0, 400.0), found)]
    (_, shown), = tracker.update(readings, [None, None], found)
    assert shown is readings[found.index(0.9)]


def test_of_many_missed_hands_those_seen_last_are_kept():
    run = Follower(max_hands=2)
    for x in (100, 300, 500):
        run.see([reading(x)], frames=2)
    run.see()
    assert run.names == ['right_2', 'right_3']


def test_hands_come_in_one_order_whatever_their_quality():
    run = Follower()
    for quality in (0.95, 0.8, 0.9):
        seen = run.see([reading(100, quality=0.89), reading(400, quality=quality)], [0, 1]
                       if run.names else None)
        assert seen == ['right_1', 'right_2']


def test_of_two_readings_of_a_hand_the_one_of_its_side_is_shown():
    run = Follower()
    run.see([reading()], frames=3)
    other = reading(201)
    other.side = 'left'
    for readings in ([other, reading(quality=0.8)], [reading(quality=0.8), other]):
        assert run.see(readings, [0, None]) == ['right_1']
    assert run.see([other], [0]) == []


def test_of_several_readings_of_a_hand_the_sharpest_of_its_side_is_shown():
    run = Follower()
    run.see([reading()], frames=3)
    other, sharp = reading(202, quality=0.95), reading(201, quality=0.85)
    other.side = 'left'
    run.tracker.begin(0.1, (640, 480))
    (_, shown), = run.tracker.update(
        [reading(quality=0.8), sharp, reading(199, quality=0.7), other], [0, None, None, None],
        [0.0, 0.9, 0.9, 0.9])
    assert shown is sharp


def test_a_hand_that_is_back_is_the_one_that_was_seen_last():
    run = Follower()
    run.see([reading(100), reading(340)], frames=20)
    run.see([reading(340)], frames=2)
    run.see(frames=15)
    assert run.see([reading(220, size=45.0)]) == ['right_2']


def test_a_frame_in_which_one_hand_is_near_another_is_none_in_which_it_was_seen_apart():
    def apart(other, **change):
        run = Follower()
        run.see([reading(200, **change), *other], frames=4)
        return run.tracker.tracks[0].apart

    assert apart([]) == apart([reading(400)]) == 4
    assert apart([reading(280)]) == apart([], quality=0.5) == apart([], score=0.55) == 0


def test_a_newcomer_read_as_the_older_hand_ends_but_not_where_it_may_be_another():
    def left(older_frames=30, younger_frames=4, right=6.0, x=150.0, older=6.0,
             grown=1.0):
        run = Follower()
        run.see([reading(100, right=older)], frames=older_frames)
        run.see([reading(100, right=older), reading(x, right=right)], [0, None],
                frames=younger_frames)
        assert len(run.names) == 2
        # The regions of both show the older hand.
        both = [reading(x, 100 * grown, right=older) for x in (100, 101)]
        assert run.see(both, [0, 1])[0] == run.names[0]
        return len(run.names)

    assert left() == left(right=-6.0, older=-6.0) == 1
    assert left(grown=2.5) == 1  # of which only a part was seen
    assert left(right=-6.0) == 2  # of the other side
    assert left(x=300.0) == 2  # seen apart
    assert left(younger_frames=20) == 2  # not new


def test_a_newcomer_that_is_a_part_of_the_second_of_two_hands_at_one_place_ends():
    run = Follower()
    pair = [reading(100, right=-6.0), reading(400)]
    run.see(pair, frames=30)
    run.see([*pair, reading(450)], [0, 1, None], frames=4)
    assert len(run.names) == 3
    # The left hand moved in front of the right one: the regions of all three show one hand.
    run.see([reading(x, right=6.0) for x in (400, 400, 401)], [0, 1, 2])
    assert run.names == ['left_1', 'right_2']


def test_what_has_no_name_itself_ends_no_newcomer():
    run = Follower(announce_score=0.5)
    run.see([reading(100)], found=0.4, frames=30)
    run.see([reading(100), reading(150)], [0, None], found=0.4, frames=2)
    run.see([reading(100), reading(101)], [0, 1])
    assert run.names == [None, None]


def test_a_missed_hand_ends_in_images_whose_size_is_not_known():
    tracker = Tracker(TrackingOptions(max_misses=5), 4, 0.5)
    for k in range(20):
        tracker.begin(k / 30)
        tracker.update([reading()] if k < 5 else [], [None] if k < 5 else [], [0.9])
    assert tracker.tracks == []
