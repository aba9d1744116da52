import numpy as np
import pytest

from hiu_ros.data.photo_fits import HandFits
from hiu_ros.data.photo_trust import FIT_RESIDUAL, apart, curl, depth_faults, judge


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


def test_curl_is_how_far_the_four_tips_are_on_the_palms_side_of_their_bases():
    points = np.random.default_rng(5).normal(0, 0.1, (1, 21, 3))
    bases, tips = [5, 9, 13, 17], [8, 12, 16, 20]
    points[0, 0] = 0.3
    # The palm, 0.1 m long, faces y.
    points[0, bases] = 0.3 + np.array([(0.1, 0.0, z) for z in (0.03, 0.0, -0.01, -0.03)])
    points[0, tips] = points[0, bases] + [(0.05, y, 0.0) for y in (0.01, 0.02, 0.03, 0.04)]
    assert curl(points, np.array([True])) == pytest.approx(0.25)


def test_joints_in_one_place_have_the_shape_of_no_hand():
    with np.errstate(all='raise'):
        faults = depth_faults(np.zeros((1, 21, 2)), np.zeros((1, 21, 3)), np.ones(1, bool))
    assert faults.tolist() == ['shape']


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


@pytest.mark.parametrize('factor', [400.0, -400.0])
def test_apart_is_the_distance_after_the_best_scale_and_shift(factor):
    rng = np.random.default_rng(8)
    metres = rng.normal(0.2, 0.1, (1, 21, 3))
    keypoints = factor * metres[..., :2] + (70, 90) + rng.normal(0, 3, (1, 21, 2))
    table = np.zeros((21, 2, 3))
    table[..., 0], table[:, 0, 1], table[:, 1, 2] = metres[0, :, :2], 1, 1
    best = np.linalg.lstsq(table.reshape(42, 3), keypoints.ravel(), rcond=None)[0]
    distance = np.linalg.norm(table @ best - keypoints[0], axis=1).mean()
    palm = abs(best[0]) * np.linalg.norm(metres[0, 9] - metres[0, 0])
    assert apart(keypoints, metres) == pytest.approx(distance / palm)


def test_trust_falls_with_the_residual():
    answer = judge(np.array([''] * 4), made_fits([0.01, 0.052, 0.06, 0.2]), np.full(4, 90.0))
    assert answer['trust'][0] == 1 and answer['trust'][3] == 0
    assert (np.diff(answer['trust']) < 0).all()
    assert answer['trust_reason'].tolist() == ['', '', 'misfit', 'misfit']
    assert answer['fit_ok'].tolist() == [True, False, False, False]


def test_depth_faults_leave_the_image_joints_alone():
    answer = judge(np.array(['backwards', '']), made_fits([0.01, 0.01]), np.full(2, 90.0))
    assert answer['trust'].tolist() == [1, 1] and answer['trust_3d'].tolist() == [0, 1]


def test_3d_joints_are_believed_as_image_joints_are_and_less_where_the_fit_bends_otherwise():
    fits = made_fits([0.0525] * 3, bend=[0.2, 0.525, 0.8])
    answer = judge(np.array([''] * 3), fits, np.full(3, 90.0))
    assert answer['trust'] == pytest.approx([0.7] * 3)
    assert answer['trust_3d'] == pytest.approx([0.7, 0.35, 0.0])


def test_small_hands_count_half_and_misfits_among_them_no_more_than_others():
    answer = judge(np.array([''] * 3), made_fits([0.01, 0.01, 0.2]), np.array([15.0, 40.0, 15.0]))
    assert answer['trust'].tolist() == [0.5, 1.0, 0.0]
    assert answer['trust_reason'].tolist() == ['small', '', 'misfit']


def test_strained_and_bent_fits_do_not_teach():
    good = [FIT_RESIDUAL / 2]
    none, size = np.array(['']), np.array([90.0])
    assert judge(none, made_fits(good), size)['fit_ok'][0]
    assert not judge(none, made_fits(good, strain=1.0), size)['fit_ok'][0]
    assert not judge(none, made_fits(good, bend=1.0), size)['fit_ok'][0]
    assert judge(np.array(['backwards']), made_fits(good, bend=1.0), size)['fit_ok'][0]
