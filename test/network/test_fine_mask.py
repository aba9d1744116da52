"""The part that draws finer masks, and what it leaves as it was."""

from dataclasses import replace

import pytest
import torch

from hiu_ros.network import checkpoint
from hiu_ros.network.frozen import frozen
from hiu_ros.network.hiu import HIU


def images(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def fitted(network: HIU) -> HIU:
    """The network with a fine mask that tells something else than the rough one."""
    part = network.add_fine_mask()
    with torch.no_grad():
        part.head.weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(2))
    return network.eval()


@pytest.mark.parametrize('strides', [(4, 4, 4), (4, 4, 2), (4, 4, 8)])
@pytest.mark.parametrize('name', ['tiny', 'tiny_paper'])
def test_it_begins_with_the_mask_of_the_network(name, strides, request):
    torch.manual_seed(0)
    network = HIU(replace(request.getfixturevalue(name), head_strides=strides)).eval()
    assert network(images())[-1].fine_mask.shape[1] == 0
    network.add_fine_mask().eval()
    first, last = network(images())
    assert first.fine_mask.shape[1] == 0 and last.fine_mask.shape == (2, 1, 32, 32)
    answer = network.predict(images())
    assert answer.mask.shape == answer.rough_mask.shape == (2, 64, 64)
    torch.testing.assert_close(answer.mask, answer.rough_mask, rtol=0, atol=0.05)


def test_it_changes_the_mask_and_nothing_else(network):
    before = network.predict(images())
    assert torch.equal(before.mask, before.rough_mask)
    after = fitted(network).predict(images())
    assert (after.mask - before.mask).abs().max() > 0.01
    for name, value in before._asdict().items():
        assert name == 'mask' or torch.equal(value, getattr(after, name)), name


def test_detail_comes_from_the_image(network):
    """Of two images that are one where four pixels are averaged, only fine masks differ much."""
    part = fitted(network).fine_mask
    pattern = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32) * 0.4
    plain = torch.zeros(1, 3, 64, 64)
    first = torch.zeros(1, 8, 32, 32)
    levels = [torch.zeros(1, c, s, s) for c, s in zip((8, 8, 16, 16), (16, 8, 4, 2))]
    assert not torch.allclose(part(plain + pattern, first, levels), part(plain, first, levels))


@pytest.mark.parametrize('storage', checkpoint.STORAGE)
def test_the_file_has_it_beside_what_else_is_fitted(tmp_path, network, storage):
    network.regressor.add_legibility()
    fitted(network)
    path = tmp_path / 'fitted.safetensors'
    checkpoint.save(path, network, storage=storage)
    after = checkpoint.load(path)
    assert after.regressor.legibility is not None
    torch.testing.assert_close(after.predict(images()).mask, network.predict(images()).mask,
                               rtol=0, atol=0.03)


def test_weights_that_are_to_change_come_without_it_and_are_the_same(tmp_path, network):
    checkpoint.save(tmp_path / 'before.safetensors', network)
    path = tmp_path / 'fitted.safetensors'
    checkpoint.save(path, fitted(network))
    assert checkpoint.load(path, fitted=False).fine_mask is None
    other = HIU(network.config)
    checkpoint.load_into(other, path)
    assert other.fine_mask is None
    assert checkpoint.fingerprint(path) == checkpoint.fingerprint(tmp_path / 'before.safetensors')


def test_graphs_and_fused_networks_draw_the_same(network):
    answer = fitted(network).predict(images(3))
    graph = frozen(network.fuse().to(memory_format=torch.channels_last))
    for name, a, b in zip(answer._fields, answer, graph(images(3)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3, msg=name)
