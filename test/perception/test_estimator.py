"""What a region is taken for: a hand or none, and of which side."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hiu_ros.data.renders.sequences import HandSequence
from hiu_ros.network import checkpoint
from hiu_ros.perception.estimator import HandEstimator, Region
from hiu_ros.perception.options import PipelineOptions, hand_weights
from hiu_ros.perception.pipeline import Pipeline


def with_doubt(stage, share):
    """The stage, its network seeing joints less sharply and a hand less likely."""
    perfect = stage.predict

    def predict(images):
        reading = perfect(images)
        return reading._replace(keypoint_scores=share * reading.keypoint_scores,
                                presence=share * reading.presence)

    stage.predict = predict
    return stage


def telling(stage, *shares):
    """The stage, its network telling in each look in turn how likely its joints are a hand's."""
    perfect, said = stage.predict, iter(shares)
    stage.predict = lambda images: perfect(images)._replace(
        legible=torch.full((len(images), 1), next(said)))
    return stage


def look(stage, side=None, passes=0):
    hand = stage.hand()
    estimator = HandEstimator(stage)
    crop = estimator.crop_around(hand.pixels)
    return estimator.look([Region(stage.image([hand]), crop, side, passes)])[0]


def test_a_clear_hand_scores_as_one(make_stage):
    reading = look(make_stage(resolution=128))
    assert reading.score > 0.8 > 0.5 > replace(reading, presence=0.05, right=0.0).score


def test_blurred_joints_and_no_side_speak_against_a_hand(make_stage):
    reading = look(make_stage(resolution=128))
    vague = replace(reading, keypoint_scores=0.3 * reading.keypoint_scores, right=0.2)
    assert vague.score < 0.5


def test_the_size_of_a_reading_is_that_of_its_joints_and_doubt_lowers_its_quality(make_stage):
    stage = make_stage(resolution=128)
    reading = look(stage)
    assert reading.size == pytest.approx(max(np.ptp(stage.scenes[0][0].pixels, axis=0)), rel=0.01)
    for share in (0.3, 0.9):
        blurred = replace(reading, keypoint_scores=share * reading.keypoint_scores)
        assert blurred.quality == pytest.approx(share * reading.quality)
        assert replace(reading, presence=share * reading.presence).quality == pytest.approx(
            share * reading.quality)
    blurred = reading.keypoint_scores * np.array([0.1] * 20 + [1])
    assert replace(reading, keypoint_scores=blurred).quality < 0.2 * reading.quality


def test_what_the_network_says_of_its_joints_goes_before_the_formula(make_stage):
    reading = look(telling(make_stage(resolution=128), 0.2), 'right')
    assert reading.score == pytest.approx(0.2)
    assert replace(reading, legible=None).score > 0.8


def test_what_is_not_finite_is_no_hand_to_a_network_that_tells_it_either(make_stage):
    stage = telling(make_stage(resolution=128), 0.8, np.nan)
    assert look(stage, 'right', passes=1).score == pytest.approx(0.5 * 0.8 / 1.5)


def test_looks_that_are_averaged_are_averaged_in_that_too(make_stage):
    stage = telling(make_stage(resolution=128), 0.2, 0.8)
    # The earlier look counts half.
    assert look(stage, 'right', passes=1).score == pytest.approx((0.8 + 0.5 * 0.2) / 1.5)


def test_a_hand_that_fades_ends(make_stage):
    stage = make_stage(resolution=128)
    run = Pipeline(PipelineOptions(), network=stage, finder=stage)
    for k in range(6):
        seen = run.process(stage.image([stage.hand()]), None, k / 30)
    assert len(seen) == 1
    with_doubt(stage, 0.15)
    for k in range(6, 12):
        seen = run.process(stage.image([stage.hand()]), None, k / 30)
    assert len(seen) == 0


def test_a_region_read_both_ways_is_of_the_side_that_both_readings_say(make_stage):
    stage = make_stage(resolution=128)
    alone = [look(stage, side).right for side in ('right', 'left')]
    both = look(stage)
    assert both.side == 'right' and both.right == pytest.approx(np.mean(alone), abs=1e-6)
    assert both.other.side == 'left'
    assert both.other.right == both.right
    assert both.as_side('left') is both.other and both.as_side('right') is both
    assert both.other.as_side('right') is both.other  # it knows of no other reading


@pytest.mark.parametrize('true', ['left', 'right'])
def test_a_region_cut_for_the_wrong_side_has_its_second_look_as_the_other_hand(make_stage, true):
    stage = make_stage(resolution=128)
    hand, estimator = stage.hand(true), HandEstimator(stage)
    region = Region(stage.image([hand]), estimator.crop_around(hand.pixels),
                    'right' if true == 'left' else 'left', passes=1)
    reading, = estimator.look([region])
    assert reading.side == true and (reading.right > 0) == (true == 'right')
    assert stage.calls == [1, 2]


def test_a_doubtful_find_that_is_hopeless_at_first_sight_is_not_looked_at_again(make_stage):
    def crops(share, sureness, boxes=None):
        stage = with_doubt(make_stage(resolution=128), share)
        stage.sureness = sureness
        image = stage.image([stage.hand()])
        Pipeline(PipelineOptions(tracking=None), network=stage, finder=stage).process(
            image, boxes=boxes)
        return sum(stage.calls)

    # Both sides at first; the second look is at the one that was seen.
    assert crops(1.0, 0.27) == crops(1.0, 0.9) == 3
    assert crops(0.01, 0.27) == 2
    assert crops(0.01, 0.9) == 3
    assert crops(0.01, 0.27, boxes=[[200, 100, 200, 200]]) > 2


@pytest.mark.parametrize('half', [False, True])
def test_once_warm_it_reads_the_same_hand_and_leaves_the_network_as_it_was(half):
    network = checkpoint.load(hand_weights('hiu_lite')).fuse()
    frame = HandSequence(seed=3, hands=1, frames=60).frame(30)
    hand, = frame.hands
    cold, warm = (HandEstimator(network, half=half) for _ in range(2))
    strides = [tensor.stride() for tensor in network.parameters()]
    warm.warm_up()
    region = Region(frame.image, cold.crop_around(hand.keypoints_px), hand.side, passes=1)
    (before,), (after,) = cold.look([region]), warm.look([region])
    apart = np.linalg.norm(before.keypoints_px - after.keypoints_px, axis=1)
    assert apart.max() < (0.02 if half else 1e-3) * before.size
    assert after.score == pytest.approx(before.score, abs=0.02 if half else 1e-4)
    assert strides == [tensor.stride() for tensor in network.parameters()]
    # What answers is the graph, and holds the weights alone.
    assert warm._network is None


def test_half_precision_on_a_cpu_reads_the_same_hand_and_leaves_the_network_as_it_was():
    network = checkpoint.load(hand_weights('hiu_lite')).fuse()
    frame = HandSequence(seed=3, hands=1, frames=60).frame(30)
    hand, = frame.hands
    whole, half = (HandEstimator(network, half=half) for half in (False, True))
    region = Region(frame.image, whole.crop_around(hand.keypoints_px), hand.side, passes=1)
    (full,), (rough,) = whole.look([region]), half.look([region])
    apart = np.linalg.norm(full.keypoints_px - rough.keypoints_px, axis=1)
    assert 0 < apart.max() < 0.02 * full.size
    assert rough.score == pytest.approx(full.score, abs=0.02)
    np.testing.assert_allclose(rough.rotations, full.rotations, atol=0.05)
    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}


def test_a_network_in_training_mode_is_refused():
    network = checkpoint.load(hand_weights('hiu_lite'))
    with pytest.raises(ValueError, match=r'training mode.*eval\(\)'):
        Pipeline(PipelineOptions(device='cpu'), network=network.train())
