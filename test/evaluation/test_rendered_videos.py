"""What rendered videos are made to show, and which of their hands must be found."""

from types import SimpleNamespace

import numpy as np
import pytest

from hiu_ros.evaluation.following import FollowingScores
from hiu_ros.evaluation.tracking import (
    PlacingScores,
    as_seen,
    at_rest,
    follow,
    lag,
    noisy_depth,
    visible_box,
)
from hiu_ros.geometry.camera import Camera
from hiu_ros.perception.result import Hands

SIZE = SimpleNamespace(width=640, height=480)
CAMERA = Camera(500.0, 500.0, 40.0, 30.0, 81, 61)


def joints(x, y, width=20, height=10):
    points = np.tile([x - width / 2, y - height / 2], (21, 1)).astype(float)
    points[::2] += [width, height]
    points[0] = x, y
    return points


@pytest.mark.parametrize('x, y, visible, counted', [
    (320, 240, 0.4, True), (320, 240, 0.39, False), (635, 240, 1.0, True), (5, 475, 1.0, True),
    (660, 240, 1.0, False), (-20, 240, 1.0, False), (320, -20, 1.0, False), (320, 500, 1.0, False),
    (660, 240, 0.1, False)])
def test_a_hand_must_be_found_while_it_is_seen_and_its_middle_lies_in_the_image(
        x, y, visible, counted):
    true = SimpleNamespace(id='a', side='left', visible=visible, keypoints_px=joints(x, y))
    found = SimpleNamespace(id='left_1', side='right', keypoints_px=joints(630, 240))
    (truth,), (seen,) = as_seen(SimpleNamespace(hands=[true]), [found], 'video', SIZE)
    assert truth.counted == counted
    assert (truth.id, seen.id) == (('video', 'a'), ('video', 'left_1'))
    assert (truth.side, seen.side) == ('left', 'right')
    assert seen.box.tolist() == [620, 235, 20, 10]


def test_boxes_end_at_the_image_and_are_a_pixel_wide_at_least():
    size = [640, 480]
    assert visible_box(joints(100, 50), size).tolist() == [90, 45, 20, 10]
    assert visible_box(joints(0, 478), size).tolist() == [0, 473, 10, 7]
    assert visible_box(joints(638, 2), size).tolist() == [628, 0, 12, 7]
    assert visible_box(joints(-50, 50), size).tolist() == [0, 45, 1, 10]
    assert visible_box(joints(100, 50, 0.5, 0.5), size)[2:].tolist() == [1, 1]


def test_a_hand_at_rest_looks_as_from_the_wanted_distance_with_fresh_noise_in_each_image():
    image = np.full((61, 81, 3), 100, np.uint8)
    image[20:40, 50:70] = 200  # 10 to 29 px right of the principal point
    still, = at_rest(image, CAMERA, 0.5, 1.0, 1, 0.0)
    assert still.dtype == np.uint8 and still.shape == image.shape
    rows, columns = np.nonzero(still[..., 0] > 150)
    assert (columns.min(), columns.max()) == pytest.approx((45, 54.5), abs=1)
    assert (rows.min(), rows.max()) == pytest.approx((25, 34.5), abs=1)
    assert still[0, 0, 0] == 100  # what was beyond the image is as its edge
    same, = at_rest(image, CAMERA, 0.5, 0.5, 1, 0.0)
    assert np.array_equal(same, image)
    first, second = at_rest(image, CAMERA, 0.5, 0.5, 2, 2.0, seed=3)
    again, _ = at_rest(image, CAMERA, 0.5, 0.5, 2, 2.0, seed=3)
    assert np.array_equal(first, again) and (first != second).mean() > 0.5
    noise = first.astype(float) - image
    assert noise.std() == pytest.approx(2.0, rel=0.05) and abs(noise.mean()) < 0.1
    bright, = at_rest(np.full_like(image, 254), CAMERA, 0.5, 0.5, 1, 4.0)
    assert bright.min() > 200


def test_the_noise_of_depth_grows_with_its_square_and_holes_are_a_tenth():
    for away, deviation in ((0.5, 0.001), (1.0, 0.004), (2.0, 0.016)):
        measured = noisy_depth(np.full((200, 200), away), np.random.default_rng(1))
        seen = measured[measured > 0]
        assert seen.mean() == pytest.approx(away, abs=0.001)
        assert seen.std() == pytest.approx(deviation, rel=0.05)
        assert (measured == 0).mean() == pytest.approx(0.1, abs=0.01)


def test_the_background_covers_a_pixel_of_outlines_but_nothing_of_slopes():
    slope = np.tile(np.linspace(0.5, 0.9, 50), (50, 1))
    slope[20:] = np.inf
    measured = noisy_depth(slope, np.random.default_rng(2), wall=1.5)
    assert all(np.median(row[row > 0]) > 1.4 for row in (measured[19], measured[25]))
    near = measured[:19]
    assert near.max() < 1.0 and np.median(near[near > 0]) == pytest.approx(0.7, abs=0.02)


def test_scores_of_no_place_are_not_numbers():
    row = PlacingScores().row()
    assert row.pop('hands') == 0 and np.isnan(list(row.values())).all()


def test_places_within_one_sigma_are_counted_and_their_distances_kept():
    at = np.array([0.0, 0.0, 0.5])
    true = SimpleNamespace(keypoints_m=np.zeros((21, 3)), translation=at,
                           keypoints_px=np.full((21, 2), 40.0))
    scores = PlacingScores()
    for sigma in (0.02, 0.06, 0.07, float('nan')):
        scores.add(true, SimpleNamespace(
            keypoints_px=true.keypoints_px, keypoints_m=np.zeros((21, 3)),
            translation_m=1.1 * at, depth_sigma_m=sigma), CAMERA)
    assert scores.row()['inside'] == 0.5 and scores.away == [0.5] * 4
    assert scores.row()['bias'] == pytest.approx(10)


def test_every_frame_that_is_followed_is_told():
    class Video(list):
        width, height, camera_matrix = 81, 61, CAMERA.matrix

    ticks = []
    frames = Video(SimpleNamespace(image=None, time=k, hands=[]) for k in range(3))
    run = SimpleNamespace(process=lambda *arguments: Hands(81, 61))
    shown = follow(run, frames, 'a', FollowingScores(), tick=lambda: ticks.append(1))
    assert [frame for frame, _ in shown] == frames and len(ticks) == 3


def test_lag_of_whole_frames_up_to_six_is_told():
    path = np.random.default_rng(0).normal(size=(60, 3)).cumsum(axis=0)
    for late in (1, 3, 6):
        smooth = np.concatenate([np.repeat(path[:1], late, axis=0), path[:-late]])
        assert lag(path, smooth, 10.0) == pytest.approx(late / 10)
