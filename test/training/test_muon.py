"""Muon: orthogonal steps for layers, AdamW for the rest."""

import pytest
import torch
from torch import nn

from hiu_ros.training.muon import Muon, orthogonal, orthogonal_all, shared_out
from hiu_ros.training.state import read_state, restore, write_state


def network() -> nn.Module:
    torch.manual_seed(1)
    net = nn.Sequential()
    net.add_module('layer', nn.Conv2d(3, 16, 3))
    net.add_module('norm', nn.BatchNorm2d(16))
    net.add_module('head', nn.Conv2d(16, 5, 1))
    return net


def advance(net: nn.Module, optimiser: Muon) -> float:
    images = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    loss = (net(images) - 0.7).square().mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def test_all_singular_values_come_near_one():
    torch.manual_seed(0)
    for shape in ((20, 90), (90, 20), (8, 8)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)).float())
        assert values.shape == (min(shape),)
        assert 0.3 < values.min() and values.max() < 1.3


def test_matrices_made_together_are_those_made_one_by_one():
    torch.manual_seed(0)
    matrices = [torch.randn(shape) for shape in ((20, 90), (8, 8), (20, 90), (90, 20), (8, 8))]
    for matrix, together in zip(matrices, orthogonal_all(matrices)):
        torch.testing.assert_close(together, orthogonal(matrix), rtol=1e-4, atol=1e-5)


def test_a_step_of_a_layer_is_as_long_as_one_of_adamw():
    net = network()
    before = net.layer.weight.detach().clone()
    head = net.head.weight.detach().clone()
    advance(net, Muon(net.named_parameters(), 1e-2))
    size = (net.layer.weight - before).square().mean().sqrt() / 1e-2
    assert 0.1 < size < 0.5
    torch.testing.assert_close((net.head.weight - head).abs().mean(), torch.tensor(1e-2),
                               rtol=0.05, atol=0)


def test_layers_step_along_the_orthogonal_matrix_of_the_momentum_ahead():
    first, second = torch.randn(2, 6, 2, 3, 3, generator=torch.Generator().manual_seed(5))
    weight = nn.Parameter(torch.zeros(6, 2, 3, 3))
    optimiser = Muon([('layer.weight', weight)], 0.1, momentum=0.9)
    for gradient in (first, second):
        before, weight.grad = weight.detach().clone(), gradient.clone()
        optimiser.step()
    ahead = second + 0.9 * (0.9 * first + second)
    step = 0.2 * 18 ** 0.5 * orthogonal(ahead.flatten(1)).view(weight.shape)
    torch.testing.assert_close(weight.detach(), before - 0.1 * step)


def test_all_but_layers_step_as_with_adamw():
    shapes = {'layer.weight': (8, 4), 'conv.weight': (8, 4, 3, 3), 'conv.point': (8, 4, 1, 1),
              'mask_head.weight': (5, 8), 'conv.norm.weight': (8,), 'single.weight': (1, 1, 3, 3)}
    generator = torch.Generator().manual_seed(6)
    ours = {name: nn.Parameter(torch.randn(shape, generator=generator))
            for name, shape in shapes.items()}
    theirs = {name: nn.Parameter(weight.detach().clone()) for name, weight in ours.items()}
    optimisers = [Muon(ours.items(), 1e-2, 0.1, betas=(0.8, 0.95)),
                  torch.optim.AdamW(theirs.values(), 1e-2, (0.8, 0.95), weight_decay=0.1)]
    for _ in range(5):
        for name, weight in ours.items():
            weight.grad = torch.randn(weight.shape, generator=generator)
            theirs[name].grad = weight.grad.clone()
        for optimiser in optimisers:
            optimiser.step()
    unlike = {name for name in shapes if not torch.allclose(ours[name], theirs[name], atol=1e-6)}
    assert unlike == {'layer.weight', 'conv.weight'}


def test_layers_without_gradients_stay_as_they_are():
    net = network()
    net.layer.requires_grad_(False)
    before = net.layer.weight.clone(), net.head.weight.detach().clone()
    advance(net, Muon(net.named_parameters(), 1e-2, weight_decay=0.5))
    assert torch.equal(net.layer.weight, before[0])
    assert not torch.equal(net.head.weight, before[1])


@pytest.mark.parametrize('costs, count, most', [
    ([5, 3, 3, 1], 2, 6), ([1, 1, 1, 1, 4], 2, 4), ([7], 3, 7), ([2, 2, 2], 1, 6), ([], 2, 0)])
def test_work_is_shared_out_evenly_and_all_of_it(costs, count, most):
    owners = shared_out(costs, count)
    assert len(owners) == len(costs) and all(0 <= owner < count for owner in owners)
    loads = [sum(c for c, owner in zip(costs, owners) if owner == who) for who in range(count)]
    assert max(loads) == most


def test_weight_decay_shrinks_what_has_no_gradient_pull():
    net = network()
    optimiser = Muon(net.named_parameters(), 1e-2, weight_decay=0.5)
    (net.layer.weight.sum() * 0).backward()
    before = net.layer.weight.detach().clone()
    optimiser.step()
    torch.testing.assert_close(net.layer.weight.detach(), before * (1 - 0.5e-2))
    assert net.norm.weight.eq(1).all()


def test_it_learns_and_goes_on_exactly_where_it_stopped(tmp_path):
    net = network()
    optimiser = Muon(net.named_parameters(), 3e-2)
    losses = [advance(net, optimiser) for _ in range(20)]
    assert losses[-1] < 0.3 * losses[0]
    write_state(tmp_path / 's.safetensors', {'net': net, 'optimiser': optimiser})
    parts, _ = read_state(tmp_path / 's.safetensors')
    other = network()
    again = Muon(other.named_parameters(), 3e-2)
    restore(other, parts['net'])
    restore(again, parts['optimiser'])
    assert advance(net, optimiser) == advance(other, again)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(),
                                                 other.state_dict().values()))
