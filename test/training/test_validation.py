"""What the loop measures while it trains: on the pictures that it means."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from hiu_ros.data.photo_cache import read_labels, update_labels
from hiu_ros.geometry.crop import NETWORK_SCALE, Crop
from hiu_ros.training import validation
from hiu_ros.training.loop import Trainer
from hiu_ros.training.mix import HandMix
from hiu_ros.training.set_source import SetOptions
from hiu_ros.training.settings import read_settings
from hiu_ros.training.sources import Tile
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


@pytest.fixture
def knowing(monkeypatch):
    """A function that makes the validation read the truth; told: right hands' joints (N, 21, 3)
    and masks (N, n, n) of the tiles that are asked about, from these. Returns what was asked."""
    asked = SimpleNamespace()

    def make(joints, masks):
        def read(_, tiles, keypoints, mirrored, scale):
            asked.keypoints, asked.mirrored = keypoints, list(mirrored)
            crops = [Crop.around_keypoints(points, scale, N, mirrored=bool(one))
                     for points, one in zip(keypoints, mirrored)]
            return crops, keypoints.copy(), [SimpleNamespace(
                mask=torch.from_numpy(masks(crops)), side=torch.ones(len(tiles)))]

        monkeypatch.setattr(validation, '_read', read)
        monkeypatch.setattr(validation, '_joints', lambda *_: torch.from_numpy(joints()))
        monkeypatch.setattr(validation, '_mesh_points', lambda *_: asked.keypoints)
        return asked

    return make


def test_trusted_photographs_of_validation_are_read_as_right_hands(cache, tmp_path, knowing):
    folder = Path(shutil.copytree(cache, tmp_path / 'cache'))
    labels = read_labels(folder)
    assert labels['split'].tolist() == [0] * 9 + [1] * 3
    trust, mask_ok = labels['trust'].copy(), labels['mask_ok'].copy()
    trust[10], mask_ok[11] = 0.1, False
    labels['side'][9:] = [0, 1, 1]  # the truth is that of the side
    update_labels(folder, trust=trust, mask_ok=mask_ok, side=labels['side'])

    def rows():
        return [int(np.flatnonzero((labels['keypoints'] == one).all(axis=(1, 2)))[0])
                for one in asked.keypoints]

    def joints():
        left = labels['side'][rows()] == 0
        return labels['keypoints_m'][rows()] * np.where(left[:, None, None], [-1, 1, 1], 1)

    def masks(crops):
        truth = np.load(folder / 'mask.npy')
        return np.stack([crop.extract(truth[row]) / 255.0 * (row == 9)
                         for crop, row in zip(crops, rows())])

    asked = knowing(joints, masks)
    figures = validation.validate_photos(None, str(folder), 99, hand='any')
    assert sorted(rows()) == [9, 11]
    assert asked.mirrored == [row == 9 for row in rows()]
    assert figures['seen/pa_mpjpe_mm'] < 1e-3 and figures['seen/mask_iou'] > 0.95
    assert 'unseen/side' not in figures


def test_left_hands_of_a_set_are_measured_as_left_ones(knowing, monkeypatch):
    points = np.random.default_rng(0).normal(0, 0.05, (2, 21, 3))
    tiles = [Tile(np.zeros((9, 9, 3), np.uint8), np.zeros((2, 2)), right,
                  keypoints=np.random.default_rng(1).uniform(0, 9, (21, 2)), keypoints_m=one)
             for right, one in zip((True, False), points)]
    monkeypatch.setattr(validation, '_labelled_tiles', lambda *_: tiles)
    asked = knowing(lambda: points * [[[1.0, 1, 1]], [[-1.0, 1, 1]]],
                    lambda crops: np.zeros((2, N, N)))
    figures = validate_set(None, None, SetOptions('some', 'where'), 2)
    assert asked.mirrored == [False, True] and figures['some/pa_mpjpe_mm'] < 1e-3


@pytest.mark.parametrize('hands', [3, 5, 100])
def test_no_more_hands_of_a_set_are_read_than_asked_for(network, hand, bank, monkeypatch, hands):
    seen = []
    predict = network.predict
    monkeypatch.setattr(network, 'predict', lambda x: seen.append(len(x)) or predict(x))
    validate_set(network.eval(), hand, SetOptions('renders', str(bank)), hands)
    count = len(np.load(bank / 'labels.npz')['pose'])
    assert sum(seen) == min(hands, count)


def test_photographs_that_are_missing_are_told_with_the_setting_that_asks_for_them(hand, tmp_path):
    """A run with `data.photos` of its own reads the shipped place for its validation."""
    options = validation.Validation(photos=str(tmp_path))
    with pytest.raises(FileNotFoundError, match='validation.photos: .*labels.npz is missing'):
        validation.check(options, hand)
