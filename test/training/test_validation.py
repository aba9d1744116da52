"""What the loop measures while it trains: on the pictures that it means."""

from unittest.mock import Mock

import numpy as np
import pytest
import torch

from hiu_ros.geometry.crop import NETWORK_SCALE
from hiu_ros.training.loop import Trainer
from hiu_ros.training.mix import HandMix
from hiu_ros.training.set_source import SetOptions
from hiu_ros.training.settings import read_settings
from hiu_ros.training.validation import validate_renders, validate_set

N = 64


@pytest.fixture
def narrow_bank(bank, tmp_path):
    """Tiles that end where their hands do: crops reach over their edges."""
    cut = 10
    for name in ('bgra', 'mask'):
        tiles = np.load(bank / f'{name}.npy')
        np.save(tmp_path / f'{name}.npy', tiles[:, cut:-cut, cut:-cut])
    with np.load(bank / 'labels.npz') as labels:
        table = {key: labels[key] for key in labels.files}
    table['keypoints_px'] = table['keypoints_px'] - cut
    np.savez(tmp_path / 'labels.npz', **table)
    return tmp_path


def shown(network, hand, bank, grey: bool, scale: float = NETWORK_SCALE) -> torch.Tensor:
    """The pictures (N, 3, n, n) that a validation on renders gives the network."""
    seen, predict = [], network.predict
    network.predict = lambda images: seen.append(images) or predict(images)
    validate_renders(network.eval(), hand, str(bank), 99, grey, scale)
    return torch.cat(seen)


def test_training_renders_are_shown_as_they_are_trained_on(network, hand, narrow_bank):
    data = read_settings('smoke', [f'data.renders=[{narrow_bank}]']).data
    images = shown(network, hand, narrow_bank, grey=True, scale=data.usual_scale)
    mix = HandMix(data, N, seed=0)
    trained = torch.from_numpy(np.stack([mix[i]['images'] for i in range(24)]))
    trained = trained.permute(0, 3, 1, 2) / 127.5 - 1
    apart = (images[:, None] - trained[None]).abs().amax((2, 3, 4))
    # Within rounding, each is one of those that the stream draws.
    assert len(images) == 6 and apart.amin(1).max() < 0.03
    assert len(set(apart.argmin(1).tolist())) == 6


def test_a_run_is_validated_on_the_renders_that_it_is_trained_on(tiny_settings, bank, monkeypatch):
    trainer = Trainer(tiny_settings('validation.training_renders=true', 'steps=1'))
    seen = Mock(return_value={})
    monkeypatch.setattr('hiu_ros.training.loop.validate', seen)
    trainer.validate(None)
    assert seen.call_args.args[2].renders == str(bank)


def test_other_renders_end_in_black_like_pictures_at_their_edge(network, hand, narrow_bank):
    images = shown(network, hand, narrow_bank, grey=False)
    black = (images == -1).all(1)
    assert black.any() and not black[:, N // 2, N // 2].any()


@pytest.mark.parametrize('hands', [3, 5, 100])
def test_no_more_hands_of_a_set_are_read_than_asked_for(network, hand, bank, monkeypatch, hands):
    seen = []
    predict = network.predict
    monkeypatch.setattr(network, 'predict', lambda x: seen.append(len(x)) or predict(x))
    validate_set(network.eval(), hand, SetOptions('renders', str(bank)), hands)
    count = len(np.load(bank / 'labels.npz')['pose'])
    assert sum(seen) == min(hands, count)
