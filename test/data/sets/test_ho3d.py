import json
import pickle

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hiu_ros.data.sets.ho3d import HO3D
from hiu_ros.data.sets.layout import DataSetError

CAMERA = np.array([[614.0, 0, 320], [0, 615.0, 240], [0, 0, 1]])


def write(root, split, sequence, number, meta, ending='png'):
    for folder in ('rgb', 'meta'):
        (root / split / sequence / folder).mkdir(parents=True, exist_ok=True)
    image = np.full((480, 640, 3), 50, np.uint8)
    cv2.imwrite(str(root / split / sequence / 'rgb' / f'{number}.{ending}'), image)
    (root / split / sequence / 'meta' / f'{number}.pkl').write_bytes(pickle.dumps(meta, 2))
    with (root / f'{split}.txt').open('a') as lines:
        lines.write(f'{sequence}/{number}\n')


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for number in ('0000', '0007'):
        joints = rng.uniform([-0.1, -0.1, -0.9], [0.1, 0.1, -0.5], (21, 3))
        write(tmp_path, 'train', 'ABF10', number, {
            'handJoints3D': joints, 'camMat': CAMERA, 'handPose': rng.normal(size=48),
            'handBeta': rng.normal(size=10), 'handTrans': np.zeros(3), 'objName': '021_bleach',
        }, 'png' if number == '0000' else 'jpg')
    write(tmp_path, 'evaluation', 'SM1', '0000', {
        'handJoints3D': np.array([0.1, 0.2, -0.6]), 'camMat': CAMERA,
        'handBoundingBox': [100, 120, 300, 250],
    })
    return tmp_path


def meta_of(root, index):
    path = root / 'train' / 'ABF10' / 'meta' / ('0000.pkl', '0007.pkl')[index]
    return pickle.loads(path.read_bytes())


def test_joints_are_turned_from_opengl_and_reordered(root):
    sample = HO3D(root)[0]
    joints = meta_of(root, 0)['handJoints3D']
    assert np.allclose(sample.keypoints_m[0], joints[0] * [1, -1, -1])
    assert np.allclose(sample.keypoints_m[1], joints[13] * [1, -1, -1])  # thumb base
    assert np.allclose(sample.keypoints_m[4], joints[16] * [1, -1, -1])  # thumb tip
    assert np.allclose(sample.keypoints_m[13], joints[10] * [1, -1, -1])  # ring base
    assert np.allclose(sample.keypoints_m[20], joints[20] * [1, -1, -1])  # pinky tip
    assert (sample.keypoints_m[:, 2] > 0).all()
    x, y, z = sample.keypoints_m[9]
    assert np.allclose(sample.keypoints_px[9], [614 * x / z + 320, 615 * y / z + 240], atol=1e-3)


def test_the_global_rotation_turns_with_the_frame_and_fingers_stay(root):
    sample, meta = HO3D(root)[1], meta_of(root, 1)
    ours = Rotation.from_rotvec(sample.pose[:3]).apply([0.1, 0.2, 0.3])
    theirs = Rotation.from_rotvec(meta['handPose'][:3]).apply([0.1, 0.2, 0.3])
    assert np.allclose(ours, theirs * [1, -1, -1], atol=1e-6)
    assert np.allclose(sample.pose[3:], meta['handPose'][3:])
    assert np.allclose(sample.shape, meta['handBeta'])


def test_both_versions_of_the_image_files_are_found(root):
    data = HO3D(root)
    assert len(data) == 2
    assert data[0].read_image().shape == data[1].read_image().shape == (480, 640, 3)


def test_masks_are_read_from_the_blue_of_seg_at_any_size(root):
    folder = root / 'train' / 'ABF10' / 'seg'
    folder.mkdir()
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[:100, :, 0] = 255
    picture[100:150, :, 1] = 255
    cv2.imwrite(str(folder / '0000.png'), picture)
    mask = HO3D(root)[0].read_mask()
    assert mask.shape == (480, 640) and (mask[:200] == 255).all() and (mask[201:] == 0).all()
    assert HO3D(root)[1].mask is None


def test_evaluation_gives_box_and_root_and_the_truth_where_it_is(root):
    data = HO3D(root, 'evaluation')
    assert data[0].labels == {'side', 'camera', 'box'}
    assert data[0].box.tolist() == [100, 120, 200, 130]
    assert np.allclose(data.root_m(0), [0.1, -0.2, 0.6])
    joints = np.random.default_rng(1).uniform([-0.1, -0.1, -0.9], [0.1, 0.1, -0.5], (1, 21, 3))
    (root / 'evaluation_xyz.json').write_text(json.dumps(joints.tolist()))
    sample = HO3D(root, 'evaluation')[0]
    assert np.allclose(sample.keypoints_m[5], joints[0, 1] * [1, -1, -1])


def test_what_is_missing_is_named(root, tmp_path):
    with pytest.raises(DataSetError, match='HO3D: the folder .* does not exist; .* TU Graz'):
        HO3D(root / 'none')
    (root / 'evaluation_xyz.json').write_text('[]')
    with (root / 'evaluation.txt').open('a') as lines:
        lines.write('MPM10/0000\n')
    with pytest.raises(DataSetError, match='the sequences MPM10 of evaluation.txt are missing'):
        HO3D(root, 'evaluation')
    (root / 'train.txt').unlink()
    with pytest.raises(DataSetError, match='train.txt.* is missing'):
        HO3D(root)


def test_a_truth_of_another_length_is_an_error(root):
    (root / 'evaluation_xyz.json').write_text(json.dumps(np.zeros((2, 21, 3)).tolist()))
    with pytest.raises(DataSetError, match='holds 2 samples'):
        HO3D(root, 'evaluation')
