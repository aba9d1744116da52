import pickle

import cv2
import numpy as np
import pytest

from hiu_ros.data.sample import Visibility
from hiu_ros.data.sets.layout import DataSetError
from hiu_ros.data.sets.rhd import RHD


@pytest.fixture
def root(tmp_path):
    for folder in ('color', 'mask'):
        (tmp_path / 'training' / folder).mkdir(parents=True)
    labels = {}
    for number in range(2):
        cv2.imwrite(str(tmp_path / 'training/color' / f'{number:05d}.png'),
                    np.zeros((320, 320, 3), np.uint8))
        mask = np.zeros((320, 320), np.uint8)
        mask[:, :40], mask[:, 40:80], mask[:, 80:90], mask[:, 90:100] = 1, 2, 17, 18
        mask[:, 100:200] = 33
        cv2.imwrite(str(tmp_path / 'training/mask' / f'{number:05d}.png'), mask)
        # The v of keypoint k is k, the x of its 3D point k / 1000.
        uv = np.stack([np.full(42, 100.0), np.arange(42.0), np.ones(42)], 1)
        xyz = np.stack([np.arange(42) / 1000, np.zeros(42), np.ones(42)], 1)
        labels[number] = {'K': np.eye(3), 'uv_vis': uv, 'xyz': xyz}
    labels[1]['uv_vis'][:21, 2] = 0  # the left hand of image 1 is not seen
    labels[0]['uv_vis'][21 + 3, 2] = 0
    labels[0]['uv_vis'][21 + 2, :2] = [400, 5]
    (tmp_path / 'training/anno_training.pickle').write_bytes(pickle.dumps(labels, 2))
    return tmp_path


def test_each_seen_hand_is_a_sample_in_our_order(root):
    data = RHD(root)
    assert [data[i].source for i in range(len(data))] == [
        'rhd/training/00000/left', 'rhd/training/00000/right', 'rhd/training/00001/right']
    expected = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]
    assert data[0].keypoints_px[:, 1].tolist() == expected
    assert np.allclose(data[2].keypoints_m[:, 0] * 1000, np.array(expected) + 21)
    assert data[0].side == 'left' and data[1].side == 'right'


def test_visibility_follows_the_label_and_the_image(root):
    sample = RHD(root)[1]
    assert sample.visibility[2] == Visibility.OCCLUDED  # row 3 of a hand
    assert sample.visibility[3] == Visibility.OUTSIDE  # row 2
    assert (np.delete(sample.visibility, [2, 3]) == Visibility.VISIBLE).all()


def test_masks_hold_the_parts_of_one_hand_only(root):
    data = RHD(root)
    left, right = data[0].read_mask()[0], data[1].read_mask()[0]
    assert np.flatnonzero(left).tolist() == list(range(40, 90))
    assert np.flatnonzero(right).tolist() == list(range(90, 200))


def test_hands_with_few_visible_keypoints_can_be_asked_for(root):
    assert len(RHD(root, least_visible=0)) == 4
    assert len(RHD(root, least_visible=21)) == 2


def test_what_is_missing_or_wrong_is_named(root):
    with pytest.raises(DataSetError, match=r'evaluation/color.* is missing.*Freiburg'):
        RHD(root, 'evaluation')
    (root / 'training/anno_training.pickle').write_bytes(pickle.dumps({0: {'K': np.eye(4)}}))
    with pytest.raises(DataSetError, match=r"'K': \(4, 4\)"):
        RHD(root)
