import numpy as np
import pytest

from hiu_ros.data.sample import Visibility
from hiu_ros.data.sets.layout import DataSetError
from hiu_ros.data.sets.renders import RenderBank

SIZE = 16


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / 'bgra.npy', rng.integers(0, 256, (3, SIZE, SIZE, 4), dtype=np.uint8))
    np.save(tmp_path / 'mask.npy', rng.integers(0, 256, (3, SIZE, SIZE), dtype=np.uint8))
    labels = {
        'keypoints_px': rng.uniform(2, 14, (3, 21, 2)), 'keypoints_m': rng.normal(size=(3, 21, 3)),
        'K': np.tile(np.eye(3), (3, 1, 1)), 'pose': rng.normal(size=(3, 16, 3)),
        'shape': rng.normal(size=(3, 10)), 'visibility': rng.random((3, 21)) > 0.5, 'seed': 1,
    }
    labels['keypoints_px'][1, 5] = [-3, 4]
    np.savez(tmp_path / 'labels.npz', **labels)
    return tmp_path


def test_a_tile_is_laid_over_a_background_by_its_alpha(root):
    bank = RenderBank(root)
    image, mask, _ = bank.compose(1, np.full((SIZE, SIZE, 3), 200, np.uint8))
    tile = bank.bgra[1].astype(float)
    alpha = tile[..., 3:] / 255
    assert np.abs(image - (tile[..., :3] * alpha + 200 * (1 - alpha))).max() <= 0.51
    assert (mask == bank.mask[1]).all()


def test_samples_hold_every_label(root):
    bank = RenderBank(root)
    assert len(bank) == 3
    sample = bank[1]
    assert sample.labels >= {'keypoints_px', 'keypoints_m', 'mask', 'pose', 'shape', 'camera'}
    assert sample.side == 'right' and sample.model == 'hiu'
    assert np.allclose(sample.pose, bank.pose[1].reshape(-1))
    assert sample.visibility[5] == Visibility.OUTSIDE
    other = np.arange(21) != 5
    assert ((sample.visibility == Visibility.VISIBLE) == bank.visible[1])[other].all()
    assert set(np.unique(sample.read_mask())) == {0, 255}
    with pytest.raises(IndexError):
        bank[3]


@pytest.mark.parametrize('name', ['bgra.npy', 'mask.npy', 'labels.npz'])
def test_a_missing_file_is_named_with_where_to_get_it(root, name):
    (root / name).unlink()
    with pytest.raises(DataSetError, match=rf'{name}.* is missing in .*renders one'):
        RenderBank(root)


def test_a_missing_label_and_a_wrong_shape_are_named(root):
    labels = dict(np.load(root / 'labels.npz'))
    np.savez(root / 'labels.npz', **{**labels, 'shape': np.zeros((3, 11))})
    with pytest.raises(DataSetError, match=r'shape has shape \(3, 11\)'):
        RenderBank(root)
    labels.pop('K')
    np.savez(root / 'labels.npz', **labels)
    with pytest.raises(DataSetError, match='lacks K'):
        RenderBank(root)


@pytest.mark.parametrize('name', ['bgra.npy', 'mask.npy', 'labels.npz'])
@pytest.mark.parametrize('kept', [0.0, 0.5])
def test_a_cut_or_empty_file_is_named_with_what_to_do(root, name, kept):
    data = (root / name).read_bytes()
    (root / name).write_bytes(data[:int(kept * len(data))])
    with pytest.raises(DataSetError, match=rf'{name} is damaged .*render it again'):
        RenderBank(root)
