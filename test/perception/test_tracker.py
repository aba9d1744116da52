"""Which hands are announced, on which side, and which end."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hiu_ros.geometry.crop import Crop
from hiu_ros.perception.association import steadiness
from hiu_ros.perception.colour import UNKNOWN
from hiu_ros.perception.estimator import HandEstimator, Region
from hiu_ros.perception.hand_memory import HandMemory
from hiu_ros.perception.options import TrackingOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.reading import Reading
from hiu_ros.perception.track import Track
from hiu_ros.perception.tracker import Tracker
from test.perception.conftest import OPTIONS, follow, ids


def test_a_hand_is_announced_after_min_hits_and_keeps_its_name(make_stage):
    stage = make_stage()
    scenes = [[stage.hand('left', (0.005 * k - 0.1, 0.0, 0.6))] for k in range(20)]
    options = replace(OPTIONS, tracking=TrackingOptions(min_hits=3))
    seen = follow(stage, scenes, options)
    assert seen[:2] == [{}, {}]
    assert ids(seen, 'left') == ['left_1'] * 18


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


def test_images_that_are_stamped_in_bursts_keep_their_hands(make_stage):
    stage = make_stage()
    scenes = [[stage.hand('right', (0.006 * k - 0.15, 0.05 * np.sin(k / 3), 0.6))]
              for k in range(50)]
    stamps = [k / 30 if k % 2 else (k + 1) / 30 - 0.001 for k in range(50)]
    seen = follow(stage, scenes, stamps=stamps)
    assert set(ids(seen, 'right')) == {'right_1'} and len(ids(seen, 'right')) > 47


def test_a_hand_of_unsure_side_is_announced_where_every_image_comes_after_a_pause(make_stage):
    stage = make_stage()

    def doubtful():
        hand = stage.hand('right')
        hand.presence = 0.7
        return [hand]

    seen = follow(stage, [doubtful() for _ in range(6)], stamps=[3.0 * k for k in range(6)])
    assert seen[:2] == [{}, {}] and all(seen[2:])
    # One pause is no reason to hurry.
    assert follow(make_stage(), [doubtful(), doubtful()], stamps=[0.0, 3.0]) == [{}, {}]


def test_a_newcomer_that_is_one_too_many_takes_no_name_with_it():
    tracker = Tracker(TrackingOptions(), max_hands=1, min_score=0.5)
    joints = np.random.default_rng(0).uniform(-50, 50, (21, 2))

    def reading(x, right, presence):
        return Reading(
            Crop((x, 300.0), 140.0, resolution=32), 'right', joints + [x, 300.0],
            np.full(21, 0.9), np.zeros((32, 32), np.float32), np.tile(np.eye(3), (16, 1, 1)),
            np.zeros(10), presence, 1.0, right, legible=presence)

    def names(k, readings, askers):
        tracker.begin(k / 30, (2000, 800))
        found = [0.9 if asker is None else 0.0 for asker in askers]
        return [track.name for track, _ in tracker.update(readings, askers, found)]

    for k in range(30):
        old = names(k, [reading(300.0, 5.0, 0.9)], [0 if k else None])
    for k in range(30, 33):
        names(k, [], [])
    # Another hand, of no clear side and surer, and then the old one, a little further off.
    names(33, [reading(900.0, 0.5, 0.99)], [None])
    names(34, [reading(900.0, 0.5, 0.99), reading(420.0, 5.0, 0.9)], [1, None])
    assert old == ['right_1'] and 'right_1' in {track.name for track in tracker.tracks}
