"""The finder network: shapes, fusing, its weights file."""

import pytest
import torch

from hiu_ros.network.checkpoint import CheckpointError
from hiu_ros.network.finder import STRIDE, FinderConfig, load_finder, save_finder


def frames(height: int = 96, width: int = 128, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, height, width, generator=generator) * 2 - 1


def test_maps_are_an_eighth_of_the_frame(finder):
    output = finder(frames())
    size = (96 // STRIDE, 128 // STRIDE)
    assert output.centre.shape == output.log_size.shape == output.side.shape == (2, *size)
    assert output.offset.shape == (2, 2, *size)


def test_untrained_finder_expects_few_hands(finder):
    assert finder(frames()).centre.sigmoid().mean() < 0.1


def test_fused_finder_gives_the_same_answer(finder):
    before = [t.clone() for t in finder(frames())]
    assert finder.fuse() is finder
    for one, other in zip(before, finder(frames())):
        assert torch.allclose(one, other, atol=2e-4)


def test_frames_of_a_batch_do_not_meet(finder):
    both = finder(frames())
    alone = finder(frames()[1:])
    assert torch.allclose(both.centre[1:], alone.centre, atol=1e-5)


@pytest.mark.parametrize('shape', [(1, 3, 100, 128), (1, 1, 96, 128), (3, 96, 128)])
def test_wrong_frames_are_refused(finder, shape):
    with pytest.raises(ValueError, match='multiples of 32'):
        finder(torch.zeros(shape))


@pytest.mark.parametrize('storage', ['full', 'half', 'bytes'])
def test_weights_file_gives_the_finder_back(tmp_path, finder, storage):
    path = tmp_path / 'finder.safetensors'
    save_finder(path, finder, {'step': 3}, storage)
    loaded = load_finder(path)
    assert loaded.config == finder.config and not loaded.training
    tolerance = 0 if storage == 'full' else 5e-2
    assert torch.allclose(loaded(frames()).centre, finder(frames()).centre, atol=tolerance)


def test_missing_weights(tmp_path):
    with pytest.raises(CheckpointError, match='does not exist'):
        load_finder(tmp_path / 'none.safetensors')


def test_default_cost_shape_is_of_a_camera_frame():
    from hiu_ros.network.cost import cost

    assert cost(FinderConfig()).input_shape == (192, 256)
