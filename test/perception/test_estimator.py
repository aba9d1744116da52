"""What a region is taken for: a hand or none, and of which side."""

import numpy as np
import pytest

from hiu_ros.perception.estimator import HandEstimator, Region
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.pipeline import Pipeline


def with_masks(stage, change):
    """The stage, its network's masks changed."""
    perfect = stage.predict

    def predict(images):
        reading = perfect(images)
        return reading._replace(mask=change(reading.mask))

    stage.predict = predict
    return stage


def look(stage, side=None):
    hand = stage.hand()
    estimator = HandEstimator(stage)
    crop = estimator.crop_around(hand.pixels)
    return estimator.look([Region(stage.image([hand]), crop, side)])[0]


def test_a_clear_mask_leaves_the_verdict_as_it_is(make_stage):
    reading = look(with_masks(make_stage(resolution=128), lambda mask: (mask >= 0.5) * 1.0))
    assert reading.clarity == 1.0
    assert reading.score == pytest.approx(reading.presence, abs=0.02)


@pytest.mark.parametrize('change', [lambda mask: 0.7 * mask, lambda mask: 0 * mask],
                         ids=['vague', 'empty'])
def test_what_has_no_clear_mask_is_no_hand(make_stage, change):
    stage = with_masks(make_stage(resolution=128), change)
    assert look(stage).score < 0.05
    image = stage.image([stage.hand()])
    found = Pipeline(PipelineOptions(tracking=None), network=stage, finder=stage).process(image)
    assert len(found) == 0
    # A box that is given has a hand in it whatever the network thinks, of a low score.
    box = [0, 0, image.shape[1], image.shape[0]]
    given = Pipeline(PipelineOptions(tracking=None), network=stage, finder=stage).process(
        image, boxes=[box])
    assert len(given) == 1 and given.hands[0].score < 0.05


def test_a_mask_that_fades_ends_a_followed_hand(make_stage):
    stage = make_stage(resolution=128)
    run = Pipeline(PipelineOptions(), network=stage, finder=stage)
    for k in range(6):
        seen = run.process(stage.image([stage.hand()]), None, k / 30)
    assert len(seen) == 1
    with_masks(stage, lambda mask: 0.7 * mask)
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


def test_a_doubtful_find_that_is_hopeless_at_first_sight_is_not_looked_at_again(make_stage):
    def crops(change, sureness, boxes=None):
        stage = with_masks(make_stage(resolution=128), change)
        stage.sureness = sureness
        image = stage.image([stage.hand()])
        Pipeline(PipelineOptions(tracking=None), network=stage, finder=stage).process(
            image, boxes=boxes)
        return sum(stage.calls)

    def clear(mask):
        return (mask >= 0.5) * 1.0

    def vague(mask):
        return 0.7 * mask

    # Both sides at first; the second look is at the one that was seen.
    assert crops(clear, 0.27) == crops(clear, 0.9) == 3
    assert crops(vague, 0.27) == 2
    assert crops(vague, 0.9) == 3
    assert crops(vague, 0.27, boxes=[[200, 100, 200, 200]]) > 2
