from types import SimpleNamespace

import numpy as np
import pytest

from hiu_ros.evaluation.following import FollowingScores, Seen
from hiu_ros.evaluation.tracking import PlacingScores, follow, jitter, lag, noisy_depth
from hiu_ros.geometry.camera import Camera
from hiu_ros.perception.result import Hands


def seen(name, x, side='right', counted=True):
    return Seen(name, np.array([float(x), 0, 100, 100]), side, counted)


def test_perfect_following_scores_one():
    scores = FollowingScores()
    for k in range(10):
        truth = [seen('a', k), seen('b', 300 - k)]
        scores.add(truth, [seen('left_1', k), seen('right_2', 300 - k)])
    row = scores.row()
    assert row['recall'] == row['mota'] == row['idf1'] == row['side'] == 1.0
    assert row['switches'] == row['false'] == 0


def test_an_overlap_of_a_half_is_a_match_and_one_hand_in_one_frame_scores_one():
    half = Seen('x', np.array([0.0, 0, 50, 100]), 'right')
    scores = FollowingScores()
    assert scores.add([seen('a', 0)], [half]) == [(0, 0)]
    row = scores.row()
    assert row['recall'] == row['mota'] == row['idf1'] == row['side'] == 1.0
    assert FollowingScores().add([seen('a', 0)], [
        Seen('x', np.array([0.0, 0, 49, 100]), 'right')]) == []
    # A quarter excuses a find on a hardly seen hand.
    for width, false in ((25, 0.0), (24, 1.0)):
        scores = FollowingScores()
        scores.add([seen('a', 0, counted=False)],
                   [Seen('x', np.array([0.0, 0, width, 100]), 'right')])
        assert scores.row()['false'] == false


def test_a_change_of_name_is_one_switch():
    scores = FollowingScores()
    for k in range(10):
        scores.add([seen('a', 0)], [seen('x' if k < 6 else 'y', 5)])
    row = scores.row()
    assert row['switches'] == 1 and row['switches_per_1000'] == 100
    assert row['mota'] == pytest.approx(0.9) and row['idf1'] == pytest.approx(0.6)


def test_a_name_that_comes_back_after_a_gap_is_no_switch():
    scores = FollowingScores()
    for k in range(9):
        scores.add([seen('a', 0)], [] if 3 <= k < 6 else [seen('x', 0)])
    row = scores.row()
    assert row['switches'] == 0 and row['recall'] == pytest.approx(6 / 9)


def test_missed_and_false_hands_and_wrong_sides():
    scores = FollowingScores()
    # Boxes that overlap by less than a half are no match.
    scores.add([seen('a', 0), seen('b', 300)], [seen('x', 10, 'left'), seen('y', 340)])
    row = scores.row()
    assert (row['recall'], row['false'], row['side']) == (0.5, 0.5, 0.0)
    assert row['mota'] == 0.0


def test_hardly_seen_hands_neither_count_nor_harm():
    scores = FollowingScores()
    scores.add([seen('a', 0, counted=False)], [seen('x', 0)])
    scores.add([seen('a', 0, counted=False)], [])
    scores.add([seen('a', 0, counted=False)], [seen('x', 0), seen('y', 20)])
    assert scores.row()['hand_frames'] == 0 and scores.row()['false'] == 0
    scores.add([seen('b', 0)], [seen('z', 0), seen('y', 20)])
    assert scores.row()['false'] == 0.5
    # A half of the overlap of a match excuses a find; less does not, nor being another's.
    for x, false in ((45, 0), (65, 1), (500, 1)):
        scores = FollowingScores()
        scores.add([seen('a', 0, counted=False), seen('b', 50)],
                   [seen('x', 0), seen('z', 50), seen('y', -x)])
        assert (scores.false, scores.found, scores.matches) == (false, 1 + false, 1)


def test_a_match_that_holds_is_kept_over_a_closer_newcomer():
    scores = FollowingScores()
    scores.add([seen('a', 0)], [seen('x', 20)])
    pairs = scores.add([seen('a', 0)], [seen('y', 0), seen('x', 20)])
    assert pairs == [(0, 1)] and scores.row()['switches_per_1000'] == 0
    # It is kept even where both hands had a match without it.
    pairs = scores.add([seen('a', 0), seen('b', 25)], [seen('y', -10), seen('x', 25)])
    assert pairs == [(0, 1)]


def test_lag_is_told_to_a_fraction_of_a_frame():
    t = np.arange(200) / 30
    path = np.stack([np.sin(2 * t), np.cos(3 * t)], axis=1)
    late = t - 0.05
    assert lag(path, np.stack([np.sin(2 * late), np.cos(3 * late)], axis=1), 30.0) == (
        pytest.approx(0.05, abs=0.004))
    assert lag(path, path, 30.0) == 0.0


def test_jitter_is_in_millimetres():
    places = np.random.default_rng(0).normal(0, [0.001, 0.002, 0.005], (4000, 3))
    assert jitter(places) == pytest.approx((2.0, 5.0), rel=0.1)


def test_simulated_depth_has_the_faults_of_a_sensor():
    depth = np.full((100, 100), np.inf)
    depth[30:70, 30:70] = 0.6
    measured = noisy_depth(depth, np.random.default_rng(0))
    assert 0.05 < (measured == 0).mean() < 0.15
    inner = measured[35:65, 35:65]
    assert np.median(inner[inner > 0]) == pytest.approx(0.6, abs=0.001)
    rim = measured[30, 31:69]
    assert (rim[rim > 0] > 1.5).all()


def test_a_place_is_scored_in_percent_millimetres_and_pixels():
    camera = Camera(500.0, 500.0, 320.0, 240.0, 640, 480)
    joints = np.random.default_rng(1).uniform(-0.05, 0.05, (21, 3))
    joints -= joints[0]
    place = np.array([0.3, 0.0, 0.4])
    true = SimpleNamespace(keypoints_m=joints + [1, 2, 3], translation=place,
                           keypoints_px=camera.project(joints + place))

    def hand(translation, sigma):
        return SimpleNamespace(
            keypoints_px=true.keypoints_px + [3, 4], keypoints_m=joints + [0, 0, 0.002],
            translation_m=translation, depth_sigma_m=sigma)

    scores = PlacingScores()
    # Joints 2 mm too far, the wrist 10 % too near: more than the one sigma, less than the other.
    for sigma in (0.04, 0.06):
        scores.add(true, hand(0.9 * place, sigma), camera)
    row = scores.row()
    assert (row['bias'], row['distance'], row['distance_90']) == pytest.approx((-10, 10, 10))
    assert (row['millimetres'], row['root_relative']) == pytest.approx((50, 2))
    assert (row['keypoints'], row['inside'], row['hands']) == pytest.approx((5, 0.5, 2))
    away = camera.project(joints + [0, 0, 0.002] + 0.9 * place) - true.keypoints_px
    assert row['reprojection'] == pytest.approx(np.linalg.norm(away, axis=1).mean())
    scores.add(true, hand(None, float('nan')), camera)
    assert scores.row()['hands'] == 3 and len(scores.distance) == 2


def test_each_hand_of_a_video_is_scored_against_the_true_one_it_matches():
    camera = Camera(500.0, 500.0, 320.0, 240.0, 640, 480)
    joints = np.random.default_rng(1).uniform(-0.05, 0.05, (2, 21, 3))

    def true(k, name, x, away):
        keypoints = joints[k] + [x, 0, away]
        return SimpleNamespace(
            id=name, side='left', visible=1.0, keypoints_m=keypoints, translation=keypoints[0],
            keypoints_px=camera.project(keypoints))

    class Video(list):
        width, height = 640, 480
        camera_matrix = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])

    video = Video(SimpleNamespace(
        image=k, time=k / 30, depth=np.full((4, 4), 0.7),
        hands=[true(0, 'a', -0.1 + 0.01 * k, 0.5), true(1, 'b', 0.2, 0.8)]) for k in range(3))
    asked = []

    def process(image, given, stamp, depth):
        """What a perfect pipeline gives, in the other order and behind a hand that is none."""
        asked.append((stamp, depth is not None))
        found = [SimpleNamespace(
            id=f'left_{hand.id}', side='left', keypoints_px=given.project(hand.keypoints_m),
            keypoints_m=hand.keypoints_m - hand.translation, translation_m=hand.translation,
            depth_sigma_m=0.05) for hand in video[image].hands[::-1]]
        none = SimpleNamespace(id='left_9', side='left', keypoints_px=np.eye(21, 2) * 40)
        return Hands(640, 480, (none, *found))

    following, placing = FollowingScores(), PlacingScores()
    for seed, scored in ((None, None), (3, placing)):
        frames = list(follow(SimpleNamespace(process=process), video, f'video {seed}', following,
                             scored, depth_seed=seed))
        assert [frame for frame, _ in frames] == video
    assert asked == [(k / 30, seeded) for seeded in (False, True) for k in range(3)]
    assert placing.row()['hands'] == 6
    assert placing.row()['millimetres'] == pytest.approx(0) == placing.row()['keypoints']
    scores = following.row()
    assert (scores['hand_frames'], scores['recall'], scores['switches']) == (12, 1, 0)
    assert scores['false'] == pytest.approx(6 / 18)
