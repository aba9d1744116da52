import cv2
import numpy as np
import pytest
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from hiu_ros.data.sets.layout import DataSetError
from hiu_ros.data.sets.stb import STB

COUNT = 2


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / 'labels').mkdir()
    for sequence in ('B1Counting', 'B1Random'):
        (tmp_path / 'images' / sequence).mkdir(parents=True)
        for camera, picture in (('BB', 'BB_left'), ('SK', 'SK_color')):
            joints = rng.uniform([-100, -100, 500], [100, 100, 700], (COUNT, 21, 3))
            savemat(tmp_path / 'labels' / f'{sequence}_{camera}.mat',
                    {'handPara': joints.transpose(2, 1, 0)})
            np.save(tmp_path / f'{sequence}_{camera}.npy', joints)
            for number in range(COUNT):
                cv2.imwrite(str(tmp_path / 'images' / sequence / f'{picture}_{number}.png'),
                            np.zeros((480, 640, 3), np.uint8))
    return tmp_path


def test_sequences_and_cameras_are_listed(root):
    data = STB(root, 'evaluation')
    assert len(data) == 2 * 2 * COUNT
    assert data[0].source == 'stb/B1Counting/BB_left_0'
    assert data[COUNT].source == 'stb/B1Counting/SK_color_0'
    assert data[0].read_image().shape == (480, 640, 3) and data[0].side == 'left'
    assert len(STB(root, 'evaluation', ('SK',))) == 2 * COUNT


def test_stereo_labels_are_reordered_metres_and_the_palm_becomes_the_wrist(root):
    joints = np.load(root / 'B1Counting_BB.npy')[1] / 1000
    sample = STB(root, 'evaluation')[1]
    points = sample.keypoints_m
    assert np.allclose(points[1:5], joints[17:21])  # thumb is last
    assert np.allclose(points[5:9], joints[13:17])
    assert np.allclose(points[17:21], joints[1:5])  # pinky is first
    # The palm is halfway between wrist and middle finger base.
    assert np.allclose((points[0] + points[9]) / 2, joints[0], atol=1e-6)
    x, y, z = points[3]
    assert np.allclose(sample.keypoints_px[3],
                       [822.79041 * x / z + 318.47345, 822.79041 * y / z + 250.31296], atol=1e-2)


def test_depth_labels_are_brought_into_the_colour_camera(root):
    joints = np.load(root / 'B1Counting_SK.npy')[0]
    points = STB(root, 'evaluation', ('SK',))[0].keypoints_m * 1000
    turn = Rotation.from_rotvec([0.00531, -0.01196, 0.00301])
    there = turn.apply(points) + [-24.0381, -0.4563, -1.2326]
    assert np.allclose(there[8], joints[16], atol=1e-2)


def test_what_is_missing_or_wrong_is_named(root):
    with pytest.raises(DataSetError, match='labels of B2Counting.*is missing.*Stereo Matching'):
        STB(root)
    savemat(root / 'labels' / 'B1Random_SK.mat', {'handPara': np.zeros((3, 20, 4))})
    with pytest.raises(DataSetError, match=r'B1Random_SK.mat holds handPara of shape \(3, 20, 4'):
        STB(root, 'evaluation')
    (root / 'labels' / 'B1Random_SK.mat').write_bytes(b'no matrix')
    with pytest.raises(DataSetError, match='no readable handPara'):
        STB(root, 'evaluation')
    with pytest.raises(ValueError, match='XX'):
        STB(root, 'evaluation', ('XX',))
