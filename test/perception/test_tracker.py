import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hiu_ros.perception.association import steadiness
from hiu_ros.perception.colour import UNKNOWN
from hiu_ros.perception.estimator import HandEstimator, Region
from hiu_ros.perception.lifting import HandMemory
from hiu_ros.perception.options import PipelineOptions, TrackingOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.track import Track
from hiu_ros.perception.tracker import Tracker

OPTIONS = PipelineOptions(device='cpu', fit_pose=False, fit_outline=False)


def follow(stage, scenes, options=OPTIONS, stamps=None, run=None):
    """Ids by the true labels of the hands, one dictionary a frame; '?' where there is no hand."""
    run = run or Pipeline(options, network=stage, finder=stage)
    seen = []
    for k, hands in enumerate(scenes):
        stamp = k / 30 if stamps is None else stamps[k]
        out = run.process(stage.image(hands), stage.camera, stamp)
        frame = {}
        for hand in out:
            away = {t.label: np.linalg.norm(t.pixels - hand.keypoints_px, axis=1).mean()
                    for t in hands}
            nearest = min(away, key=away.get, default='?')
            frame[nearest if away.get(nearest, 1e9) < 15 else '?'] = hand.id
        seen.append(frame)
    return seen


def ids(seen, label):
    return [frame[label] for frame in seen if label in frame]


def test_a_hand_is_announced_after_min_hits_and_keeps_its_name(make_stage):
    stage = make_stage()
    scenes = [[stage.hand('left', (0.005 * k - 0.1, 0.0, 0.6))] for k in range(20)]
    options = replace(OPTIONS, tracking=TrackingOptions(min_hits=3))
    seen = follow(stage, scenes, options)
    assert seen[:2] == [{}, {}]
    assert ids(seen, 'left') == ['left_1'] * 18


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


def names(tracker, stamp, readings):
    """Names of what a frame shows, its readings being of regions that the finder chose."""
    tracker.begin(stamp, (640, 480))
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


def test_a_name_is_given_back_once_only():
    tracker = Tracker(TrackingOptions(), 4, 0.5)
    for k in range(30):
        names(tracker, k / 30, [reading(100)])
    for k in range(30, 40):
        names(tracker, k / 30, [])
    both = [reading(290, 40.0), reading(220, 40.0)]
    assert sorted(names(tracker, 40 / 30, both)) == ['right_1', 'right_2']


def test_a_young_hand_of_another_colour_is_no_part_of_an_older_one():
    for colour, expected in ((PALE, {'right_1', 'right_2'}), (TAN, {'right_1'})):
        tracker = Tracker(TrackingOptions(), 4, 0.5)
        for k in range(30):
            names(tracker, k / 30, [reading(100)])
        for k in range(30, 34):
            names(tracker, k / 30, [reading(100), reading(150, colour=colour)])
        # Both regions show the older hand.
        tracker.begin(34 / 30, (640, 480))
        tracker.update([reading(100), reading(101)], [0, 1], [0.0, 0.0])
        assert {track.name for track in tracker.tracks} == expected


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


def test_there_are_no_ghosts_in_an_empty_image(make_stage):
    stage = make_stage()
    stage.find = lambda image: [
        type('D', (), {'box': np.array([100.0, 100, 80, 80]), 'side': None, 'side_score': 0.5,
                       'score': 0.9})]
    assert follow(stage, [[]] * 10) == [{}] * 10


def test_what_looks_like_a_hand_at_times_only_is_dropped(make_stage):
    stage = make_stage()
    def scene(presence):
        hand = stage.hand()
        hand.presence = presence
        return [hand]
    faint = follow(stage, [scene(0.9 if k % 5 == 0 else 0.02) for k in range(30)])
    assert sum(map(bool, faint)) < 12
    dimmed = follow(stage, [scene(0.32 if k in (10, 11, 12) else 0.95) for k in range(20)])
    assert ids(dimmed, 'right') == ['right_1'] * 20


def test_two_regions_on_one_hand_are_one_hand(make_stage):
    stage = make_stage()
    find = stage.find
    stage.find = lambda image: [d for d in find(image) for _ in range(2)]
    assert all(len(frame) <= 1 for frame in follow(stage, [[stage.hand()]] * 6))
    run = Pipeline(OPTIONS, network=stage, finder=stage)
    for k in range(6):
        assert len(run.process(stage.image([stage.hand()]), None, k / 30)) <= 1


def test_a_newcomer_on_an_older_hand_ends_and_the_older_one_goes_on(make_stage):
    stage = make_stage()
    perfect, astray = stage.predict, [False]

    def shrunk(images):
        # For a while the region of the followed hand shows a part of it only.
        reading = perfect(images)
        if not astray[0]:
            return reading
        points, scores = reading.keypoints_px.clone(), reading.keypoint_scores.clone()
        points[0], scores[0] = 32 + 0.62 * (points[0] - 32) + 4, 0.4
        return reading._replace(keypoints_px=points, keypoint_scores=scores)

    stage.predict = shrunk
    run = Pipeline(replace(OPTIONS, tracking=TrackingOptions(finder_interval=2)),
                   network=stage, finder=stage)
    names = []
    for k in range(40):
        astray[0] = 10 <= k < 16
        out = run.process(stage.image([stage.hand()]), stage.camera, k / 30)
        names.append({hand.id for hand in out})
    assert names[-1] == {'right_1'}
    assert all(len(frame) <= 1 for frame in names[20:])


def test_a_part_of_a_hand_taken_for_a_hand_merges_with_it(make_stage):
    stage = make_stage()
    find, perfect = stage.find, stage.predict

    def part(image):
        hand, = find(image)
        x, y, w, h = hand.box
        return [hand, type(hand)(np.array([x, y, w / 2, h / 2]), None, 0.5, 0.8)]

    def shrunk(images):
        reading = perfect(images)
        small = np.ptp(reading.keypoints_px.numpy(), axis=1).max(1) > 0.8 * stage.config.input_size
        points = reading.keypoints_px.clone()
        points[small] = 32 + 0.4 * (points[small] - 32)
        scores = reading.keypoint_scores.clone()
        scores[small] = 0.5
        return reading._replace(keypoints_px=points, keypoint_scores=scores)

    stage.find, stage.predict = part, shrunk
    seen = follow(stage, [[stage.hand()]] * 6, replace(OPTIONS, refine_passes=0))
    assert [len(frame) for frame in seen[1:]] == [1] * 5


def test_one_frame_of_a_wrong_side_changes_nothing(make_stage):
    stage = make_stage()
    scenes = [[stage.hand('left' if k == 12 else 'right', (0, 0, 0.6), label='it')]
              for k in range(20)]
    assert set(ids(follow(stage, scenes), 'it')) == {'right_1'}


def test_a_side_that_stays_turned_gets_a_name_of_that_side(make_stage):
    stage = make_stage()
    scenes = [[stage.hand('right' if k < 6 else 'left', (0, 0, 0.6), label='it')]
              for k in range(60)]
    names = ids(follow(stage, scenes), 'it')
    assert list(dict.fromkeys(names)) == ['right_1', 'left_2']
    assert names.index('left_2') < 35


def test_half_a_second_of_one_mistaken_pose_does_not_turn_a_hand_seen_for_seconds(make_stage):
    """A hand that rests is mistaken in the same way in every frame."""
    stage = make_stage()
    hand = stage.hand('right')
    estimator = HandEstimator(stage)
    reading = estimator.look(
        [Region(stage.image([hand]), estimator.crop_around(hand.pixels), 'right')])[0]
    track = Track(reading.keypoints_px, 0.0, None)
    for frame in range(80):
        track.see(replace(reading, right=7.0), frame / 30)
    for frame in range(80, 100):
        track.see(replace(reading, right=-2.0), frame / 30)
    assert track.right > 0
    # What stays turned is another hand.
    for frame in range(100, 125):
        track.see(replace(reading, right=-7.0), frame / 30)
    assert track.right < -4


def test_time_that_runs_back_forgets_the_hands_but_not_their_names(make_stage):
    stage = make_stage()
    stamps = [10.0, 10.03, 10.07, 2.0, 2.03, 2.07]
    seen = follow(stage, [[stage.hand()]] * 6, stamps=stamps)
    assert ids(seen[:3], 'right') == ['right_1'] * 3
    assert ids(seen[3:], 'right') == ['right_2'] * 3


def test_a_recording_gives_the_same_names_every_time(make_stage):
    def once():
        stage = make_stage(noise=0.5)
        scenes = [[stage.hand('right', (0.2 - 0.01 * k, 0.0, 0.6)),
                   stage.hand('left', (-0.2 + 0.01 * k, 0.05, 0.75))][:1 + (k > 5)]
                  for k in range(25)]
        return follow(stage, scenes)
    assert once() == once()


def test_finder_rests_while_a_hand_is_followed(make_stage):
    stage = make_stage()
    options = replace(OPTIONS, tracking=TrackingOptions(finder_interval=10))
    follow(stage, [[stage.hand()]] * 31, options)
    assert stage.searches <= 5
    stage.searches = 0
    follow(stage, [[stage.hand()]] * 20, replace(options, max_hands=1))
    assert stage.searches <= 2
    stage.searches = 0
    follow(stage, [[]] * 5, options)
    assert stage.searches == 5


def test_no_more_hands_than_asked_for(make_stage):
    stage = make_stage()
    hands = [stage.hand('right', (x, y, 0.9), label=f'{x}{y}')
             for x in (-0.3, 0.0, 0.3) for y in (-0.15, 0.15)]
    seen = follow(stage, [hands] * 8, replace(OPTIONS, max_hands=3))
    assert [len(frame) for frame in seen[2:]] == [3] * 6
    assert len({name for frame in seen for name in frame.values()}) == 3


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


def test_a_fast_hand_is_followed_by_its_motion(make_stage):
    stage = make_stage()
    # 1.2 m/s at 0.6 m: 40 pixels a frame with a hand of about 190.
    scenes = [[stage.hand(place=(0.04 * k - 0.28, 0, 0.6))] for k in range(15)]
    options = replace(OPTIONS, tracking=TrackingOptions(finder_interval=1000))
    seen = follow(stage, scenes, options)
    assert ids(seen, 'right') == ['right_1'] * 15


def test_a_hand_that_comes_in_fast_gets_one_name(make_stage):
    stage = make_stage()
    # Its own size, 75 pixels, a frame: where it was is no longer in sight of it.
    scenes = [[stage.hand(place=(0.19 * k - 0.7, 0, 1.5))] for k in range(8)]
    assert set(ids(follow(stage, scenes), 'right')) == {'right_1'}


def test_a_young_hand_seen_apart_keeps_its_name_behind_an_older_one(make_stage):
    stage = make_stage()
    older = stage.hand('right', (-0.1, 0, 0.6), label='older')
    path = [0.25] * 4 + [0.25 - 0.06 * k for k in range(1, 12)]
    scenes = [[older]] * 20 + [
        [older, stage.hand('right', (x, 0, 0.65), label='young')] for x in path]
    seen = follow(stage, scenes)
    assert seen[23] == {'older': 'right_1', 'young': 'right_2'}
    assert seen[-1] == {'older': 'right_1', 'young': 'right_2'}


def test_what_a_blurred_hand_seems_to_be_counts_less_for_its_side():
    def after_one_look(score):
        joints = np.random.default_rng(3).uniform(0, 90, (21, 2))
        track = Track(joints, 0.0, HandMemory())
        track.see(SimpleNamespace(
            keypoints_px=joints, keypoint_scores=np.full(21, score), presence=1.0, right=-4.1,
            size=90.0, score=0.8, quality=score, colour=UNKNOWN), 0.0)
        return track.right

    # From 2.5 on a hand may be named after one frame.
    assert after_one_look(0.9) < -2.5 < after_one_look(0.41) < 0


@pytest.mark.parametrize('change', [
    {'min_hits': 0}, {'max_misses': -1}, {'finder_interval': 0}, {'keep_score': 2.0},
    {'announce_score': -0.1},
    {'min_hits': 1.5},
])
def test_options_of_tracking_are_checked(change):
    with pytest.raises(ValueError, match=f'TrackingOptions.{next(iter(change))}'):
        TrackingOptions(**change)


def test_what_is_read_as_another_pose_in_every_frame_is_no_hand(make_stage):
    stage = make_stage()
    rng = np.random.default_rng(4)

    def fold():
        """Another pose, at the same place."""
        hand = stage.hand('right', turn=rng.uniform(-2, 2, 3), label='ghost')
        off = hand.keypoints_m.mean(0) * [1, 1, 0]
        return replace(hand, place=hand.place - off,
                       pixels=stage.camera.project(hand.keypoints_m + hand.place - off))

    seen = follow(stage, [[fold()] for _ in range(30)])
    # A hand that turns by 100 degrees a second is none the worse for it.
    turning = [[stage.hand('right', turn=(0.3, 0.2, 0.06 * k))] for k in range(30)]
    assert len(ids(seen, 'ghost')) < 15
    assert ids(follow(stage, turning), 'right') == ['right_1'] * 30


def test_steadiness_is_of_the_pose_not_of_the_place():
    points = np.random.default_rng(5).uniform(0, 100, (21, 2))
    other = np.random.default_rng(6).uniform(0, 100, (21, 2))
    assert steadiness(points + 300, points, 1 / 30) == 1
    assert steadiness(other, points, 1 / 30) < 0.2
    assert steadiness(other, points, 1.0) == 1


STRICT = replace(OPTIONS, tracking=TrackingOptions(announce_score=0.5))


def scored(stage, scores):
    """Let the stage's finder give the hands of each search this score, the last one for ever."""
    find, given = stage.find, iter(scores)
    last = [0.0]

    def find_scored(image):
        last[0] = next(given, last[0])
        return [replace(detection, score=last[0]) for detection in find(image)]

    stage.find = find_scored


def test_a_hand_is_announced_once_the_finder_was_sure_of_it(make_stage):
    """Weak finds are looked at, but named only after a strong one; later ones may be weak."""
    stage = make_stage()
    scored(stage, [0.4, 0.4, 0.4, 0.7, 0.35])
    scenes = [[stage.hand(place=(0.004 * k - 0.1, 0, 0.6))] for k in range(40)]
    seen = follow(stage, scenes, STRICT)
    first = next(k for k, frame in enumerate(seen) if frame)
    assert first == 3
    assert ids(seen, 'right') == ['right_1'] * (40 - first)


def test_what_the_finder_is_never_sure_of_is_not_announced(make_stage):
    stage = make_stage()
    scored(stage, [0.45])
    scenes = [[stage.hand(place=(0.004 * k - 0.1, 0, 0.6))] for k in range(20)]
    assert not any(follow(stage, scenes, STRICT))
    options = replace(OPTIONS, tracking=TrackingOptions(announce_score=0.4))
    assert len(ids(follow(stage, scenes, options), 'right')) >= 17


def test_what_is_not_announced_takes_no_place(make_stage):
    stage = make_stage()
    find = stage.find
    stage.find = lambda image: [
        replace(d, score=0.4 if d.box[0] < 250 else 0.9) for d in find(image)]
    scenes = [[stage.hand('left', (-0.2, 0, 0.6)), *([stage.hand('right', (0.2, 0, 0.6))]
              if k >= 6 else [])] for k in range(20)]
    seen = follow(stage, scenes, replace(STRICT, max_hands=1))
    assert len(ids(seen, 'right')) >= 10 and not ids(seen, 'left')


def test_a_search_that_misses_a_hand_now_and_then_changes_nothing(make_stage):
    stage = make_stage()
    find, turns = stage.find, itertools.count()
    stage.find = lambda image: [] if next(turns) % 2 else find(image)
    scenes = [[stage.hand(place=(0.004 * k - 0.1, 0, 0.6))] for k in range(40)]
    seen = follow(stage, scenes)
    assert set(ids(seen, 'right')) == {'right_1'} and len(ids(seen, 'right')) >= 37


def test_hands_behind_others_need_not_be_found(make_stage):
    stage = make_stage()
    scenes = [[stage.hand('right', (0.0, 0.0, 0.5)), stage.hand('left', (0.12, 0.02, 0.6))]
              for _ in range(40)]
    find = stage.find
    stage.find = lambda image: find(image)[:1] if len(stage.scenes) > 3 else find(image)
    seen = follow(stage, scenes)
    assert len(ids(seen, 'right')) >= 36 and len(ids(seen, 'left')) >= 30
