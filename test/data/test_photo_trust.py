import numpy as np
import pytest

from hiu_ros.data.photo_fits import HandFits
from hiu_ros.data.photo_trust import FIT_RESIDUAL, curl, depth_faults, judge


@pytest.fixture
def labels(paint):
    hands = [paint(seed, bend=0.7) for seed in range(4)]
    return (np.stack([hand.keypoints for hand in hands]),
            np.stack([hand.keypoints_m for hand in hands]), np.ones(4, bool))


def made_fits(residual, bend=0.2, strain=0.0):
    count = len(residual)
    return HandFits(np.zeros((count, 16, 3)), np.zeros((count, 10)), np.zeros((count, 3)),
                    np.array(residual), np.full(count, bend), np.full(count, strain))


def test_good_labels_have_no_fault(labels):
    assert (depth_faults(*labels) == '').all()


def test_fingers_that_bend_backwards(labels):
    keypoints, metres, right = labels
    assert (curl(metres, right) > 0.2).all()
    assert (depth_faults(keypoints, metres, ~right) == 'backwards').all()
    mirrored = metres * [-1, 1, 1]
    np.testing.assert_allclose(curl(mirrored, ~right), curl(metres, right), rtol=1e-4)


def test_bones_of_no_hand(labels):
    keypoints, metres, right = labels
    metres = metres.copy()
    metres[1, 5:] = metres[1, 5:].mean(axis=0) + 0.05 * (metres[1, 5:] - metres[1, 5:].mean(0))
    faults = depth_faults(keypoints, metres, right)
    assert faults[1] == 'shape' and faults[0] == ''


def test_image_and_space_that_contradict_each_other(labels):
    keypoints, metres, right = labels
    keypoints = keypoints.copy()
    keypoints[2, :, 0] = keypoints[2, ::-1, 0]
    faults = depth_faults(keypoints, metres, right)
    assert faults[2] == 'apart' and faults[3] == ''


def test_trust_falls_with_the_residual():
    answer = judge(np.array([''] * 4), made_fits([0.01, 0.052, 0.06, 0.2]), np.full(4, 90.0))
    assert answer['trust'][0] == 1 and answer['trust'][3] == 0
    assert (np.diff(answer['trust']) < 0).all()
    assert answer['trust_reason'].tolist() == ['', '', 'misfit', 'misfit']
    assert answer['fit_ok'].tolist() == [True, False, False, False]


def test_depth_faults_leave_the_image_joints_alone():
    answer = judge(np.array(['backwards', '']), made_fits([0.01, 0.01]), np.full(2, 90.0))
    assert answer['trust'].tolist() == [1, 1] and answer['trust_3d'].tolist() == [0, 1]


def test_small_hands_count_half():
    answer = judge(np.array(['', '']), made_fits([0.01, 0.01]), np.array([15.0, 40.0]))
    assert answer['trust'].tolist() == [0.5, 1.0]
    assert answer['trust_reason'].tolist() == ['small', '']


def test_strained_and_bent_fits_do_not_teach():
    good = [FIT_RESIDUAL / 2]
    none, size = np.array(['']), np.array([90.0])
    assert judge(none, made_fits(good), size)['fit_ok'][0]
    assert not judge(none, made_fits(good, strain=1.0), size)['fit_ok'][0]
    assert not judge(none, made_fits(good, bend=1.0), size)['fit_ok'][0]
    assert judge(np.array(['backwards']), made_fits(good, bend=1.0), size)['fit_ok'][0]
