"""A grown network answers as the small one did, and its new channels and blocks learn."""

from dataclasses import replace

import pytest
import torch

from hiu_ros.network import checkpoint
from hiu_ros.network.config import HIU_DMTL, HIU_LITE, HIU_MEDIUM
from hiu_ros.network.finder import Finder, FinderConfig, load_finder, save_finder
from hiu_ros.network.hiu import HIU
from hiu_ros.training import growing
from hiu_ros.training.growing import grow, grow_finder

WIDER = {'stem_channels': (9, 11), 'encoder_channels': (11, 12, 20, 24), 'decoder_channels': 10,
         'attention_hidden': 12, 'regressor_channels': (20, 24), 'regressor_hidden': 40}
DEEPER = {'encoder_blocks': (2, 3, 1, 1), 'regressor_blocks': (1, 2)}


@pytest.fixture
def narrow(network) -> HIU:
    """With statistics as of a training, so that the norms do something."""
    torch.manual_seed(3)
    network.train()
    for _ in range(3):
        network(torch.randn(4, 3, *[network.config.input_size] * 2))
    return network.eval()


@pytest.fixture
def images(narrow) -> torch.Tensor:
    return torch.rand(3, 3, *[narrow.config.input_size] * 2) * 2 - 1


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('changes', [WIDER, DEEPER, WIDER | DEEPER])
def test_a_grown_network_answers_as_before(narrow, images, training, changes):
    wide = grow(narrow, replace(narrow.config, **changes))
    assert changes.items() <= wide.config.__dict__.items()
    with torch.no_grad():
        for before, after in zip(narrow.train(training)(images), wide.train(training)(images)):
            for name in before._fields:
                torch.testing.assert_close(getattr(after, name), getattr(before, name),
                                           rtol=1e-4, atol=1e-4)


def test_new_channels_take_part_after_a_step(narrow, images):
    wide = grow(narrow, replace(narrow.config, **WIDER)).train()
    optimiser = torch.optim.SGD(wide.parameters(), 0.01)
    wide(images)[-1].heatmaps.square().sum().backward()
    old = narrow.stages[0].heatmap_decoder.head.weight.shape[1]
    head = wide.stages[0].heatmap_decoder.head.weight
    assert head[:, old:].eq(0).all()
    assert wide.stages[-1].heatmap_decoder.head.weight.grad[:, old:].abs().max() > 0
    optimiser.step()
    assert wide.stages[-1].heatmap_decoder.head.weight[:, old:].abs().max() > 0


def test_new_blocks_take_part_after_two_steps(narrow, images):
    deep = grow(narrow, replace(narrow.config, **DEEPER)).train()
    new = deep.stages[-1].encoder.groups[1][2].body
    before = new[0].weight.detach().clone()
    for _ in range(2):
        deep.zero_grad()
        deep(images)[-1].heatmaps.square().sum().backward()
        torch.optim.SGD(deep.parameters(), 0.01).step()
    assert new[1].norm.weight.abs().max() > 0
    assert not torch.equal(new[0].weight, before)


def test_a_grown_finder_answers_as_before():
    torch.manual_seed(1)
    small = Finder(FinderConfig(128, (4, 6, 8, 10, 12)))
    frames = torch.rand(3, 3, 96, 128) * 2 - 1
    for _ in range(3):
        small.train()(frames)
    torch.nn.init.normal_(small.head.weight)
    large = grow_finder(small.eval(), FinderConfig(128, (4, 9, 12, 20, 24)))
    with torch.no_grad():
        for before, after in zip(small(frames), large(frames)):
            torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match='channels'):
        grow_finder(large, small.config)


def test_the_new_channels_depend_on_the_seed_alone(narrow):
    config = replace(narrow.config, **WIDER)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = (grow(narrow, config, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize('changes, named', [
    ({'stages': 3}, 'stages'), ({'decoder_channels': 4}, 'decoder_channels'),
    ({'encoder_channels': (8, 8, 8, 16)}, 'encoder_channels'),
    ({'encoder_blocks': (1, 1, 0, 1)}, 'encoder_blocks'),
    ({'regressor_channels': (20, 24, 30), 'regressor_blocks': (1, 1, 1)}, 'regressor_channels'),
    ({'stem_channels': (8, 12)}, 'identity')])
def test_what_cannot_grow_is_named(narrow, changes, named):
    with pytest.raises(ValueError, match=named):
        grow(narrow, replace(narrow.config, **changes))


def test_bottleneck_networks_do_not_grow():
    tiny = replace(HIU_DMTL, stages=1, encoder_channels=(8,) * 4, encoder_blocks=(1,) * 4,
                   regressor_channels=(8,), regressor_blocks=(1,), input_size=64,
                   stem_channels=(8, 8), decoder_channels=8)
    with pytest.raises(ValueError, match='rep'):
        grow(HIU(tiny), replace(tiny, decoder_channels=16))


def test_a_file_grows_from_the_command_line(tmp_path, capsys):
    source, out = tmp_path / 'lite.safetensors', tmp_path / 'medium.safetensors'
    small = HIU(HIU_LITE)
    small.regressor.add_legibility()
    checkpoint.save(source, small, {'step': 7})
    growing.main([str(source), 'hiu_medium', str(out)])
    assert checkpoint.load(out).config == HIU_MEDIUM
    assert checkpoint.load(out).regressor.legibility is None
    assert checkpoint.read_header(out).notes == {'step': 7}
    save_finder(tmp_path / 'finder.safetensors', Finder(FinderConfig(channels=(8,) * 5)))
    growing.main([str(tmp_path / 'finder.safetensors'), 'finder', str(tmp_path / 'f')])
    assert load_finder(tmp_path / 'f').config == FinderConfig()
    for given in (['/nowhere.safetensors', 'hiu_medium'], [str(source), 'hiu_huge'],
                  [str(out), 'hiu_lite']):
        with pytest.raises(SystemExit) as stop:
            growing.main([*given, str(tmp_path / 'no.safetensors')])
        assert stop.value.code == 2
    assert 'hiu_huge' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        growing.main([str(source), 'hiu_medium', str(source)])
    assert 'would replace' in capsys.readouterr().err
