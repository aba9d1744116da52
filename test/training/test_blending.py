"""Weights between two networks: the ends are the networks themselves, the file says what it is."""

import copy
from pathlib import Path

import pytest
import torch

from hiu_ros.network import checkpoint
from hiu_ros.network.config import preset
from hiu_ros.network.finder import Finder, FinderConfig, load_finder, save_finder
from hiu_ros.network.hiu import HIU
from hiu_ros.training.averaging import move
from hiu_ros.training.blending import main


@pytest.fixture(scope='module')
def pair():
    torch.manual_seed(3)
    old = HIU(preset('hiu_lite')).eval()
    new = copy.deepcopy(old)
    with torch.no_grad():
        for tensor in new.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.rand_like(tensor))
    return old, new


def test_the_ends_are_the_networks_and_the_middle_is_between(pair):
    old, new = pair
    for share in (0.0, 0.25, 1.0):
        moved = copy.deepcopy(old)
        move(moved, new, share)
        mixed = moved.state_dict()
        for name, low in old.state_dict().items():
            high = new.state_dict()[name]
            if low.is_floating_point():
                assert torch.allclose(mixed[name], low + share * (high - low), atol=1e-6), name
            else:
                assert torch.equal(mixed[name], high)


def test_files_are_blended_and_say_so(pair, tmp_path):
    paths = [str(tmp_path / f'{name}.safetensors') for name in ('old', 'new', 'out')]
    for path, network, step in zip(paths, pair, (100, 20)):
        checkpoint.save(path, network, {'step': step, 'hand': 'right'})
    main([*paths, '--share', '0.7', '--half'])
    notes = checkpoint.read_header(paths[2]).notes
    assert notes == {'step': 120, 'hand': 'right', 'share': 0.7}
    assert Path(paths[2]).stat().st_size < 0.6 * Path(paths[0]).stat().st_size
    mixed, old, new = (network.state_dict() for network in (checkpoint.load(paths[2]), *pair))
    name = next(iter(mixed))
    expected = 0.3 * old[name] + 0.7 * new[name]
    assert torch.allclose(mixed[name], expected, atol=2e-3)


def test_what_was_fitted_to_the_old_weights_alone_is_left_out(pair, tmp_path):
    paths = [str(tmp_path / f'{name}.safetensors') for name in ('old', 'new', 'out')]
    fitted = copy.deepcopy(pair[0])
    fitted.regressor.add_legibility()
    for path, network in zip(paths, (fitted, pair[1])):
        checkpoint.save(path, network, {})
    main([*paths, '--share', '0.5'])
    assert checkpoint.load(paths[2]).regressor.legibility is None


def test_what_was_fitted_to_the_old_weights_goes_along_where_that_is_asked_for(pair, tmp_path):
    paths = [str(tmp_path / f'{name}.safetensors') for name in ('old', 'new', 'out')]
    fitted = copy.deepcopy(pair[0])
    fitted.add_fitted(('legibility', 'fine_mask'))
    with torch.no_grad():
        for part in (fitted.regressor.legibility, fitted.fine_mask):
            for tensor in part.parameters():
                tensor.normal_()
    checkpoint.save(paths[0], fitted, {'step': 100, 'readings': 7})
    checkpoint.save(paths[1], pair[1], {'step': 20})
    main([*paths, '--share', '0.5', '--keep-fitted'])
    header, mixed = checkpoint.read_header(paths[2]), checkpoint.load(paths[2]).state_dict()
    assert header.notes == {'step': 120, 'readings': 7, 'share': 0.5}
    assert set(header.fitted) == {'legibility', 'fine_mask'}
    old, new = fitted.state_dict(), pair[1].state_dict()
    kept = old.keys() - new.keys()
    assert kept and mixed.keys() == old.keys()
    assert all(torch.equal(mixed[name], old[name]) for name in kept)
    name = next(iter(new))
    assert torch.allclose(mixed[name], (old[name] + new[name]) / 2, atol=1e-6)


def test_a_finder_has_nothing_fitted_that_could_go_along(tmp_path, capsys):
    paths = [str(tmp_path / f'{name}.safetensors') for name in ('old', 'new', 'out')]
    for path in paths[:2]:
        save_finder(path, Finder(FinderConfig()), {})
    with pytest.raises(SystemExit):
        main([*paths, '--share', '0.5', '--keep-fitted'])
    assert 'leave --keep-fitted out' in capsys.readouterr().err


def test_what_cannot_be_blended_is_named(pair, tmp_path, capsys):
    old, new = (str(tmp_path / f'{name}.safetensors') for name in ('old', 'new'))
    checkpoint.save(old, pair[0], {})
    checkpoint.save(new, HIU(preset('hiu_lite', decoder_channels=40)), {})
    out = str(tmp_path / 'out.safetensors')
    for arguments, words in (
        ([old, old, out, '--share', '1.5'], 'expected 0'),
        ([old, new, out, '--share', '0.5'], 'between them: decoder_channels 32 and 40'),
        ([old, old + 'x', out, '--share', '0.5'], 'does not exist'),
        ([old, new, old, '--share', '0.5'], 'would replace'),
        ([old, new, new, '--share', '0.5'], 'would replace'),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2 and words in capsys.readouterr().err


def test_two_finders_are_blended_and_stay_finders(tmp_path):
    torch.manual_seed(4)
    old, new = Finder(FinderConfig()).eval(), Finder(FinderConfig()).eval()
    paths = [str(tmp_path / name) for name in ('old.safetensors', 'new.safetensors', 'out')]
    save_finder(paths[0], old, {'step': 2})
    save_finder(paths[1], new, {'step': 3})
    main([*paths, '--share', '0.5'])
    mixed = load_finder(paths[2]).state_dict()
    assert checkpoint.read_header(paths[2]).notes['step'] == 5
    for (name, low), high in zip(old.state_dict().items(), new.state_dict().values()):
        if low.is_floating_point():
            assert torch.allclose(mixed[name], (low + high) / 2, atol=1e-6), name


def test_a_finder_and_a_hand_network_are_not_blended(pair, tmp_path, capsys):
    paths = [str(tmp_path / name) for name in ('finder.safetensors', 'hand.safetensors', 'out')]
    save_finder(paths[0], Finder(FinderConfig()))
    checkpoint.save(paths[1], pair[0])
    with pytest.raises(SystemExit):
        main([*paths, '--share', '0.5'])
    assert "holds 'hiu'" in capsys.readouterr().err
