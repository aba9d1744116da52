"""Weights that have learned a MANO hand, and commands with and without that hand."""

import json
import pickle

import cv2
import numpy as np
import pytest

from hiu_ros.cli import main
from hiu_ros.hand.skeleton import JOINT_PARENTS
from hiu_ros.hand.template import load_template
from hiu_ros.network import checkpoint
from hiu_ros.network.config import HIU_LITE
from hiu_ros.network.hiu import HIU


def write_mano(path, mirror):
    """The shipped hand in MANO's layout, with one vertex more; mirrored where `mirror` is -1."""
    template, across = load_template('fast'), np.array([mirror, 1.0, 1.0])
    vertices = np.concatenate([template.vertices, template.vertices[-1:]]).astype(float)
    parents = np.array(JOINT_PARENTS)
    parents[0] = 2**32 - 1
    shapedirs = np.concatenate([template.shapedirs, template.shapedirs[:, -1:]], 1) * across
    path.write_bytes(pickle.dumps({
        'v_template': vertices * across, 'f': template.faces[:, ::mirror].astype(np.uint32),
        'weights': np.concatenate([template.weights, template.weights[-1:]]).astype(float),
        'J_regressor': template.joints @ np.linalg.pinv(vertices),
        'shapedirs': shapedirs.transpose(1, 2, 0).astype(float),
        'kintree_table': np.stack([parents, np.arange(16)])}, protocol=2))


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Untrained weights that name MANO, files of both its sides, and an image with its label."""
    folder = tmp_path_factory.mktemp('mano')
    checkpoint.save(folder / 'hiu.safetensors', HIU(HIU_LITE), {'hand': 'MANO_RIGHT'})
    write_mano(folder / 'MANO_RIGHT.pkl', 1)
    write_mano(folder / 'MANO_LEFT.pkl', -1)
    cv2.imwrite(str(folder / 'a.png'),
                np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8))
    (folder / 'boxes.json').write_text('{"a.png": [[20, 10, 60, 50]]}')
    (folder / 'labels.jsonl').write_text(json.dumps({
        'set': 'home', 'file': 'a.png', 'width': 120, 'height': 90, 'split': 'val', 'licence': '',
        'hands': [{'side': 'right', 'side_score': 1.0,
                   'keypoints_px': np.linspace([20, 10], [80, 60], 21).tolist(),
                   'keypoints_m': np.eye(21, 3).tolist()}]}))
    return folder


def command(place, name, *more):
    """Exit code of a command on the image with those weights."""
    given = {'predict': [place / 'a.png', '--boxes', place / 'boxes.json'], 'follow': [place],
             'evaluate': ['--dataset', 'photos', '--photos', place]}[name]
    return main([name, *map(str, given), '--device', 'cpu',
                 '--weights', str(place / 'hiu.safetensors'), *map(str, more)])


@pytest.mark.parametrize('name, more', [
    ('predict', ()), ('follow', ()), ('evaluate', ()), ('evaluate', ('--through', 'pipeline')),
    ('evaluate', ('--find',))])
def test_weights_of_a_mano_hand_are_not_taken_for_those_of_the_shipped_hand(
        place, tmp_path, capsys, name, more):
    assert command(place, name, '--json', tmp_path / 'out', *more) == 1
    error = capsys.readouterr().err
    assert 'learned poses and shapes of the hand MANO_RIGHT' in error
    assert 'by --mano FILE' in error and error.count('\n') == 1
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('file', ['MANO_RIGHT.pkl', 'MANO_LEFT.pkl'])
def test_with_their_hand_meshes_are_of_it(place, tmp_path, file):
    assert command(place, 'predict', '--mano', place / file, '--json', tmp_path / 'out',
                   '--meshes', tmp_path) == 0
    hand, = json.loads((tmp_path / 'out').read_text())['images'][0]['hands']
    with np.load(hand['mesh']) as mesh:
        vertices = mesh['vertices']
    assert vertices.shape == (778, 3)
    tips = np.array(hand['keypoints_m'])[[4, 8, 12, 16, 20]]
    assert np.allclose(tips, vertices[[744, 320, 443, 555, 672]], atol=1e-4)


@pytest.mark.parametrize('more', [(), ('--through', 'pipeline'), ('--find',)])
def test_they_are_scored_with_their_hand_but_not_with_a_left_one(place, capsys, more):
    assert command(place, 'evaluate', '--mano', place / 'MANO_RIGHT.pkl', *more) == 0
    capsys.readouterr()
    assert command(place, 'evaluate', '--mano', place / 'MANO_LEFT.pkl', *more) == 1
    assert 'MANO_LEFT.pkl is a left hand; give MANO_RIGHT.pkl' in capsys.readouterr().err
