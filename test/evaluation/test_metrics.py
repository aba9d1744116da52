import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hiu_ros.evaluation import metrics


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(5, 21, 3)) * 0.05 + [0.1, -0.2, 0.6]


def moved(points, reflect=False):
    """The points after a different similarity for each sample."""
    rng = np.random.default_rng(1)
    turn = Rotation.random(len(points), random_state=2).as_matrix()
    if reflect:
        turn = turn * [[[-1], [1], [1]]]
    scale = rng.uniform(0.2, 5.0, (len(points), 1, 1))
    return scale * points @ turn.transpose(0, 2, 1) + rng.normal(size=(len(points), 1, 3))


@pytest.mark.parametrize('reflect', [False, True])
def test_a_similarity_of_the_truth_aligns_to_it_even_with_a_reflection(points, reflect):
    assert np.allclose(metrics.align(points, moved(points, reflect)), points, atol=1e-6)


def test_aligned_points_do_not_depend_on_the_predictions_frame_and_scale(points):
    prediction = points + np.random.default_rng(3).normal(size=points.shape) * 0.01
    expected = metrics.align(points, prediction)
    assert not np.allclose(expected, points, atol=1e-3)
    assert np.allclose(metrics.align(points, moved(prediction)), expected, atol=1e-6)


def test_alignment_of_a_stretched_square_by_hand():
    square = np.array([[[1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]]], float)
    stretched = square * [2, 1, 1]
    # Norms sqrt(8) and sqrt(20), covariance diag(8, 4) / sqrt(160): nuclear norm 12 / sqrt(160).
    scale = 12 / np.sqrt(160) * np.sqrt(8) / np.sqrt(20)
    assert np.allclose(metrics.align(square, stretched), stretched * scale, atol=1e-6)


def test_alignment_is_the_one_of_scipys_orthogonal_procrustes(points):
    from scipy.linalg import orthogonal_procrustes

    prediction = np.random.default_rng(4).normal(size=points.shape)
    for truth, guess, ours in zip(points, prediction, metrics.align(points, prediction)):
        a, b = truth - truth.mean(0), guess - guess.mean(0)
        a_norm, b_norm = np.linalg.norm(a), np.linalg.norm(b)
        turn, scale = orthogonal_procrustes(a / a_norm, b / b_norm)
        expected = (b / b_norm) @ turn.T * scale * a_norm + truth.mean(0)
        assert np.allclose(ours, expected, atol=1e-6)


def test_an_all_zero_prediction_is_aligned_to_the_centre_of_the_truth(points):
    aligned = metrics.align(points, np.zeros_like(points))
    assert np.allclose(aligned, points.mean(1, keepdims=True).repeat(21, 1))
    errors = metrics.point_errors(points, aligned)
    assert np.isclose(
        metrics.mean_error(errors),
        np.linalg.norm(points - points.mean(1, keepdims=True), axis=-1).mean(),
    )


def test_similarity_of_the_joints_carries_other_points_along(points):
    mesh = np.random.default_rng(5).normal(size=(5, 40, 3)) * 0.05
    both = np.concatenate([points, mesh], 1)
    changed = moved(both)
    similarity = metrics.fit_similarity(points, changed[:, :21])
    assert np.allclose(similarity.apply(changed[:, 21:]), mesh, atol=1e-6)


def test_scale_and_translation_alignment_takes_points_0_and_4(points):
    changed = points * 3 + 1
    assert np.allclose(metrics.align_scale_translation(points, changed), points)
    zero = metrics.align_scale_translation(points, np.zeros_like(points))
    assert np.allclose(zero, points[:, :1])


def test_one_sample_is_aligned_as_in_a_batch(points):
    prediction = moved(points + np.random.default_rng(3).normal(size=points.shape) * 0.01)
    expected = metrics.align(points, prediction)[2]
    assert np.allclose(metrics.align(points[2], prediction[2]), expected)


def test_root_alignment_moves_only(points):
    assert np.allclose(metrics.align_root(points, points + [1, 2, 3], 9), points)
    scaled = metrics.align_root(points, points * 2, 9)
    assert np.allclose(scaled - scaled[:, 9:10], 2 * (points - points[:, 9:10]))


def test_errors_are_averaged_per_point_first():
    errors = np.array([[1.0, 4.0], [3.0, np.nan]])
    assert metrics.mean_error(errors) == 3.0  # (2 + 4) / 2, not (1 + 3 + 4) / 3
    assert np.isnan(metrics.mean_error(np.full((2, 2), np.nan)))


def test_invalid_points_do_not_count(points):
    wrong = points.copy()
    wrong[:, 3] += 1
    valid = np.ones(points.shape[:2], bool)
    assert metrics.mean_error(metrics.point_errors(points, wrong, valid)) > 0.05
    valid[:, 3] = False
    assert metrics.mean_error(metrics.point_errors(points, wrong, valid)) == 0


def test_pck_counts_errors_equal_to_the_threshold():
    errors = np.array([[0.01], [0.02], [0.03], [0.04]])
    assert np.allclose(metrics.pck(errors, [0.0, 0.01, 0.025, 0.04]), [0, 0.25, 0.5, 1])


@pytest.mark.parametrize('error,expected', [(0.0, 1.0), (0.025, 0.5), (0.06, 0.0)])
def test_auc_of_one_error_is_the_share_of_the_range_above_it(error, expected):
    assert np.isclose(metrics.auc(np.full((3, 21), error)), expected, atol=0.006)


def test_f_score_by_hand():
    truth = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]], float)
    guess = np.array([[0, 0.4, 0], [1, 0.4, 0], [9, 0, 0]], float)
    # 2 of 4 true points are covered, 2 of 3 predicted ones are right.
    assert np.isclose(metrics.f_score(truth, guess, 0.5), 2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))
    assert metrics.f_score(truth, guess, 0.4) == 0  # strictly nearer
    assert metrics.f_score(truth, truth, 1e-9) == 1
    assert metrics.f_score(truth, guess[:0], 1) == metrics.f_score(truth[:0], guess, 1) == 0
    # Strictly nearer from either side: the other share alone is not 0.
    assert metrics.f_score(truth[:1], np.array([[0.5, 0, 0], [0, 0, 0]]), 0.5) == 2 / 3
    assert metrics.f_score(np.array([[0.5, 0, 0], [0, 0, 0]]), truth[:1], 0.5) == 2 / 3


def test_f_score_means_over_samples():
    truth = np.zeros((2, 1, 3))
    guess = np.array([[[0, 0, 0.1]], [[0, 0, 9.0]]])
    assert metrics.f_scores(truth, guess, 1.0) == 0.5


def test_as_many_sets_of_points_are_needed_as_there_are_true_ones():
    with pytest.raises(ValueError, match='2 true sets, but 1 predicted'):
        metrics.f_scores(np.zeros((2, 1, 3)), np.zeros((1, 1, 3)), 1.0)


def test_wrists_are_moved_onto_each_other_if_no_other_root_is_named(points):
    assert np.allclose(metrics.align_root(points, 2 * points)[:, 0], points[:, 0])


def test_points_without_any_valid_error_have_no_share():
    assert np.isnan(metrics.pck(np.full((3, 2), np.nan), [0.1, 0.2])).tolist() == [True, True]
    assert np.isnan(metrics.auc(np.full((3, 2), np.nan)))


def test_mask_iou_by_hand():
    a, b = np.zeros((4, 4)), np.zeros((4, 4), np.uint8)
    assert metrics.mask_iou(a, b) == 1
    a[:2], b[1:3] = 1, 255
    assert np.isclose(metrics.mask_iou(a, b), 1 / 3)
    with pytest.raises(ValueError, match=r'\(4, 4\) and \(2, 4\)'):
        metrics.mask_iou(a, b[:2])


@pytest.mark.parametrize('a, b, share', [
    ([0, 0, 2, 2], [1, 1, 2, 2], 1 / 7), ([0, 0, 2, 3], [1, 1, 4, 2], 1 / 6),
    ([0, 0, 9, 6], [3, 2, 3, 2], 6 / 54), ([0, 2, 9, 2], [3, 0, 3, 6], 6 / 30),
    ([0, 0, 2, 2], [5, 5, 2, 2], 0), ([0, 0, 2, 2], [0, 5, 2, 2], 0),
    ([0, 0, 2, 2], [2, 0, 2, 2], 0),
    ([1, 1, 0, 0], [1, 1, 0, 0], 0), ([1, 1, 0, 4], [0, 0, 3, 3], 0)])
def test_box_iou_by_hand(a, b, share):
    assert metrics.box_iou(a, b) == pytest.approx(share)
    assert metrics.box_iou(b, a) == pytest.approx(share)


def test_shapes_that_differ_are_told(points):
    with pytest.raises(ValueError, match=r'\(5, 21, 3\).*\(5, 20, 3\)'):
        metrics.align(points, points[:, :20])
