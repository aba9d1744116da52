import json

import cv2
import numpy as np
import pytest

from hiu_ros.data.sets.freihand import FreiHAND
from hiu_ros.data.sets.layout import DataSetError

COUNT = 3
CAMERA = [[480.0, 0, 112], [0, 470.0, 110], [0, 0, 1]]


@pytest.fixture
def root(tmp_path):
    """FreiHAND v2 with 3 training samples; the grey of image i is i."""
    rng = np.random.default_rng(0)
    for split, images in (('training', 4 * COUNT), ('evaluation', COUNT)):
        (tmp_path / split / 'rgb').mkdir(parents=True)
        for number in range(images):
            picture = np.full((224, 224, 3), 10 * number, np.uint8)
            cv2.imwrite(str(tmp_path / split / 'rgb' / f'{number:08d}.jpg'), picture)
        labels = {
            'K': [CAMERA] * COUNT,
            'xyz': rng.uniform([-0.1, -0.1, 0.5], [0.1, 0.1, 0.9], (COUNT, 21, 3)).tolist(),
        }
        if split == 'training':
            labels['mano'] = rng.normal(size=(COUNT, 1, 61)).tolist()
            labels['verts'] = rng.normal(size=(COUNT, 778, 3)).tolist()
        for name, values in labels.items():
            (tmp_path / f'{split}_{name}.json').write_text(json.dumps(values))
    (tmp_path / 'training' / 'mask').mkdir()
    for number in range(COUNT):
        mask = np.zeros((224, 224, 3), np.uint8)
        mask[: 50 + number] = 255
        cv2.imwrite(str(tmp_path / 'training' / 'mask' / f'{number:08d}.jpg'), mask)
    return tmp_path


def test_the_four_backgrounds_share_their_labels(root):
    data = FreiHAND(root)
    assert len(data) == 12
    first, third = data[1], data[1 + 2 * COUNT]
    assert first.source == 'freihand/training/00000001'
    assert third.source == f'freihand/training/{1 + 2 * COUNT:08d}'
    assert abs(int(third.read_image()[0, 0, 0]) - 70) < 4
    assert (first.keypoints_m == third.keypoints_m).all()
    assert (first.read_mask() == third.read_mask()).all()
    assert (first.read_mask()[:49] == 255).all() and (first.read_mask()[53:] == 0).all()


def test_backgrounds_can_be_chosen(root):
    data = FreiHAND(root, backgrounds=('auto',))
    assert len(data) == COUNT and data[0].source.endswith(f'{3 * COUNT:08d}')
    with pytest.raises(ValueError, match='indoor'):
        FreiHAND(root, backgrounds=('indoor',))


def test_points_are_metres_in_the_camera_frame_and_project_by_k(root):
    sample = FreiHAND(root)[2]
    x, y, z = np.array(json.loads((root / 'training_xyz.json').read_text()))[2, 7]
    assert np.allclose(sample.keypoints_m[7], [x, y, z])
    assert np.allclose(sample.keypoints_px[7], [480 * x / z + 112, 470 * y / z + 110], atol=1e-3)
    assert sample.side == 'right' and sample.model == 'mano'
    assert sample.labels >= {'vertices_m', 'mask', 'camera', 'shape'}


def test_the_pose_is_made_absolute_by_the_mean_of_the_users_mano_file(root):
    values = np.array(json.loads((root / 'training_mano.json').read_text()))[0, 0]
    assert FreiHAND(root)[0].pose is None
    assert np.allclose(FreiHAND(root)[0].shape, values[48:58])
    mean = np.arange(45.0)
    pose = FreiHAND(root, mano_mean=mean)[0].pose
    assert np.allclose(pose[:3], values[:3]) and np.allclose(pose[3:], values[3:48] + mean)


def test_evaluation_needs_no_labels(root):
    data = FreiHAND(root, 'evaluation')
    assert len(data) == COUNT and data[0].labels >= {'keypoints_m', 'camera'}
    (root / 'evaluation_xyz.json').unlink()
    assert FreiHAND(root, 'evaluation')[0].labels == {'side', 'camera'}


@pytest.mark.parametrize('path', [
    'training/rgb', 'training/mask', 'training_K.json', 'training_xyz.json', 'training_mano.json',
    f'training/rgb/{4 * COUNT - 1:08d}.jpg',
])
def test_what_is_missing_is_named_with_where_to_get_it(root, path):
    target = root / path
    target.rename(root / 'elsewhere')
    with pytest.raises(DataSetError, match=f'{path}.*is missing.*University of Freiburg'):
        FreiHAND(root)


def test_label_files_must_agree(root):
    (root / 'training_xyz.json').write_text('[[]]')
    with pytest.raises(DataSetError, match='training_xyz.json has 1 entries.* 3'):
        FreiHAND(root)
    (root / 'training_xyz.json').write_text('[[')
    with pytest.raises(DataSetError, match='not whole JSON'):
        FreiHAND(root)
