"""Dexter+Object, CMU Panoptic hands, HIU-Data and COCO-WholeBody on made-up data sets."""

import json

import cv2
import numpy as np
import pytest

from hiu_ros.data.sample import Visibility
from hiu_ros.data.sets.coco_wholebody import COCOWholeBody
from hiu_ros.data.sets.dexter_object import SEQUENCES, DexterObject
from hiu_ros.data.sets.hiu_data import HIUData
from hiu_ros.data.sets.layout import DataSetError
from hiu_ros.data.sets.panoptic import Panoptic

TIPS = [4, 8, 12, 16, 20]


def picture(path, height=100, width=120, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), value, np.uint8))


@pytest.fixture
def dexter(tmp_path):
    for name in SEQUENCES:
        picture(tmp_path / 'data' / name / 'color' / 'image_00000_color.png', 480, 640)
        folder = tmp_path / 'data' / name / 'annotations'
        folder.mkdir()
        parts = [f'{10 * k + 1}, {20 * k}, {500 + k}' for k in range(8)]
        parts[2] = '0, 0, 32001'
        (folder / f'{name}3D.txt').write_text('; '.join(parts) + ';\n')
    return tmp_path


def test_dexter_labels_tips_only_in_the_colour_cameras_frame(dexter):
    data = DexterObject(dexter)
    sample = data[0]
    assert len(data) == 6 and sample.side == 'left'
    assert sample.valid_m.nonzero()[0].tolist() == [4, 8, 16, 20]
    assert sample.labelled_px.nonzero()[0].tolist() == [4, 8, 16, 20]
    # Index tip, (11, 20, 501) mm: x and y turn round, then the camera's own rotation and place.
    point = np.array([-11, -20, 501])
    turn = [[0.9999, 0.0034, 0.0161], [-0.0033, 1, -0.0079], [-0.0162, 0.0079, 0.9998]]
    point = (turn @ point + [19.0473, -1.8514, -4.7501]) / 1000
    assert np.allclose(sample.keypoints_m[8], point, atol=1e-6)
    x, y, z = point
    assert np.allclose(sample.keypoints_px[8], [587.45209 * x / z + 325, 600.67456 * y / z + 249],
                       atol=1e-3)


def test_dexter_says_what_is_missing_or_wrong(dexter):
    label = dexter / 'data/Pinch/annotations/Pinch3D.txt'
    label.write_text('1,2,3;4,5\n')
    with pytest.raises(DataSetError, match='line 1 of Pinch3D.txt is malformed'):
        DexterObject(dexter)
    label.write_text('')
    with pytest.raises(DataSetError, match='Pinch has 1 images, but labels of 0'):
        DexterObject(dexter)
    label.unlink()
    with pytest.raises(DataSetError, match='labels of Pinch .*missing.*Max Planck'):
        DexterObject(dexter)


@pytest.fixture
def panoptic(tmp_path):
    points = np.random.default_rng(0).uniform(0, 90, (21, 3))
    points[:, 2] = 1
    points[6] = [0, 0, 0]
    for part, left in (('hand_labels/manual_train', 1), ('hand_labels_synth/synth3', 0)):
        picture(tmp_path / part / '0001.jpg')
        label = {'hand_pts': points.tolist(), 'is_left': left}
        (tmp_path / part / '0001.json').write_text(json.dumps(label))
    picture(tmp_path / 'hand143_panopticdb/imgs/00000000.jpg')
    (tmp_path / 'hand143_panopticdb/hands_v143_14817.json').write_text(json.dumps(
        {'root': [{'img_paths': 'imgs/00000000.jpg', 'joint_self': points.tolist()}]}))
    return tmp_path, points


@pytest.mark.parametrize('split,side', [
    ('manual_train', 'left'), ('synth', 'right'), ('studio', 'right')])
def test_panoptic_points_are_in_our_order_with_their_labelled_flag(panoptic, split, side):
    root, points = panoptic
    data = Panoptic(root, split)
    sample = data[0]
    assert len(data) == 1 and sample.side == side
    assert sample.read_image().shape == (100, 120, 3)
    assert sample.visibility[6] == Visibility.UNLABELLED
    others = np.arange(21) != 6
    assert np.allclose(sample.keypoints_px[others], points[others, :2])


def test_panoptic_says_what_is_missing_or_wrong(panoptic):
    root, _ = panoptic
    with pytest.raises(DataSetError, match='the part manual_test.*missing.*CMU Panoptic'):
        Panoptic(root, 'manual_test')
    (root / 'hand143_panopticdb/hands_v143_14817.json').write_text('[]')
    with pytest.raises(DataSetError, match="no list 'root'"):
        Panoptic(root, 'studio')
    (root / 'hand_labels/manual_train/0001.json').write_text('{}')
    with pytest.raises(DataSetError, match='0001.json holds no hand_pts'):
        Panoptic(root)[0]


@pytest.fixture
def hiu(tmp_path):
    points = np.random.default_rng(0).uniform(0, 90, (25, 3))  # rows after 21 are not ours
    points[:, 2] = 0
    points[3, 2] = 2
    for name, left in (('a', True), ('b', False)):
        picture(tmp_path / f'{name}.jpg')
        mask = np.zeros((100, 120, 3), np.uint8)
        mask[:30, :, 0] = 255 if left else 1
        mask[50:] = [0, 255, 255]
        cv2.imwrite(str(tmp_path / f'{name}_mask.png'), mask)
        label = {'key_point_2ds': points.tolist(), 'left': left}
        (tmp_path / f'{name}.json').write_text(json.dumps(label))
    (tmp_path / 'train.lst').write_text('a\nb\n')
    return tmp_path, points


@pytest.mark.parametrize('index', [0, 1])
def test_hiu_data_gives_points_side_and_the_masks_first_channel(hiu, index):
    root, points = hiu
    sample = HIUData(root)[index]
    assert sample.side == ('left', 'right')[index]
    assert np.allclose(sample.keypoints_px, points[:21, :2])
    assert sample.visibility.nonzero()[0].tolist() == [3]
    assert sample.visibility[3] == Visibility.OCCLUDED
    mask = sample.read_mask()
    assert (mask[:30] == 255).all() and (mask[30:] == 0).all()


def test_hiu_data_says_what_is_missing(hiu):
    root, _ = hiu
    with pytest.raises(DataSetError, match='val.lst.*missing.*password'):
        HIUData(root, 'val')
    (root / 'a_mask.png').unlink()
    with pytest.raises(DataSetError, match='the first of the masks'):
        HIUData(root)


@pytest.fixture
def coco(tmp_path):
    points = np.random.default_rng(0).uniform(0, 90, (21, 3))
    points[:, 2] = 2
    points[4, 2], points[5, 2] = 1, 0
    people = [
        {'image_id': 7, 'lefthand_valid': True, 'lefthand_box': [1, 2, 40, 30],
         'lefthand_kpts': points.reshape(-1).tolist(), 'righthand_valid': False,
         'righthand_box': [0, 0, 0, 0], 'righthand_kpts': [0] * 63},
        {'image_id': 7, 'lefthand_valid': True, 'lefthand_box': [1, 2, 9, 8],
         'lefthand_kpts': points.reshape(-1).tolist(), 'righthand_valid': True,
         'righthand_box': [5, 5, 30, 30], 'righthand_kpts': points.reshape(-1).tolist()},
    ]
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations/coco_wholebody_val_v1.0.json').write_text(json.dumps(
        {'images': [{'id': 7, 'file_name': '000007.jpg'}], 'annotations': people}))
    picture(tmp_path / 'val2017/000007.jpg')
    return tmp_path, points


def test_coco_gives_valid_hands_of_some_size(coco):
    root, points = coco
    data = COCOWholeBody(root, 'val')
    assert [(data[i].side, data[i].box.tolist()) for i in range(len(data))] == [
        ('left', [1, 2, 40, 30]), ('right', [5, 5, 30, 30])]
    assert len(COCOWholeBody(root, 'val', least_size=5)) == 3
    sample = data[0]
    assert sample.visibility[3:6].tolist() == [
        Visibility.VISIBLE, Visibility.OCCLUDED, Visibility.UNLABELLED]
    assert np.allclose(sample.keypoints_px[:5], points[:5, :2])
    assert sample.read_image().shape == (100, 120, 3)


def test_coco_says_what_is_missing(coco):
    root, _ = coco
    with pytest.raises(DataSetError, match='coco_wholebody_train.*missing.*jin-s13'):
        COCOWholeBody(root)
    (root / 'val2017').rename(root / 'other')
    with pytest.raises(DataSetError, match='the images .val2017 or images/val2017'):
        COCOWholeBody(root, 'val')
