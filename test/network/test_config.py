"""The configuration refuses what makes no network, and says why."""

import json

import pytest

from hiu_ros.network.config import PRESETS, ConfigError, HIUConfig, preset
from hiu_ros.network.finder import FinderConfig


@pytest.mark.parametrize('name', PRESETS)
def test_presets_survive_json(name):
    config = PRESETS[name]
    assert HIUConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize('field, value', [
    ('input_size', 100), ('input_size', 32), ('input_size', '128'), ('input_size', 128.0),
    ('stages', 0), ('stages', 9), ('stages', True), ('stem_kernel', 4), ('block', 'dense'),
    ('rotation', 'euler'), ('heatmap_readout', 'argmax'), ('head_kernel', 2),
    ('head_strides', (4, 4)), ('head_strides', (4, 4, 16)),
    ('decoder_convs', 0), ('decoder_channels', -8), ('attention_hidden', 0),
    ('regressor_first_stride', 3), ('regressor_evidence', 1), ('stem_channels', (8,)),
    ('encoder_channels', (8, 8, 8)), ('encoder_channels', (8, 8, 8, 0)), ('encoder_channels', 8),
    ('encoder_blocks', (1, 1, 1)), ('regressor_channels', ()), ('regressor_blocks', (1,)),
    ('name', None), ('input_size', 32 * 10**18), ('encoder_blocks', (1, 1, 10**9, 1)),
    ('decoder_convs', 10**9), ('attention_hidden', 10**9), ('encoder_channels', (8, 8, 8, 10**9)),
])
def test_illegal_value_is_named(field, value):
    with pytest.raises(ConfigError, match=f'HIUConfig.{field} is .*expected'):
        HIUConfig(**{field: value})


def test_lists_become_tuples():
    assert HIUConfig(stem_channels=[8, 16]).stem_channels == (8, 16)


def test_unknown_names_are_listed():
    with pytest.raises(ConfigError, match="unknown network 'hiu_huge'.*hiu_dmtl"):
        preset('hiu_huge')
    with pytest.raises(ConfigError, match='color'):
        preset('hiu_lite', color=3)
    with pytest.raises(ConfigError, match='color'):
        HIUConfig.from_dict({'color': 3})


@pytest.mark.parametrize('values', [{'long_side': 100}, {'channels': (8, 8)},
                                    {'channels': (8, 8, 8, 8, 0)}, {'long_side': 32 * 10**18},
                                    {'channels': (8, 8, 8, 8, 10**9)}])
def test_finder_refuses_illegal_values(values):
    with pytest.raises(ConfigError, match=f'FinderConfig.{next(iter(values))}'):
        FinderConfig(**values)
    with pytest.raises(ConfigError, match='color'):
        FinderConfig.from_dict({'color': 3})
