"""A followed hand keeps its id, and gets it back, whatever other hands do."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hiu_ros.perception.colour import UNKNOWN
from hiu_ros.perception.options import TrackingOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.smoothing import Smoothing
from hiu_ros.perception.tracker import Tracker
from test.perception.conftest import OPTIONS, follow, ids

JOINTS = np.random.default_rng(3).uniform(-0.5, 0.5, (21, 2))
TAN, PALE = np.array([50.0, 18.0, 24.0]), np.array([75.0, 8.0, 10.0])


def test_two_hands_that_cross_keep_their_names(make_stage):
    stage = make_stage()
    scenes = [[stage.hand('right', (0.2 - 0.01 * k, 0.0, 0.6)),
               stage.hand('left', (-0.2 + 0.01 * k, 0.05, 0.75))] for k in range(40)]
    seen = follow(stage, scenes)
    for side in ('left', 'right'):
        assert len(set(ids(seen, side))) == 1
        assert len(ids(seen, side)) >= 34
    assert not ids(seen, '?')


def test_two_hands_of_one_side_that_cross_keep_their_names(make_stage):
    stage = make_stage()
    scenes = [[stage.hand('right', (0.22 - 0.011 * k, 0.03, 0.6), label='a'),
               stage.hand('right', (-0.22 + 0.011 * k, -0.06, 0.7), label='b')]
              for k in range(40)]
    seen = follow(stage, scenes)
    assert len(set(ids(seen, 'a'))) == 1 and len(set(ids(seen, 'b'))) == 1


def test_a_hand_hidden_for_a_moment_gets_its_name_back(make_stage):
    stage = make_stage()
    scenes = [[stage.hand(place=(0.006 * k - 0.1, 0, 0.6))] if not 8 <= k < 14 else []
              for k in range(24)]
    seen = follow(stage, scenes)
    assert set(ids(seen, 'right')) == {'right_1'}
    assert all(not frame for frame in seen[8:14])
    assert len(seen[14]) == 1


def test_a_hand_that_leaves_the_image_for_a_second_keeps_its_name(make_stage):
    stage = make_stage()
    options = replace(OPTIONS, tracking=TrackingOptions(max_misses=5))
    # In half a second out over the left edge, out of it for a second, and back.
    at = [*np.linspace(-0.1, -0.45, 15), *[-0.7] * 28, *np.linspace(-0.45, -0.1, 15)]
    scenes = [[stage.hand(place=(x, 0, 0.6))] for x in at]
    seen = follow(stage, scenes, options)
    assert not seen[30] and seen[-1]
    assert set(ids(seen, 'right')) == {'right_1'}


def test_a_hand_missed_for_long_is_left_to_the_finder_and_keeps_its_name(make_stage):
    stage = make_stage()
    run = Pipeline(OPTIONS, network=stage, finder=stage)
    looks, names = [], []
    for k in range(56):
        stage.calls.clear()
        image = stage.image([stage.hand()] if not 5 <= k < 50 else [])
        names.append([hand.id for hand in run.process(image, stage.camera, k / 30)])
        looks.append(sum(stage.calls))
    assert all(looks[5:25]) and not any(looks[26:50])
    assert names[4] == names[-1] == ['right_1']


def test_a_hand_gone_for_long_comes_back_under_a_new_name(make_stage):
    stage = make_stage()
    options = replace(OPTIONS, tracking=TrackingOptions(max_misses=3))
    scenes = [[stage.hand()] if k < 5 or k > 12 else [] for k in range(20)]
    assert list(dict.fromkeys(ids(follow(stage, scenes, options), 'right'))) == [
        'right_1', 'right_2']


def test_a_hand_that_comes_in_fast_gets_one_name(make_stage):
    stage = make_stage()
    # Its own size, 75 pixels, a frame: where it was is no longer in sight of it.
    scenes = [[stage.hand(place=(0.19 * k - 0.7, 0, 1.5))] for k in range(8)]
    assert set(ids(follow(stage, scenes), 'right')) == {'right_1'}


def test_a_fast_hand_is_followed_by_its_motion(make_stage):
    stage = make_stage()
    # 1.2 m/s at 0.6 m: 40 pixels a frame with a hand of about 190.
    scenes = [[stage.hand(place=(0.04 * k - 0.28, 0, 0.6))] for k in range(15)]
    options = replace(OPTIONS, tracking=TrackingOptions(finder_interval=1000))
    seen = follow(stage, scenes, options)
    assert ids(seen, 'right') == ['right_1'] * 15


def test_a_waving_hand_keeps_its_name_at_five_images_a_second(make_stage):
    stage = make_stage()
    # It turns back where its motion says that it goes on, and is a size off its prediction.
    scenes = [[stage.hand(place=(x, 0, 1.5))] for x in [-0.1, 0.0, 0.1, 0.0] * 5]
    seen = follow(stage, scenes, stamps=[k / 5 for k in range(len(scenes))])
    assert set(ids(seen, 'right')) == {'right_1'}


def test_a_young_hand_seen_apart_keeps_its_name_behind_an_older_one(make_stage):
    stage = make_stage()
    older = stage.hand('right', (-0.1, 0, 0.6), label='older')
    path = [0.25] * 4 + [0.25 - 0.06 * k for k in range(1, 12)]
    scenes = [[older]] * 20 + [
        [older, stage.hand('right', (x, 0, 0.65), label='young')] for x in path]
    seen = follow(stage, scenes)
    assert seen[23] == {'older': 'right_1', 'young': 'right_2'}
    assert seen[-1] == {'older': 'right_1', 'young': 'right_2'}


def test_where_one_hand_is_too_many_the_youngest_ends(make_stage):
    stage = make_stage()
    old = replace(stage.hand('left', (-0.2, 0, 0.6)), presence=0.7)
    back = stage.hand('right', (0.2, 0, 0.6), label='back')
    young = stage.hand('right', (-0.25, -0.28, 0.9), label='young')
    scenes = [[old, back]] * 20 + [[old, young]] * 5 + [[old, back, young]] * 6
    seen = follow(stage, scenes, replace(OPTIONS, max_hands=2))
    assert len(set(ids(seen, 'left'))) == 1 and len(ids(seen, 'left')) >= 30
    assert 'young' in seen[22]
    assert [set(frame) for frame in seen[26:]] == [{'left', 'back'}] * 5


def test_time_that_runs_back_forgets_the_hands_but_not_their_names(make_stage):
    stage = make_stage()
    stamps = [10.0, 10.03, 10.07, 2.0, 2.03, 2.07]
    seen = follow(stage, [[stage.hand()]] * 6, stamps=stamps)
    assert ids(seen[:3], 'right') == ['right_1'] * 3
    assert ids(seen[3:], 'right') == ['right_2'] * 3


@pytest.mark.parametrize('late', [0.05, 0.15])
def test_a_clock_set_back_a_little_and_images_out_of_order_keep_the_hands(make_stage, late):
    stage = make_stage()
    options = replace(OPTIONS, smoothing=Smoothing.usual())
    stamps = [10 + k / 30 - late * (k % 4 == 3) for k in range(12)]
    stamps += [stamp - late + 0.4 for stamp in stamps]
    scenes = [[stage.hand('right', (0.01 * k, 0, 0.6))] for k in range(24)]
    seen = follow(stage, scenes, options, stamps)
    assert ids(seen, 'right') == ['right_1'] * 24


def test_a_recording_gives_the_same_names_every_time(make_stage):
    def once():
        stage = make_stage(noise=0.5)
        scenes = [[stage.hand('right', (0.2 - 0.01 * k, 0.0, 0.6)),
                   stage.hand('left', (-0.2 + 0.01 * k, 0.05, 0.75))][:1 + (k > 5)]
                  for k in range(25)]
        return follow(stage, scenes)
    assert once() == once()


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
