"""A network that is told where joints are expected: what it is told changes what it says, and
only of the crops that it is told something of."""

from dataclasses import replace

import pytest
import torch

from hiu_ros.network import checkpoint
from hiu_ros.network.checkpoint import CheckpointError
from hiu_ros.network.config import ConfigError
from hiu_ros.network.expectation import expected_maps
from hiu_ros.network.hiu import HIU


@pytest.fixture
def told(tiny):
    """A network that can be told, with its expectation's last layers drawn at random."""
    torch.manual_seed(2)
    network = HIU(replace(tiny, expectation=True)).eval()
    for name, weight in network.expectation.named_parameters():
        if name.startswith('to_'):
            torch.nn.init.normal_(weight, std=0.3)
    return network


def images(count: int, size: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def joints(count: int, size: int = 64) -> torch.Tensor:
    places = torch.rand(count, 21, 2, generator=torch.Generator().manual_seed(7)) * size
    return torch.cat([places, torch.full((count, 21, 1), 0.8)], 2)


def same(one, other, rows=slice(None)) -> list[bool]:
    return [torch.equal(a[rows], b[rows]) for a, b in zip(one, other)]


def test_what_is_expected_changes_everything_that_is_said(told):
    pictures, expected = images(2), joints(2)
    plain = told(pictures)[-1]
    assert not any(same(plain, told(pictures, expected=expected)[-1]))
    elsewhere = expected.clone()
    elsewhere[..., :2] = 63 - elsewhere[..., :2]
    assert not any(same(told(pictures, expected=elsewhere)[-1],
                        told(pictures, expected=expected)[-1]))


def test_crops_of_which_nothing_is_expected_are_read_as_if_none_were(told):
    pictures, expected = images(3), joints(3)
    expected[1, :, 2] = 0
    plain, some = told(pictures)[-1], told(pictures, expected=expected)[-1]
    assert all(same(plain, some, 1))
    assert not any(same(plain, some, 0)) and not any(same(plain, some, 2))


def test_only_the_last_stage_is_told(told):
    pictures = images(2)
    plain, some = told(pictures), told(pictures, expected=joints(2))
    assert all(same(plain[0], some[0]))


def test_an_untrained_expectation_says_nothing(tiny):
    torch.manual_seed(2)
    network = HIU(replace(tiny, expectation=True)).eval()
    assert all(same(network.predict(images(2)), network.predict(images(2), joints(2))))


def test_fused_for_inference_it_says_the_same(told):
    pictures, expected = images(2), joints(2)
    plain = told.predict(pictures, expected)
    for a, b in zip(plain, told.fuse().predict(pictures, expected)):
        assert torch.allclose(a, b, atol=1e-3)


def test_an_expected_joint_is_drawn_where_it_is_and_as_high_as_it_is_sure():
    expected = torch.zeros(1, 21, 3)
    # Pixel centres at integers: crop pixel 21.5 is the middle of cells 5 of 4 crop pixels each.
    expected[0, 4] = torch.tensor([21.5, 41.5, 0.6])
    maps = expected_maps(expected, 64, 16)
    assert maps.shape == (1, 21, 16, 16)
    assert maps[0, 4, 10, 5] == pytest.approx(0.6, abs=1e-6) == maps.max()
    assert maps[0, [k for k in range(21) if k != 4]].abs().max() == 0


def test_what_cannot_be_told_is_an_error(tiny):
    with pytest.raises(ValueError, match='takes no expected joints'):
        HIU(tiny).eval()(images(1), expected=joints(1))
    with pytest.raises(ConfigError, match='expectation'):
        replace(tiny, stages=1, expectation=True)


def test_weights_without_expectation_fill_all_but_it(tiny, told, tmp_path):
    torch.manual_seed(9)
    plain = HIU(tiny).eval()
    checkpoint.save(tmp_path / 'plain.safetensors', plain)
    with pytest.raises(CheckpointError, match='expectation is False, expected True'):
        checkpoint.load_into(told, tmp_path / 'plain.safetensors')
    before = {k: v.clone() for k, v in told.expectation.state_dict().items()}
    checkpoint.load_into(told, tmp_path / 'plain.safetensors', may_lack=('expectation',))
    after = told.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in plain.state_dict().items())
    assert all(torch.equal(v, after[f'expectation.{k}']) for k, v in before.items())
    # Weights with it are whole again.
    checkpoint.save(tmp_path / 'told.safetensors', told)
    assert all(same(told.predict(images(1), joints(1)),
                    checkpoint.load(tmp_path / 'told.safetensors').predict(images(1), joints(1))))
