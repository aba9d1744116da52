"""Where the pipeline looks for hands, and with how many crops."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hiu_ros.perception.estimator import HandEstimator, Region
from hiu_ros.perception.options import PipelineOptions, TrackingOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.poor_light import Corrected
from test.perception.conftest import SINGLE, pipeline

FOLLOWING = PipelineOptions(device='cpu', tracking=TrackingOptions(min_hits=1))


def box_of(hand):
    low, high = hand.pixels.min(0), hand.pixels.max(0)
    return [*low, *(high - low)]


@pytest.mark.parametrize('sureness, crops', [(0.95, 2), (0.6, 3)])
def test_only_a_finder_that_is_sure_of_the_side_spares_the_look_at_the_other(
        make_stage, sureness, crops):
    stage = make_stage()
    find = stage.find
    stage.find = lambda image: [
        replace(found, side='right', side_score=sureness) for found in find(image)]
    assert len(pipeline(stage).process(stage.image([stage.hand()]))) == 1
    assert sum(stage.calls) == crops


def test_more_views_are_more_crops_of_the_last_look_of_new_and_of_followed_hands(make_stage):
    stage = make_stage()
    pipeline(stage, replace(SINGLE, views=3)).process(stage.image([stage.hand()]))
    assert stage.calls == [2, 3]
    run = pipeline(stage, replace(FOLLOWING, views=3))
    for k in range(5):
        stage.calls.clear()
        assert len(run.process(stage.image([stage.hand()]), stamp=k / 30)) == 1
    assert stage.calls == [3]


def test_of_many_finds_only_the_best_are_looked_at_and_no_more_hands_shown_than_asked_for(
        make_stage):
    stage = make_stage()
    hands = [stage.hand(place=(x, y, 0.9)) for x in (-0.3, 0.0, 0.3) for y in (-0.15, 0.15)]
    assert len(pipeline(stage, replace(SINGLE, max_hands=1)).process(stage.image(hands))) == 1
    assert stage.calls[0] <= 4  # two finds, as either side
    assert len(pipeline(stage, replace(SINGLE, max_hands=6)).process(stage.image(hands))) == 6


def test_boxes_that_are_given_are_looked_at_though_no_search_is_due(make_stage):
    stage = make_stage()
    old, new = stage.hand('right', (0.15, 0, 0.7)), stage.hand('left', (-0.15, 0, 0.7))
    run = pipeline(stage, replace(FOLLOWING, tracking=TrackingOptions(
        min_hits=1, finder_interval=1000)))
    for k in range(4):
        run.process(stage.image([old]), stamp=k / 30, boxes=[box_of(old)])
    seen = run.process(stage.image([old, new]), stamp=4 / 30, boxes=[box_of(old), box_of(new)])
    assert {hand.id for hand in seen} == {'right_1', 'left_2'}


class Watched(HandEstimator):
    """An estimator that keeps the crops of the regions of its last call."""

    def look(self, regions):
        self.crops = [region.crop for region in regions]
        return super().look(regions)


def test_a_part_of_a_followed_hand_that_touches_another_is_looked_for_as_a_whole_hand(make_stage):
    def size(x, y, far):
        stage = make_stage()
        eyes = Watched(stage)
        run = Pipeline(FOLLOWING, estimator=eyes, finder=stage)
        hands = [stage.hand(place=(sign * x, sign * y, 0.6)) for sign in (1, -1)]
        hands.append(stage.hand('left', far))
        for k in range(4):
            assert len(run.process(stage.image(hands), stage.camera, k / 30)) == 3
        track = run._trackers[None].tracks[1]
        track.keypoints = 0.5 * (track.keypoints + track.keypoints.mean(axis=0))
        run.process(stage.image(hands), stage.camera, 4 / 30)
        return eyes.crops[1].size

    assert size(0.0, 0.04, (0.35, -0.2, 0.9)) > 1.3 * size(0.2, 0.0, (0.0, -0.22, 0.9))


@pytest.mark.parametrize('way', [(1, 0), (-1, 0), (0, 1), (0, -1), (-1, -1)])
def test_a_hand_that_left_the_image_is_not_looked_for_where_there_is_none(make_stage, way):
    stage = make_stage()
    eyes = Watched(stage)
    run = Pipeline(FOLLOWING, estimator=eyes, finder=stage)
    for k, x in enumerate([*np.linspace(0.1, 0.45, 15), *[0.7] * 8]):
        place = (x * way[0], x * way[1], 0.6)
        run.process(stage.image([stage.hand(place=place)]), stage.camera, k / 30)
    track, = run._trackers[None].tracks
    assert track.name == 'right_1' and track.misses > 5 and eyes.crops == []


@pytest.mark.parametrize('side', ['left', 'right'])
def test_a_followed_hand_that_is_larger_than_the_image_is_seen_in_every_frame(make_stage, side):
    stage = make_stage()
    middle = stage.hand(side).keypoints_m.mean(0)
    hand = stage.hand(side, (-middle[0], -middle[1], 0.12))
    assert np.ptp(hand.pixels, axis=0).max() > 2 * 480
    run = Pipeline(FOLLOWING, network=stage, finder=stage)
    seen = [[found.id for found in run.process(stage.image([hand]), stage.camera, k / 30)]
            for k in range(6)]
    assert seen == [[f'{side}_1']] * 6


def test_the_region_of_a_whole_image_is_as_large_as_the_image(make_stage):
    stage = make_stage()
    eyes = Watched(stage)
    Pipeline(replace(SINGLE, regions='whole'), estimator=eyes).process(stage.image([]))
    crop, = eyes.crops
    assert crop.size == pytest.approx(640) and np.allclose(crop.centre, [319.5, 239.5])


@pytest.mark.parametrize('box, middle', [
    ([-5000, 100, 40, 40], (-320, 120)), ([5000, 100, 40, 40], (960, 120)),
    ([100, -5000, 40, 40], (120, -240)), ([100, 5000, 40, 40], (120, 720)),
    ([100, 100, 40, 40], (120, 120)), ([-5000, 100, 5300, 40], (-10, 120))])
def test_a_box_far_out_of_the_image_is_looked_at_near_it(make_stage, box, middle):
    stage = make_stage()
    eyes = Watched(stage)
    Pipeline(SINGLE, estimator=eyes, finder=stage).process(stage.image([]), boxes=[box])
    crop, = eyes.crops
    assert np.allclose(crop.centre, middle, atol=1)


def test_where_only_given_boxes_are_looked_at_no_finder_is_asked(make_stage):
    stage = make_stage()
    for options in (SINGLE, FOLLOWING):
        run = pipeline(stage, replace(options, regions='boxes'))
        assert len(run.process(stage.image([stage.hand()]), stage.camera, 0.0)) == 0
    assert stage.searches == 0


def test_light_is_corrected_unless_that_is_off(make_stage, monkeypatch):
    stage, corrected = make_stage(), []
    monkeypatch.setattr('hiu_ros.perception.pipeline.in_good_light',
                        lambda image: corrected.append(image) or Corrected(image, 0.0))
    pipeline(stage, replace(SINGLE, correct_light=False)).process(stage.image([]))
    assert corrected == []
    pipeline(stage).process(stage.image([]))
    assert len(corrected) == 1


def test_in_poor_light_a_region_in_doubt_is_a_hand_where_it_would_be_none(
        make_stage, monkeypatch):
    stage, counts = make_stage(), []
    monkeypatch.setattr('hiu_ros.perception.pipeline.verdict_found',
                        lambda alone, found, lost: 0.4 + 0.2 * lost)
    for share in (0.0, 1.0):
        monkeypatch.setattr('hiu_ros.perception.pipeline.in_good_light',
                            lambda image, share=share: Corrected(image, share))
        counts.append(len(pipeline(stage).process(stage.image([stage.hand()]))))
    assert counts == [0, 1]


def test_in_poor_light_a_followed_hand_in_doubt_is_announced_where_it_would_not_be(
        make_stage, monkeypatch):
    stage, counts = make_stage(), []
    find = stage.find
    stage.find = lambda image: [replace(one, score=0.35) for one in find(image)]
    monkeypatch.setattr('hiu_ros.perception.tracker.verdict_found',
                        lambda alone, found, lost: 0.7 + 0.2 * lost)
    for share in (0.0, 1.0):
        monkeypatch.setattr('hiu_ros.perception.pipeline.in_good_light',
                            lambda image, share=share: Corrected(image, share))
        run, image = pipeline(stage, FOLLOWING), stage.image([stage.hand()])
        counts.append([len(run.process(image, stamp=k / 30)) for k in range(4)][-1])
    assert counts == [0, 1]


def test_warming_up_runs_the_network_and_the_finder(make_stage):
    stage = make_stage()
    stage.image([])
    pipeline(stage).warm_up()
    assert stage.calls and stage.searches == 1


@pytest.mark.parametrize('largest, sizes', [(3, [1, 2, 3]), (20, list(range(1, 13)))])
def test_warming_up_runs_each_size_of_batch_that_a_few_hands_make(make_stage, largest, sizes):
    stage = make_stage()
    HandEstimator(stage, largest_batch=largest).warm_up()
    assert stage.calls == sizes


def changed(stage, *changes):
    """The stage, its network's answers to each batch in turn changed by a function."""
    perfect, left = stage.predict, iter(changes)
    stage.predict = lambda images: next(left, lambda reading: reading)(perfect(images))
    return stage


def look(stage, side='right', passes=1):
    """The first crop of a hand, and its reading."""
    hand, estimator = stage.hand(), HandEstimator(stage)
    first = estimator.crop_around(hand.pixels)
    return first, estimator.look([Region(stage.image([hand]), first, side, passes)])[0]


def test_one_joint_gone_astray_does_not_blow_up_the_next_look(make_stage):
    def astray(reading):
        points, scores = reading.keypoints_px.clone(), reading.keypoint_scores.clone()
        points[:, 8], scores[:, 8] = points[:, 8] + 60, 0.01
        return reading._replace(keypoints_px=points, keypoint_scores=scores)

    first, reading = look(changed(make_stage(), astray))
    assert reading.crop.size == pytest.approx(first.size, rel=0.15)


@pytest.mark.parametrize('spread, away', [(8.0, 0.0), (1.0, 400.0)])
def test_joints_all_gone_astray_do_not_take_the_next_look_far_away(make_stage, spread, away):
    first, reading = look(changed(make_stage(), lambda reading: reading._replace(
        keypoints_px=32 + spread * (reading.keypoints_px - 32) + away)))
    assert reading.crop.size < 2 * first.size
    assert np.abs(np.subtract(reading.crop.centre, first.centre)).max() < first.size


def test_a_side_is_what_all_looks_say_and_both_are_tried_while_it_is_not_clear(make_stage):
    def side(value):
        return lambda reading: reading._replace(side=torch.full_like(reading.side, value))

    rights = [look(changed(make_stage(), side(value)), passes=0)[1].right for value in (0.9, 0.6)]
    both = look(changed(make_stage(), side(0.9), side(0.6)))[1]
    assert both.right == pytest.approx(np.mean(rights))
    stage = changed(make_stage(), lambda reading: reading._replace(
        side=0.5 + 0.1 * (reading.side - 0.5).sign()))
    look(stage, None)
    assert stage.calls == [2, 2]


def test_a_side_is_the_mean_of_what_a_region_says_read_as_either_hand(make_stage):
    # Both crops show a right hand as the network sees them, so that they do not agree.
    stage = changed(make_stage(), lambda reading: reading._replace(
        side=torch.tensor([0.9, 0.6]).to(reading.side)))
    reading = look(stage, None, passes=0)[1]
    assert reading.right == pytest.approx((np.log(9) - np.log(1.5)) / 2, abs=1e-4)


@pytest.mark.parametrize('side', ['left', 'right'])
def test_a_side_that_is_clear_at_first_sight_is_the_only_one_tried_next(make_stage, side):
    stage = make_stage()
    hand, estimator = stage.hand(side), HandEstimator(stage)
    region = Region(stage.image([hand]), estimator.crop_around(hand.pixels), passes=1)
    reading, = estimator.look([region])
    assert reading.side == side and stage.calls == [2, 1]


def test_the_next_look_at_a_hand_beside_the_middle_has_it_in_the_middle(make_stage):
    stage = make_stage()
    hand, estimator = stage.hand(), HandEstimator(stage)
    best = estimator.crop_around(hand.pixels)
    aside = replace(best, centre=(best.centre[0] + 0.2 * best.size,
                                  best.centre[1] - 0.1 * best.size))
    reading, = estimator.look([Region(stage.image([hand]), aside, 'right', passes=1)])
    assert np.allclose(reading.crop.centre, best.centre, atol=2)


def test_certainty_beyond_measure_stays_finite_and_scores_stay_shares(make_stage):
    reading = look(changed(make_stage(), lambda reading: reading._replace(
        side=torch.ones_like(reading.side), keypoint_scores=1.2 * reading.keypoint_scores)),
        passes=0)[1]
    assert np.isfinite(reading.right) and reading.right > 5 and reading.keypoint_scores.max() <= 1


def test_many_regions_are_read_in_batches_and_come_back_in_their_order(make_stage):
    stage = make_stage()
    hands = [stage.hand(place=(x, 0, 0.9)) for x in (-0.3, -0.15, 0.0, 0.15, 0.3)]
    estimator = HandEstimator(stage, largest_batch=2)
    image = stage.image(hands)
    readings = estimator.look([
        Region(image, estimator.crop_around(hand.pixels), 'right') for hand in hands])
    assert stage.calls == [2, 2, 1]
    for hand, reading in zip(hands, readings):
        assert np.allclose(reading.keypoints_px, hand.pixels, atol=2)


def test_the_crop_around_joints_grows_with_its_margin_and_is_one_for_joints_in_one_place(
        make_stage):
    stage = make_stage()
    estimator, points = HandEstimator(stage), stage.hand().pixels
    usual = estimator.crop_around(points).size
    assert estimator.crop_around(points, 1.5).size == pytest.approx(1.5 * usual)
    point = estimator.crop_around(np.full((21, 2), 50.0))
    assert 1 < point.size < usual and np.allclose(point.centre, 50)
