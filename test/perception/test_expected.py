"""What the network is told of followed hands: where it read their joints, in pixels of each crop.
"""

import numpy as np
import pytest

from hiu_ros.hand.skeleton import KEYPOINT_COUNT
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.pipeline import Pipeline


@pytest.fixture
def told(make_stage):
    """A stage whose network takes expected joints, and what it was told and answered."""
    stage = make_stage(resolution=128)
    stage.config.expectation = True
    perfect, log = stage.predict, []

    def predict(images, expected=None):
        reading = perfect(images)
        log.append((None if expected is None else expected.numpy(), reading))
        return reading

    stage.predict = predict
    return stage, log


def follow(stage, frames, hands):
    run = Pipeline(PipelineOptions(), network=stage, finder=stage)
    seen = [run.process(stage.image(hands(k)), None, k / 30) for k in range(frames)]
    return run, seen


@pytest.mark.parametrize('side', ['right', 'left'])
def test_the_joints_of_a_hand_at_rest_are_expected_where_they_are(told, side):
    stage, log = told
    follow(stage, 5, lambda k: [stage.hand(side)])
    assert log[0][0] is None
    expected, reading = log[-1]
    assert expected.shape == (1, KEYPOINT_COUNT, 3)
    assert np.abs(expected[0, :, :2] - reading.keypoints_px[0].numpy()).max() < 1.0
    assert np.allclose(expected[0, :, 2], reading.keypoint_scores[0], atol=1e-3)


def test_a_hand_on_its_way_is_expected_further_on(told):
    stage, log = told
    follow(stage, 6, lambda k: [stage.hand(place=(-0.1 + 0.02 * k, 0.0, 0.6))])
    expected, reading = log[-1]
    assert np.abs(expected[0, :, :2] - reading.keypoints_px[0].numpy()).max() < 2.0


def test_of_a_new_hand_nothing_is_expected(told):
    stage, log = told
    old, new = stage.hand(place=(-0.12, 0, 0.6)), stage.hand('left', place=(0.12, 0, 0.6))
    follow(stage, 5, lambda k: [old] if k < 4 else [old, new])
    rows = [expected for expected, _ in log[-2:] if expected is not None]
    # The first look is at both; the second one, at the new hand, is told nothing.
    assert len(rows) == 1 and len(rows[0]) > 1
    assert rows[0][0].any() and not rows[0][1:].any()


def test_a_hand_that_is_missed_is_expected_less_surely(told):
    stage, log = told
    follow(stage, 8, lambda k: [stage.hand()] if k < 5 else [])
    sure = [expected[0, :, 2].mean() for expected, _ in log if expected is not None]
    assert sure[-1] < 0.8 * sure[-3]


def test_a_network_that_cannot_be_told_is_not(make_stage):
    stage = make_stage(resolution=128)
    _, seen = follow(stage, 5, lambda k: [stage.hand()])
    assert len(seen[-1]) == 1
