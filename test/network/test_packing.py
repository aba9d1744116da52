"""Kernels in 8 bits: near what they were, each output channel for itself."""

import pytest
import torch

from hiu_ros.cli import main
from hiu_ros.network import packing
from hiu_ros.network.checkpoint import load, read_header, save
from hiu_ros.network.finder import load_finder, save_finder
from hiu_ros.network.packing import pack, packable, unpack


def kernel(channels=16, seed=0):
    return torch.randn(channels, 32, 3, 3, generator=torch.Generator().manual_seed(seed))


def test_a_kernel_comes_back_to_a_hundredth():
    weight = kernel()
    numbers, scale = pack(weight)
    assert numbers.dtype == torch.int8 and numbers.shape == weight.shape and scale.shape == (16,)
    assert (unpack(numbers, scale) - weight).norm() < 0.01 * weight.norm()


def test_small_channels_do_not_suffer_from_large_ones():
    weight = kernel()
    weight[3] *= 1e-4
    back = unpack(*pack(weight))
    assert (back[3] - weight[3]).norm() < 0.01 * weight[3].norm()


def test_one_outlier_is_cut_where_that_helps_the_rest():
    weight = kernel(1).flatten(1).repeat(1, 70).clamp(-1, 1)
    weight[0, 0] = 1.1
    plain = 1.1 / 127
    rounded = (weight / plain).round() * plain
    assert (unpack(*pack(weight)) - weight).norm() < 0.98 * (rounded - weight).norm()


def test_one_outlier_stays_where_cutting_it_would_cost_more_than_that():
    weight = kernel()
    weight[0, 0, 0, 0] = 30.0
    assert unpack(*pack(weight))[0, 0, 0, 0] == pytest.approx(30.0)


def test_zeros_stay_zeros():
    assert unpack(*pack(torch.zeros(4, 32, 3, 3))).abs().max() == 0


@pytest.mark.parametrize(('tensor', 'wanted'), [
    (torch.zeros(64, 64), True), (torch.zeros(4096), False), (torch.zeros(8, 8), False),
    (torch.zeros(64, 64, dtype=torch.int64), False)])
def test_only_large_kernels_are_packed(tensor, wanted):
    assert packable(tensor) is wanted


@pytest.mark.parametrize('half', [False, True])
def test_command_packs_hand_networks_and_finders(
        tmp_path, network, finder, half, capsys, monkeypatch):
    monkeypatch.setattr(packing, 'LEAST', 256)
    trained, out = tmp_path / 'trained.safetensors', tmp_path / 'out.safetensors'
    for write, read, model in ((save, load, network), (save_finder, load_finder, finder)):
        write(trained, model, {'step': 9})
        assert main(['pack', str(trained), str(out), *['--half'] * half]) == 0
        assert out.stat().st_size < 0.65 * trained.stat().st_size
        assert read_header(out).notes == {'step': 9}
        ours, theirs = model.state_dict(), read(out).state_dict()
        assert all(torch.allclose(ours[k].float(), theirs[k].float(), atol=2e-2) for k in ours)
        assert 'out.safetensors' in capsys.readouterr().out


def test_command_does_not_replace_what_it_packs(tmp_path, network, capsys):
    trained, link = tmp_path / 'trained.safetensors', tmp_path / 'link.safetensors'
    save(trained, network)
    link.symlink_to(trained)
    before = trained.read_bytes()
    for out in (trained, link):
        assert main(['pack', str(trained), str(out)]) == 1
        assert f'{out} would replace the weights' in capsys.readouterr().err
    assert trained.read_bytes() == before and link.is_symlink()


def test_command_names_a_file_that_is_not_there(tmp_path, capsys):
    assert main(['pack', str(tmp_path / 'none'), str(tmp_path / 'out')]) == 1
    assert 'does not exist' in capsys.readouterr().err
