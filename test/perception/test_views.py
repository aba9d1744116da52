"""A region seen several times says what it says when seen once."""

from dataclasses import replace

import numpy as np
import pytest

from hiu_ros.geometry.crop import NETWORK_SCALE, Crop
from hiu_ros.perception.estimator import HandEstimator, Region
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.views import VIEWS, averaged, views_of


@pytest.mark.parametrize('side', ['right', 'left'])
def test_views_of_a_perfect_network_agree_with_one(make_stage, side):
    stage = make_stage(resolution=128)
    hand = stage.hand(side, place=(0.0, 0.1, 0.9), turn=(0.5, -0.3, 0.4))
    image = stage.image([hand])
    estimator = HandEstimator(stage)
    crop = estimator.crop_around(hand.pixels)
    one, many = estimator.look([Region(image, crop, side),
                                Region(image, crop, side, views=len(VIEWS))])
    # The stage tells places by colour, in steps of 2.5 px.
    assert np.linalg.norm(many.keypoints_px - one.keypoints_px, axis=1).mean() < 1.5
    np.testing.assert_allclose(many.rotations, one.rotations, atol=0.02)
    np.testing.assert_allclose(np.linalg.det(many.rotations), 1, atol=1e-6)
    assert many.crop == one.crop
    assert many.side == side
    # The views turn both ways alike; seen turned one way alone, it is the same hand, too.
    aside, = estimator.look([Region(image, replace(crop, angle=crop.angle + 0.3), side)])
    both = averaged([one, aside])
    np.testing.assert_allclose(both.rotations, one.rotations, atol=0.02)
    assert np.abs(both.mask - one.mask).mean() < 0.02


def test_joints_weigh_by_their_scores_and_looks_by_their_shares(make_stage):
    stage = make_stage(resolution=128)
    hand = stage.hand('right')
    image = stage.image([hand])
    estimator = HandEstimator(stage)
    one, = estimator.look([Region(image, estimator.crop_around(hand.pixels), 'right')])
    scores = np.full(21, 0.8)
    scores[8] = 0.2
    other = replace(one, keypoints_px=one.keypoints_px + [10.0, 0.0], keypoint_scores=scores)
    one = replace(one, keypoint_scores=np.full(21, 0.8))
    moved = (averaged([one, other]).keypoints_px - one.keypoints_px)[:, 0]
    assert moved[0] == pytest.approx(5.0, abs=0.05)
    assert moved[8] == pytest.approx(2.0, abs=0.05)
    moved = (averaged([one, other], [1.0, 0.25]).keypoints_px - one.keypoints_px)[:, 0]
    assert moved[0] == pytest.approx(2.0, abs=0.05)
    unseen = [replace(r, keypoint_scores=np.zeros(21)) for r in (one, other)]
    moved = (averaged(unseen).keypoints_px - one.keypoints_px)[:, 0]
    np.testing.assert_allclose(moved, 5.0)


@pytest.fixture
def error_of(make_stage):
    """Mean error of the joints, px, of a noisy network's readings with these looks at a region."""
    stage = make_stage(noise=3.0)
    hand = stage.hand('right')
    image = stage.image([hand])
    estimator = HandEstimator(stage)
    crop = estimator.crop_around(hand.pixels)

    def error(**looks) -> float:
        readings = estimator.look([Region(image, crop, 'right', **looks)] * 16)
        return np.mean([np.linalg.norm(reading.keypoints_px - hand.pixels, axis=1).mean()
                        for reading in readings])

    return error


def test_views_average_out_noise(error_of):
    assert error_of(views=len(VIEWS)) < 0.6 * error_of(views=1)


def test_a_second_look_counts_together_with_the_first(error_of):
    # Shares of 1, 0.5, 0.5 and 0.5 leave 0.53 of independent noise.
    assert error_of(passes=3) < 0.7 * error_of(passes=0)


@pytest.mark.parametrize('count', range(1, len(VIEWS) + 1))
def test_views_of_a_left_hand_are_mirror_images_of_those_of_a_right_one(count):
    right = Crop((300.0, 200.0), 100.0, 0.4)
    left = replace(right, centre=(339.0, 200.0), angle=-0.4)
    for a, b in zip(views_of(right, count), views_of(left, count, 'left')):
        assert b == replace(a, centre=left.centre, angle=-a.angle)


def test_readings_count_by_their_shares(make_stage):
    stage = make_stage()
    hand = stage.hand('right')
    estimator = HandEstimator(stage)
    one = estimator.look([Region(stage.image([hand]), estimator.crop_around(hand.pixels))])[0]
    other = replace(one, keypoints_px=one.keypoints_px + 3.0, presence=0.4, right=-2.0,
                    mask=np.zeros_like(one.mask))
    both = averaged([one, other], [1.0, 0.5])
    np.testing.assert_allclose(both.keypoints_px, one.keypoints_px + 1.0)
    np.testing.assert_allclose(both.mask, one.mask / 1.5, atol=1e-6)
    assert both.presence == pytest.approx((2 * one.presence + 0.4) / 3)
    assert both.right == pytest.approx((2 * one.right - 2.0) / 3)
    even = averaged([one, other])
    np.testing.assert_allclose(even.keypoints_px, one.keypoints_px + 1.5)


def test_all_that_is_said_of_a_region_is_averaged(make_stage):
    stage = make_stage()
    hand = stage.hand('right')
    estimator = HandEstimator(stage)
    one = estimator.look([Region(stage.image([hand]), estimator.crop_around(hand.pixels))])[0]
    scores = np.linspace(0.1, 0.9, 21)
    one = replace(one, keypoint_scores=scores, clarity=0.9, legible=0.7)
    other = replace(one, keypoint_scores=scores[::-1], shape=one.shape + 3.0, clarity=0.6,
                    legible=0.4)
    both = averaged([one, other], [1.0, 0.5])
    np.testing.assert_allclose(both.keypoint_scores, (2 * scores + scores[::-1]) / 3)
    np.testing.assert_allclose(both.shape, one.shape + 1.0)
    assert both.clarity == pytest.approx(0.8) and both.legible == pytest.approx(0.6)
    untold = averaged([replace(one, legible=None), replace(other, legible=None)])
    assert untold.legible is None


def test_an_average_of_rotations_is_one_and_leaves_the_readings_as_they_are(make_stage):
    stage = make_stage()
    hand = stage.hand('right')
    estimator = HandEstimator(stage)
    one = estimator.look([Region(stage.image([hand]), estimator.crop_around(hand.pixels))])[0]
    # The nearest orthogonal matrix to the mean of these is a mirror.
    apart = [replace(one, rotations=np.tile(np.diag(signs), (16, 1, 1)).astype(float),
                     crop=replace(one.crop, angle=0.2 * k))
             for k, signs in enumerate([(1, 1, 1), (1, -1, -1), (-1, 1, -1)])]
    before = [reading.rotations.copy() for reading in apart]
    rotations = averaged(apart).rotations
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-9)
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (
        16, 1, 1)), atol=1e-9)
    assert all(np.array_equal(reading.rotations, was) for reading, was in zip(apart, before))


def test_views_of_a_right_hand_are_turned_and_sized_as_listed():
    crop = Crop((300.0, 200.0), 100.0, 0.4)
    for view, (turn, factor) in zip(views_of(crop, len(VIEWS)), VIEWS):
        assert view == replace(crop, angle=view.angle, size=view.size)
        assert np.degrees(view.angle - 0.4) == pytest.approx(turn)
        assert view.size == pytest.approx(100 * factor)


def test_average_of_one_reading_is_that_reading(make_stage):
    stage = make_stage()
    hand = stage.hand('right')
    estimator = HandEstimator(stage)
    reading = estimator.look([Region(stage.image([hand]), estimator.crop_around(hand.pixels))])[0]
    assert averaged([reading]) is reading


def test_several_views_are_as_much_a_hand_as_each(make_stage):
    stage = make_stage()
    hand = stage.hand('right')
    estimator = HandEstimator(stage)
    region = Region(stage.image([hand]), estimator.crop_around(hand.pixels), 'right')
    views = [estimator.look([replace(region, crop=crop)])[0]
             for crop in views_of(region.crop, len(VIEWS))]
    assert averaged(views).score == pytest.approx(np.mean([v.score for v in views]), abs=0.02)


def test_the_first_view_is_the_crop_itself():
    crop = Crop((10, 20), 30, resolution=64)
    assert views_of(crop, 3)[0] == crop
    with pytest.raises(ValueError, match='views is 7'):
        views_of(crop, 7)
    with pytest.raises(ValueError, match='views'):
        PipelineOptions(views=0)


def test_crops_around_hands_are_upright_and_not_too_small(make_stage):
    stage = make_stage()
    estimator = HandEstimator(stage)
    for turn in (0.2, 1.4, -2.8):
        hand = stage.hand(turn=(0.0, 0.0, turn))
        shown = estimator.crop_around(hand.pixels).to_crop(hand.pixels)
        assert abs(shown[[5, 9, 13, 17], 0].mean() - shown[0, 0]) < 1e-6
        assert shown[9, 1] < shown[0, 1]
        assert shown.min() > 0 and shown.max() < stage.config.input_size - 1
    assert estimator.crop_around(np.full((21, 2), 7.0)).size == pytest.approx(4 * NETWORK_SCALE)


def test_every_size_of_batch_is_warmed_up_and_no_other_is_used(make_stage):
    stage = make_stage()
    hand = stage.hand('right')
    estimator = HandEstimator(stage)
    sizes = []
    predict = stage.predict
    stage.predict = lambda images: sizes.append(len(images)) or predict(images)
    estimator.warm_up()
    warm = list(sizes)
    region = Region(stage.image([hand]), estimator.crop_around(hand.pixels), 'right')
    estimator.look([region] * 30)
    assert warm == list(range(1, max(warm) + 1))
    assert len(sizes) > len(warm) and set(sizes) <= set(warm)
