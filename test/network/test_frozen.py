"""The graph of a network answers as the network does."""

import copy
import warnings

import pytest
import torch

from hiu_ros.network.frozen import frozen
from hiu_ros.network.hiu import HIU


@pytest.fixture(autouse=True)
def no_graph_yet(monkeypatch):
    monkeypatch.setattr('hiu_ros.network.frozen._made', [])


def images(count, seed=1):
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def same(one, other):
    for name, a, b in zip(one._fields, one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3, msg=lambda m, n=name: f'{n}: {m}')


@pytest.mark.parametrize('legible', [False, True])
@pytest.mark.parametrize('name', ['tiny', 'tiny_paper'])
def test_batches_of_any_size_are_answered_as_by_the_network(name, legible, request):
    torch.manual_seed(4)
    network = HIU(request.getfixturevalue(name)).eval()
    if legible:
        network.regressor.add_legibility()
    network.fuse().to(memory_format=torch.channels_last)
    graph = frozen(network)
    for count in (3, 1, 2, 5):
        for seed in (1, 2):
            batch = images(count, seed)
            same(graph(batch), network.predict(batch))
    assert len(set(graph(images(4)).keypoints_px[:, 0, 0].tolist())) == 4


def test_bfloat16_stays_bfloat16(network):
    graph = frozen(copy.deepcopy(network).to(torch.bfloat16))
    answer = graph(images(2).to(torch.bfloat16))
    apart = answer.keypoints_px.float() - network.predict(images(2)).keypoints_px
    assert apart.abs().median() < 1.0


def test_nothing_is_said_of_how_it_is_made(network):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        frozen(network)


def test_equal_networks_have_one_graph_as_none_is_given_back(network, monkeypatch):
    traced, trace = [], torch.jit.trace
    monkeypatch.setattr(torch.jit, 'trace', lambda *arguments, **keywords: (
        traced.append(1), trace(*arguments, **keywords))[1])
    graph = frozen(network)
    assert frozen(copy.deepcopy(network)) is graph and len(traced) == 1
    other, half = copy.deepcopy(network), copy.deepcopy(network).to(torch.bfloat16)
    with torch.no_grad():
        next(other.parameters()).neg_()
    same(frozen(other)(images(2)), other.predict(images(2)))
    assert frozen(half) is not graph and frozen(network) is graph
    assert len(traced) == 3


@pytest.mark.parametrize('fault', [RuntimeError('not supported'), AttributeError('trace')])
def test_where_no_graph_can_be_made_the_network_itself_answers(network, fault, monkeypatch):
    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(torch.jit, 'trace', fail)
    same(frozen(network)(images(2)), network.predict(images(2)))
