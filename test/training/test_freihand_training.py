"""paper_freihand from the command line, on a FreiHAND of eight pictures and an imitated MANO."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hiu_ros import cli
from hiu_ros.hand.mano_file import load_mano
from hiu_ros.hand.model import HandModel, load_template
from hiu_ros.hand.skeleton import JOINT_PARENTS
from hiu_ros.network.checkpoint import read_header
from hiu_ros.training.mix import HandMix
from hiu_ros.training.mix_options import MixOptions
from hiu_ros.training.set_source import SetOptions

COUNT = 2
CAMERA = np.array([[480.0, 0, 112], [0, 480, 112], [0, 0, 1]])


@pytest.fixture(scope='module')
def mano(tmp_path_factory) -> Path:
    """The shipped hand in MANO's layout: one vertex more, and a mean pose."""
    template = load_template('fast')
    vertices = np.concatenate([template.vertices, template.vertices[-1:]]).astype(float)
    parents = np.array(JOINT_PARENTS)
    parents[0] = 2**32 - 1
    shapedirs = np.concatenate([template.shapedirs, template.shapedirs[:, -1:]], 1)
    path = tmp_path_factory.mktemp('mano') / 'MANO_RIGHT.pkl'
    path.write_bytes(pickle.dumps({
        'v_template': vertices, 'f': template.faces.astype(np.uint32),
        'weights': np.concatenate([template.weights, template.weights[-1:]]).astype(float),
        'J_regressor': template.joints @ np.linalg.pinv(vertices),
        'shapedirs': shapedirs.transpose(1, 2, 0).astype(float),
        'posedirs': np.zeros((778, 3, 135)), 'kintree_table': np.stack([parents, np.arange(16)]),
        'hands_mean': np.random.default_rng(1).normal(0, 0.2, 45),
    }, protocol=2))
    return path


@pytest.fixture(scope='module')
def freihand(tmp_path_factory, mano) -> Path:
    root = tmp_path_factory.mktemp('freihand')
    template = load_mano(mano)
    rng = np.random.default_rng(0)
    pose = rng.normal(0, 0.2, (COUNT, 16, 3))
    pose[:, 0] += [0.3, 1.2, 0.2]
    shape = rng.normal(0, 0.7, (COUNT, 10))
    rotations = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(COUNT, 16, 3, 3)
    with torch.no_grad():
        posed = HandModel(template)(torch.from_numpy(rotations).float(),
                                    torch.from_numpy(shape).float())
    place = np.array([0.02, -0.01, 0.6]) - posed.keypoints.numpy().mean(1, keepdims=True)
    relative = pose.reshape(COUNT, 48).copy()
    relative[:, 3:] -= template.pose_mean
    labels = {
        'K': np.repeat(CAMERA[None], COUNT, 0), 'xyz': posed.keypoints.numpy() + place,
        'verts': posed.vertices.numpy() + place,
        'mano': np.concatenate([relative, shape, np.zeros((COUNT, 3))], 1)[:, None],
        'scale': np.full(COUNT, 0.03),
    }
    for split, versions in (('training', 4), ('evaluation', 1)):
        for name, values in labels.items():
            (root / f'{split}_{name}.json').write_text(json.dumps(values.tolist()))
        (root / split / 'rgb').mkdir(parents=True)
        (root / split / 'mask').mkdir()
        for number in range(versions * COUNT):
            picture = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
            cv2.imwrite(str(root / split / 'rgb' / f'{number:08d}.jpg'), picture)
            mask = np.zeros((224, 224), np.uint8)
            cv2.circle(mask, (112, 112), 60, 255, -1)
            cv2.imwrite(str(root / split / 'mask' / f'{number:08d}.jpg'), mask)
    return root


def test_every_label_of_freihand_reaches_the_crop(freihand, mano):
    template = load_mano(mano)
    options = MixOptions(sets=(SetOptions('freihand', str(freihand)),), negative_share=0,
                         wrong_side_share=0)
    mix = HandMix(options, 64, template=template, mano=True)
    hand = HandModel(template)
    for i in range(4):
        sample = mix[i]
        assert all(sample[name] == 1 for name in (
            'weights_3d', 'mask_weights', 'parameter_weights', 'shape_weights', 'side_weights',
            'vertex_weights', 'canonical'))
        posed = hand(torch.from_numpy(sample['rotations'])[None],
                     torch.from_numpy(sample['shapes'])[None])
        root = posed.keypoints[0, 0]
        assert np.allclose(posed.vertices[0] - root, sample['vertices'], atol=1e-4)
        assert np.allclose(posed.keypoints[0] - root,
                           sample['keypoints_m'] - sample['keypoints_m'][0], atol=1e-4)


def test_paper_configuration_trains_and_validates(freihand, mano, tmp_path):
    narrow = {'input_size': 64, 'stages': 2, 'stem_channels': [8, 8],
              'encoder_channels': [8, 8, 16, 16], 'encoder_blocks': [1, 1, 1, 1],
              'decoder_channels': 8, 'attention_hidden': 8, 'regressor_channels': [16, 16],
              'regressor_blocks': [1, 1], 'regressor_hidden': 16}
    assert cli.main([
        'train', 'paper_freihand', f'hand={mano}', f'data.sets.0.root={freihand}',
        f'validation.sets.0.root={freihand}', f'run={tmp_path}', f'network_changes={narrow}',
        'loss.vertices=1', 'loss.keypoints_3d=1', 'batch=2', 'steps=2', 'workers=0', 'threads=1',
        'log_every=2', 'tensorboard=false']) == 0
    lines = [json.loads(line) for line in (tmp_path / 'log.jsonl').read_text().splitlines()]
    assert [line['kind'] for line in lines] == ['train', 'validation']
    assert lines[0]['vertices'] > 0 and lines[0]['silhouette'] > 0
    assert 0 < lines[1]['freihand/pa_mpjpe_mm'] < 60
    assert read_header(tmp_path / 'weights.safetensors').notes['hand'] == 'MANO_RIGHT'


def test_without_a_mano_file_the_message_names_it(freihand, tmp_path, capsys):
    assert cli.main(['train', 'paper_freihand', 'hand=/none/MANO_RIGHT.pkl',
                     f'run={tmp_path}']) == 1
    assert 'MANO file /none/MANO_RIGHT.pkl does not exist' in capsys.readouterr().err
