import argparse
import json
import pickle

import cv2
import numpy as np
import pytest

from hiu_ros.data.sample import Sample
from hiu_ros.evaluation import challenge
from hiu_ros.evaluation.evaluate_command import add_evaluate
from hiu_ros.evaluation.freihand_protocol import ProtocolError
from hiu_ros.perception.result import Hand

COUNT = 3
CAMERA = np.array([[480.0, 0, 112], [0, 480.0, 112], [0, 0, 1]])


def hand(keypoints_m, vertices_m, side='right', keypoints_px=None, mask=None):
    points = np.zeros((21, 2)) if keypoints_px is None else keypoints_px
    return Hand('0', side, 1.0, 1.0, np.array([0, 0, 1, 1]), points, np.ones(21),
                np.ones(21, bool), keypoints_m, vertices_m, np.zeros(48), np.zeros(10), np.eye(3),
                np.zeros((1, 1), np.uint8) if mask is None else mask)


def options(*words):
    parser = argparse.ArgumentParser()
    add_evaluate(parser.add_subparsers())
    return parser.parse_args(['evaluate', *map(str, words)])


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    joints = rng.uniform([-0.1, -0.1, 0.6], [0.1, 0.1, 0.8], (COUNT, 21, 3))
    return joints, rng.uniform([-0.1, -0.1, 0.6], [0.1, 0.1, 0.8], (COUNT, 778, 3))


@pytest.fixture
def freihand(tmp_path, points):
    (tmp_path / 'evaluation/rgb').mkdir(parents=True)
    for number in range(COUNT):
        cv2.imwrite(str(tmp_path / 'evaluation/rgb' / f'{number:08d}.jpg'),
                    np.zeros((224, 224, 3), np.uint8))
    for name, values in (('K', np.tile(CAMERA, (COUNT, 1, 1))), ('xyz', points[0]),
                         ('verts', points[1])):
        (tmp_path / f'evaluation_{name}.json').write_text(json.dumps(values.tolist()))
    return tmp_path


def test_freihand_is_predicted_written_scored_and_scored_again(freihand, points, capsys):
    given = []

    def predict(images, boxes, cameras):
        assert (cameras[0].matrix == CAMERA).all()
        given.extend(boxes)
        rows = range(len(given) - len(boxes), len(given))
        return [hand(points[0][r] * 2, points[1][r] * 3 + 1) for r in rows]

    file = freihand / 'pred.json'
    rows = challenge.evaluate_challenge(options(
        '--dataset', 'freihand', '--root', freihand, '--predictions', file, '--batch', 2,
        '--weights', 'w.safetensors'), predict)
    assert rows[-1]['pa_mpjpe'] < 1e-3 and rows[-1]['pa_mpvpe'] < 1e-3 and rows[-1]['f5'] == 1
    assert (rows[-1]['set'], rows[-1]['by']) == ('w.safetensors', 'this run, true boxes')
    pixels = points[0][0] @ CAMERA.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    assert np.allclose(given[0][:2], pixels.min(0), atol=1e-3)
    printed = capsys.readouterr().out
    assert 'HIU-DMTL (ICCV 2021)' in printed and 'measured by' in printed
    assert len(json.loads(file.read_text())[0]) == COUNT
    again = challenge.evaluate_challenge(options(
        '--dataset', 'freihand', '--root', freihand, '--predictions', file, '--score'), None)
    assert np.isclose(again[-1]['mpjpe'], rows[-1]['mpjpe'], rtol=1e-4)


def test_one_answer_too_few_is_no_row_of_predictions(freihand, points):
    with pytest.raises(ValueError, match='shorter'):
        challenge.evaluate_challenge(
            options('--dataset', 'freihand', '--root', freihand),
            lambda images, boxes, cameras: [hand(points[0][0], points[1][0])] * (len(boxes) - 1))


def never(images, boxes, cameras):
    raise AssertionError('predicted before all was looked at')


def test_what_cannot_end_well_is_told_before_predicting(freihand):
    words = ['--dataset', 'freihand', '--root', freihand]
    with pytest.raises(IsADirectoryError, match='is a folder; give the name of a file'):
        challenge.evaluate_challenge(options(*words, '--predictions', freihand), never)
    file = freihand / 'evaluation_K.json' / 'pred.json'
    with pytest.raises(OSError, match='evaluation_K.json cannot be made a folder'):
        challenge.evaluate_challenge(options(*words, '--predictions', file), never)
    (freihand / 'evaluation_verts.json').unlink()
    with pytest.raises(ProtocolError, match='evaluation_verts.json is missing'):
        challenge.evaluate_challenge(options(*words), never)


def test_without_all_of_the_truth_predictions_are_written_all_the_same(freihand, points, capsys):
    (freihand / 'evaluation_verts.json').unlink()

    def predict(images, boxes, cameras):
        assert 'evaluation_verts.json is missing' in capsys.readouterr().out
        return [hand(*pair) for pair in zip(*points)]

    file = freihand / 'new' / 'pred.json'
    rows = challenge.evaluate_challenge(
        options('--dataset', 'freihand', '--root', freihand, '--predictions', file), predict)
    assert rows[-1]['hands'] == COUNT and 'pa_mpjpe' not in rows[-1]
    assert len(json.loads(file.read_text())[1]) == COUNT
    assert [path.name for path in file.parent.iterdir()] == ['pred.json']


def test_without_truth_freihands_box_is_the_middle_of_the_image():
    box = challenge.freihand_box(Sample('a', np.zeros((224, 224, 3), np.uint8)))
    assert np.allclose(box[:2] + box[2:] / 2, 111.5) and np.allclose(box[2:] * 1.5, 224)


def test_scoring_needs_a_file(freihand):
    with pytest.raises(ValueError, match='--predictions'):
        challenge.evaluate_challenge(
            options('--dataset', 'freihand', '--root', freihand, '--score'), None)


@pytest.fixture
def ho3d(tmp_path, points):
    flip = np.array([1.0, -1, -1])
    order = np.argsort([0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20])
    for folder in ('rgb', 'meta'):
        (tmp_path / 'evaluation/SM1' / folder).mkdir(parents=True)
    for number in range(COUNT):
        name = f'{number:04d}'
        cv2.imwrite(str(tmp_path / 'evaluation/SM1/rgb' / f'{name}.png'),
                    np.zeros((480, 640, 3), np.uint8))
        (tmp_path / 'evaluation/SM1/meta' / f'{name}.pkl').write_bytes(pickle.dumps({
            'camMat': CAMERA, 'handJoints3D': points[0][number, 0] * flip,
            'handBoundingBox': [10, 20, 110, 170]}))
    (tmp_path / 'evaluation.txt').write_text(
        '\n'.join(f'SM1/{number:04d}' for number in range(COUNT)))
    for name, values in (('xyz', points[0][:, order] * flip), ('verts', points[1] * flip)):
        (tmp_path / f'evaluation_{name}.json').write_text(json.dumps(values.tolist()))
    return tmp_path


def test_ho3d_predictions_are_put_at_the_given_wrist(ho3d, points, capsys):
    made = []

    def predict(images, boxes, cameras):
        assert (cameras[0].matrix == CAMERA).all() and cameras[0].width == 640
        assert np.allclose(boxes, [[10, 20, 100, 150]] * len(boxes))
        rows = range(len(made), len(made) + len(boxes))
        made.extend(rows)
        # Where a hand seems to be does not count.
        place = points[0][:, :1] + [0.3, -0.2, 5.0]
        return [hand((points[0] - place)[r], (points[1] - place)[r]) for r in rows]

    words = ['--dataset', 'ho3d', '--root', ho3d, '--predictions', ho3d / 'pred.json']
    rows = challenge.evaluate_challenge(options(*words, '--count', 9), predict)
    assert rows[-1]['mpjpe'] < 1e-3 and rows[-1]['mpvpe'] < 1e-3 and rows[-1]['st_mpjpe'] < 1e-3
    assert rows[-1]['by'] == 'this run, boxes as given' and rows[-1]['hands'] == COUNT
    again = challenge.evaluate_challenge(options(*words, '--score'), None)[-1]
    assert (again['set'], again['by']) == (
        str(ho3d / 'pred.json'), 'this run, of a prediction file')
    assert again['mpjpe'] < 1e-3 and again['mpvpe'] < 1e-3
    printed = capsys.readouterr().out
    assert f'{COUNT} predictions written to {ho3d / "pred.json"}' in printed
    assert 'further figures of this run: mpjpe 0.000' in printed and 'hands ' not in printed


def test_without_the_truth_of_ho3d_predictions_are_only_written(ho3d, points):
    (ho3d / 'evaluation_xyz.json').unlink()
    rows = challenge.evaluate_challenge(
        options('--dataset', 'ho3d', '--root', ho3d, '--predictions', ho3d / 'pred.json'),
        lambda images, boxes, cameras: [hand(*pair) for pair in zip(*points)])
    assert rows[-1]['hands'] == COUNT and 'mpjpe' not in rows[-1]
    assert (ho3d / 'pred.json').is_file()


@pytest.mark.parametrize('version', ['v2', 'v3'])
def test_a_part_of_ho3d_is_set_beside_the_figures_of_its_version(
        ho3d, points, capsys, monkeypatch, version):
    monkeypatch.setattr(challenge.ho3d_protocol, 'EVALUATION_COUNTS',
                        {'v2': 2, 'v3': 2, version: COUNT})
    challenge.evaluate_challenge(
        options('--dataset', 'ho3d', '--root', ho3d, '--count', 1),
        lambda images, boxes, cameras: [hand(points[0][0], points[1][0])])
    assert f'ho3d_{version}, 1 samples' in capsys.readouterr().out


def test_joints_are_regressed_where_a_mano_file_is_given(freihand, monkeypatch):
    monkeypatch.setattr(challenge, 'load_joint_regressor', lambda path: np.zeros((16, 700)))
    with pytest.raises(ValueError, match='778 vertices is not MANO'):
        challenge.evaluate_challenge(
            options('--dataset', 'freihand', '--root', freihand, '--mano', 'MANO_RIGHT.pkl'),
            lambda images, *_: [hand(np.zeros((21, 3)), np.zeros((778, 3)))] * len(images))


def test_freihand_joints_are_regressed_from_the_posed_vertices(monkeypatch):
    regressor = np.zeros((16, 778))
    regressor[np.arange(16), 100 + np.arange(16)] = 1
    monkeypatch.setattr(challenge, 'load_joint_regressor', lambda path: regressor)
    vertices = np.arange(778.0)[:, None] * np.ones(3)
    points, mesh = challenge.freihand_joints('MANO_RIGHT.pkl')(hand(np.zeros((21, 3)), vertices))
    assert points[:, 0].tolist() == [
        100, 113, 114, 115, 744, 101, 102, 103, 320, 104, 105, 106, 443, 110, 111, 112, 555,
        107, 108, 109, 672]
    assert (mesh == vertices).all()
    with pytest.raises(ValueError, match='777 vertices is not MANO'):
        challenge.freihand_joints('MANO_RIGHT.pkl')(hand(np.zeros((21, 3)), vertices[:777]))
