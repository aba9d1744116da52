import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hiu_ros.evaluation import freihand_protocol, ho3d_protocol, published
from hiu_ros.evaluation.freihand_protocol import ProtocolError


@pytest.fixture
def truth():
    rng = np.random.default_rng(0)
    joints = rng.normal(0, 0.05, (4, 21, 3)) + [0, 0, 0.7]
    return joints, rng.normal(0, 0.05, (4, 778, 3)) + [0, 0, 0.7]


def guess_of(truth, noise=0.005):
    rng = np.random.default_rng(1)
    return [points + rng.normal(0, noise, points.shape) for points in truth]


def test_the_truth_scores_best(truth):
    figures = freihand_protocol.evaluate(truth[0], truth[0], truth[1], truth[1])
    assert figures['pa_mpjpe'] < 1e-5 and figures['pa_mpvpe'] < 1e-5 and figures['mpjpe'] == 0
    assert figures['f5'] == figures['f15'] == figures['unaligned_f5'] == 1
    assert figures['pa_mpjpe_auc'] > 0.99  # the threshold 0 admits no rounding


def test_a_similarity_of_the_prediction_changes_no_aligned_figure(truth):
    joints, vertices = guess_of(truth)
    first = freihand_protocol.evaluate(truth[0], joints, truth[1], vertices)
    turn = Rotation.random(random_state=3).as_matrix()
    changed = [2.5 * points @ turn.T + [1, 2, 3] for points in (joints, vertices)]
    second = freihand_protocol.evaluate(truth[0], changed[0], truth[1], changed[1])
    for name in ('pa_mpjpe', 'pa_mpvpe', 'f5', 'f15', 'pa_mpjpe_auc', 'pa_mpvpe_auc'):
        assert np.isclose(first[name], second[name], rtol=1e-4), name
    assert second['mpjpe'] > 1000 > first['mpjpe']


def test_joints_and_vertices_are_aligned_separately(truth):
    joints, vertices = guess_of(truth)
    turn = Rotation.random(random_state=3).as_matrix()
    first = freihand_protocol.evaluate(truth[0], joints, truth[1], vertices)
    second = freihand_protocol.evaluate(truth[0], joints, truth[1], 3 * vertices @ turn.T)
    assert np.isclose(first['pa_mpvpe'], second['pa_mpvpe'], rtol=1e-4)


def test_all_zeros_are_scored_as_the_distance_to_the_mean_and_to_the_camera(truth):
    figures = freihand_protocol.evaluate(
        truth[0], np.zeros_like(truth[0]), truth[1], np.zeros_like(truth[1]))
    spread = [np.linalg.norm(p - p.mean(1, keepdims=True), axis=-1).mean() for p in truth]
    assert np.isclose(figures['pa_mpjpe'], 1000 * spread[0])
    assert np.isclose(figures['pa_mpvpe'], 1000 * spread[1])
    assert np.isclose(figures['mpjpe'], 1000 * np.linalg.norm(truth[0], axis=-1).mean())
    assert figures['unaligned_f5'] == 0 and figures['f5'] < 0.01


def test_a_mesh_of_another_topology_is_carried_by_the_joints(truth):
    rng = np.random.default_rng(4)
    turn = Rotation.random(random_state=5).as_matrix()
    chosen = rng.permutation(778)[:700]
    joints, vertices = (0.3 * p @ turn.T + [5, 6, 7] for p in (truth[0], truth[1][:, chosen]))
    figures = freihand_protocol.evaluate(truth[0], joints, truth[1], vertices)
    assert 'pa_mpvpe' not in figures
    # Every guessed vertex is right; 700 of 778 true ones (and chance neighbours) are covered.
    least = 2 * (700 / 778) / (1 + 700 / 778)
    assert least <= figures['f5'] <= 1


def test_prediction_files_are_read_back(truth, tmp_path):
    freihand_protocol.write_predictions(tmp_path / 'pred.json', *truth)
    joints, vertices = freihand_protocol.read_predictions(tmp_path / 'pred.json', 4)
    assert np.allclose(joints, truth[0], atol=1e-6) and np.allclose(vertices, truth[1], atol=1e-6)
    with pytest.raises(ProtocolError, match=r'\(4, 21, 3\), expected \(5, 21, 3\)'):
        freihand_protocol.read_predictions(tmp_path / 'pred.json', 5)


@pytest.mark.parametrize('text,says', [
    ('[[]]', 'two lists'), ('{', 'cannot be read'),
    ('[[[[1,2,3]],[[1,2,3],[4,5,6]]],[]]', 'differ'),
    ('[[[[1,2,NaN]]],[]]', 'not finite, such as NaN'), ('[[[[1,2,null]]],[]]', 'no numbers'),
    ('[[[["1","2","3"]]],[]]', 'no numbers'), ('[{"a":1},[]]', 'no numbers'),
    ('[[],[[[1,2,-Infinity]]]]', 'not finite'),
])
def test_broken_prediction_files_are_told(tmp_path, text, says):
    (tmp_path / 'pred.json').write_text(text)
    with pytest.raises(ProtocolError, match=says):
        freihand_protocol.read_predictions(tmp_path / 'pred.json', 2)


def test_truth_is_read_and_its_absence_told(truth, tmp_path):
    (tmp_path / 'evaluation_xyz.json').write_text(json.dumps(truth[0].tolist()))
    with pytest.raises(ProtocolError, match='evaluation_verts.json is missing'):
        freihand_protocol.read_truth(tmp_path)
    (tmp_path / 'evaluation_verts.json').write_text(json.dumps(truth[1].tolist()))
    assert np.allclose(freihand_protocol.read_truth(tmp_path)['vertices'], truth[1])
    (tmp_path / 'evaluation_verts.json').write_text(json.dumps(truth[0].tolist()))
    with pytest.raises(ProtocolError, match=r'\(4, 21, 3\), expected \(N, 778, 3\)'):
        freihand_protocol.read_truth(tmp_path)
    (tmp_path / 'evaluation_verts.json').write_text('[[[1, 2, 3]], [[1, 2, 3], [4, 5, 6]]]')
    with pytest.raises(ProtocolError, match='verts.json: the samples differ'):
        freihand_protocol.read_truth(tmp_path)


def test_ho3d_joint_order_is_the_published_one():
    order = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
    joints = np.arange(21)[:, None] * np.ones(3)
    assert ho3d_protocol.to_keypoints(joints)[:, 0].tolist() == order
    assert (ho3d_protocol.to_joints(ho3d_protocol.to_keypoints(joints)) == joints).all()


def test_ho3d_files_are_in_the_opengl_frame_and_mano_order(truth, tmp_path):
    ho3d_protocol.write_predictions(tmp_path / 'pred.json', *truth)
    joints, vertices = freihand_protocol.read_predictions(tmp_path / 'pred.json', 4)
    assert (joints[..., 2] < 0).all() and (vertices[..., 2] < 0).all()
    assert np.allclose(joints[:, 16], truth[0][:, 4] * [1, -1, -1], atol=1e-6)  # thumb tip
    assert np.allclose(joints[:, 1], truth[0][:, 5] * [1, -1, -1], atol=1e-6)  # index base
    with pytest.raises(ProtocolError, match='behind the camera'):
        ho3d_protocol.write_predictions(tmp_path / 'pred.json', truth[0] * -1, truth[1])


@pytest.mark.parametrize('joints, vertices', [
    (slice(0, 1), slice(0)), (slice(20, 21), slice(0)), (slice(0), slice(777, 778))])
def test_ho3d_points_relative_to_the_root_are_refused(truth, tmp_path, joints, vertices):
    """Some of their points have a depth above 0, some below, and the root has none."""
    keypoints, mesh = truth[0].copy(), truth[1].copy()
    keypoints[2, joints, 2] = mesh[2, vertices, 2] = 0
    with pytest.raises(ProtocolError, match='behind the camera.*add the root joint first'):
        ho3d_protocol.write_predictions(tmp_path / 'pred.json', keypoints, mesh)
    assert not list(tmp_path.iterdir())


def test_figures_of_a_mesh_need_two_and_errors_are_in_millimetres(truth):
    moved = truth[0] + [0.003, 0, 0.004]
    for mesh in ((truth[1], None), (None, truth[1])):
        figures = ho3d_protocol.evaluate(truth[0], moved, *mesh)
        assert figures['mpjpe'] == pytest.approx(5) and 'f5' not in figures
    # The wrist is put on the true one and points 0 and 4 as far apart: the rest is 1 cm off.
    wrong = np.zeros((1, 21, 3))
    wrong[0, 5:, 0] = 0.01
    figures = ho3d_protocol.evaluate(np.zeros((1, 21, 3)) + [[0.1, 0, 0]] * (np.arange(21) == 4)[
        :, None], wrong + [[0.1, 0, 0]] * (np.arange(21) == 4)[:, None])
    assert figures['st_mpjpe'] == pytest.approx(10 * 16 / 21)
    assert figures['st_mpjpe_auc'] == pytest.approx((5 + 16 * 0.8) / 21, abs=0.01)


def test_ho3d_scale_and_translation_keep_the_rotation(truth):
    joints = guess_of(truth)[0]
    first = ho3d_protocol.evaluate(truth[0], joints)
    moved = ho3d_protocol.evaluate(truth[0], 3 * joints + 1)
    assert np.isclose(first['st_mpjpe'], moved['st_mpjpe'])
    turned = ho3d_protocol.evaluate(truth[0], joints @ Rotation.random(random_state=3).as_matrix())
    assert turned['st_mpjpe'] > 2 * first['st_mpjpe']
    assert np.isclose(turned['pa_mpjpe'], first['pa_mpjpe'], rtol=1e-4)


def test_every_published_row_says_who_measured_it():
    rows = [row for rows in published.TABLES.values() for row in rows]
    assert all(row.measured_by for row in rows)
    own = published.FREIHAND[0].as_row()
    assert (own['pa_mpjpe'], own['pa_mpvpe'], own['f5'], own['f15']) == (7.1, 7.3, 0.699, 0.974)
