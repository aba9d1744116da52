import json

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hiu_ros.data.sample import Visibility
from hiu_ros.data.sets.interhand import InterHand
from hiu_ros.data.sets.layout import DataSetError

TURN = Rotation.from_rotvec([0.1, 2.0, -0.3]).as_matrix()
PLACE = np.array([300.0, -200.0, 1000.0])


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    seen = rng.uniform([-100, -100, 600], [100, 100, 800], (42, 3))  # mm, camera frame
    np.save(tmp_path / 'seen.npy', seen)
    frames, labels = [], []
    for number, kind in enumerate(('right', 'left', 'interacting')):
        file = f'Capture3/0390_dh_touch/cam400262/image{number}.jpg'
        frames.append({'id': number, 'file_name': file, 'width': 512, 'height': 334,
                       'capture': 3, 'camera': '400262', 'frame_idx': number})
        valid = np.ones((42, 1))
        valid[[20 + 21 * (kind == 'left'), 1]] = [[1], [0]]  # a right index of the thumb chain
        labels.append({'id': number, 'image_id': number, 'hand_type': kind,
                       'joint_valid': valid.tolist(), 'bbox': [100, 50, 200, 180]})
        path = tmp_path / 'images/val' / file
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((334, 512, 3), np.uint8))
    world = seen @ TURN + PLACE  # X = R^T c + place
    folder = tmp_path / 'annotations/val'
    folder.mkdir(parents=True)
    contents = {
        'data': {'images': frames, 'annotations': labels},
        'camera': {'3': {'campos': {'400262': PLACE.tolist()}, 'camrot': {'400262': TURN.tolist()},
                         'focal': {'400262': [1270.0, 1260.0]},
                         'princpt': {'400262': [256.0, 167.0]}}},
        'joint_3d': {'3': {str(n): {'world_coord': world.tolist()} for n in range(3)}},
    }
    for name, content in contents.items():
        (folder / f'InterHand2.6M_val_{name}.json').write_text(json.dumps(content))
    return tmp_path


def test_only_single_hands_are_samples(root):
    data = InterHand(root, 'val')
    assert [data[i].side for i in range(len(data))] == ['right', 'left']
    assert data[0].read_image().shape == (334, 512, 3)


@pytest.mark.parametrize('index,first', [(0, 0), (1, 21)])
def test_joints_are_reordered_metres_in_the_cameras_frame(root, index, first):
    sample = InterHand(root, 'val')[index]
    seen = np.load(root / 'seen.npy') / 1000
    order = [20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16]
    valid = sample.valid_m
    assert np.allclose(sample.keypoints_m[valid], seen[first:][order][valid], atol=1e-5)
    x, y, z = seen[first + 7]  # index base
    expected = [1270 * x / z + 256, 1260 * y / z + 167]
    assert np.allclose(sample.keypoints_px[5], expected, atol=1e-2)


def test_joints_that_are_not_valid_are_no_labels(root):
    sample = InterHand(root, 'val')[0]
    assert np.flatnonzero(~sample.valid_m).tolist() == [3]  # row 1 is the thumb's joint 3
    assert sample.visibility[3] == Visibility.UNLABELLED
    assert InterHand(root, 'val')[1].valid_m.all()


def test_what_is_missing_is_named(root):
    (root / 'annotations/val/InterHand2.6M_val_joint_3d.json').write_text('{"3": {}}')
    with pytest.raises(DataSetError, match='image0.jpg has no camera or joints'):
        InterHand(root, 'val')[0]
    (root / 'annotations/val/InterHand2.6M_val_camera.json').unlink()
    with pytest.raises(DataSetError, match='the cameras.*camera.json.*missing.*InterHand2.6M'):
        InterHand(root, 'val')
