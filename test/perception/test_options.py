"""Which weights an option means."""

from pathlib import Path

import pytest

from hiu_ros.network.checkpoint import CheckpointError, load
from hiu_ros.network.config import HIU_DEEP, HIU_LITE
from hiu_ros.network.cost import cost
from hiu_ros.perception.options import WEIGHTS, PipelineOptions, hand_weights
from hiu_ros.perception.pipeline import Pipeline


@pytest.mark.parametrize('given', [None, ''])
def test_without_a_choice_the_larger_network_is_taken(given):
    assert load(hand_weights(given)).config == HIU_DEEP


def test_the_smaller_network_has_a_name():
    assert hand_weights('hiu_lite') == WEIGHTS / 'hiu_lite.safetensors'
    assert load(hand_weights('hiu_lite')).config == HIU_LITE
    assert cost(HIU_LITE).macs < cost(HIU_DEEP).macs / 3


def test_everything_else_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in ('mine.safetensors', './hiu_lite', tmp_path / 'hiu_lite'):
        assert hand_weights(given) == Path(given)
    with pytest.raises(CheckpointError, match='mine.safetensors does not exist'):
        Pipeline(PipelineOptions(weights='mine.safetensors'))


def test_the_name_of_a_network_that_does_not_ship_is_told_with_those_that_do():
    with pytest.raises(FileNotFoundError, match="no weights 'hiu_deep'; hiu, .* hiu_lite ship"):
        Pipeline(PipelineOptions(weights='hiu_deep'))


@pytest.mark.parametrize('change, message', [
    ({'regions': 'topic'}, 'regions'), ({'max_hands': 0}, 'max_hands'),
    ({'hand_length_m': 19.0}, 'hand_length_m'), ({'crop_scale': 0.1}, 'crop_scale'),
    ({'min_score': 1.5}, 'min_score'), ({'min_score': '0.5'}, "min_score is '0.5'"),
    ({'hand_length_m': 'long'}, 'hand_length_m'), ({'box_scale': float('nan')}, 'box_scale'),
    ({'tracking': False}, 'tracking is False, expected TrackingOptions, or None'),
    ({'smoothing': True}, 'smoothing is True, expected Smoothing'),
])
def test_options_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        PipelineOptions(**change)
