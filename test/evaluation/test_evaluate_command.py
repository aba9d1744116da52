"""`hiu evaluate` on made-up photos with an untrained network."""

import json

import cv2
import numpy as np
import pytest
import torch

from hiu_ros.cli import main
from hiu_ros.evaluation.cut_photos import CutPhotos
from hiu_ros.evaluation.hidden_photos import HiddenPhotos
from hiu_ros.network import checkpoint
from hiu_ros.network.config import preset
from hiu_ros.network.hiu import HIU
from hiu_ros.perception.poor_light import Corrected


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'hiu.safetensors'
    checkpoint.save(path, HIU(preset('hiu_lite')))
    return path


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    lines = []
    for number in range(3):
        cv2.imwrite(str(tmp_path / f'{number}.png'),
                    rng.integers(0, 256, (90, 120, 3), dtype=np.uint8))
        hand = {'side': 'right', 'side_score': 1.0,
                'keypoints_px': rng.uniform(10, 80, (21, 2)).tolist(),
                'keypoints_m': rng.normal(0, 0.05, (21, 3)).tolist()}
        lines.append({'set': ('dorm_counting', 'home')[number % 2], 'file': f'{number}.png',
                      'width': 120, 'height': 90, 'split': 'val', 'licence': '', 'hands': [hand]})
    (tmp_path / 'labels.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    return tmp_path


@pytest.mark.parametrize('through', ['network', 'pipeline'])
def test_photos_are_scored_and_written(photos, weights, tmp_path, capsys, through):
    out = tmp_path / 'figures' / 'photos.json'
    status = main(['evaluate', '--dataset', 'photos', '--photos', str(photos), '--weights',
                   str(weights), '--through', through, '--json', str(out), '--kinds'])
    assert status == 0
    rows = {row['set']: row for row in json.loads(out.read_text())}
    assert rows['dorm_counting']['hands'] == 2 and rows['home']['hands'] == 1
    assert rows['UNSEEN (mean of sets)']['palm_mean'] == rows['dorm_counting']['palm_mean'] > 0
    assert 'seen (mean of sets)' in capsys.readouterr().out


def test_more_views_are_of_the_pipeline(photos, weights, tmp_path, capsys):
    words = ['evaluate', '--dataset', 'photos', '--photos', str(photos), '--weights',
             str(weights), '--views', '3']
    assert main(words) == 1
    assert '--views, --half and --uncorrected need --through pipeline' in capsys.readouterr().err
    palms = []
    for number, views in enumerate(('1', '3')):
        out = tmp_path / f'{number}.json'
        assert main([*words[:-1], views, '--through', 'pipeline', '--json', str(out)]) == 0
        palms.append(json.loads(out.read_text())[0]['palm_mean'])
    assert palms[0] != palms[1]


def test_sets_and_counts_can_be_chosen(photos, weights, tmp_path):
    out = tmp_path / 'figures.json'
    assert main(['evaluate', '--dataset', 'photos', '--photos', str(photos), '--weights',
                 str(weights), '--sets', 'home', '--unseen', 'home', '--json', str(out)]) == 0
    names = [row['set'] for row in json.loads(out.read_text())]
    assert names == ['home', 'UNSEEN (mean of sets)']


@pytest.mark.parametrize('words,says', [
    (['--json', '.'], '. is a folder; give the name of a file to write'),
    (['--count', '0'], '--count must be 1 or more, got 0'),
    (['--count', '-1'], '--count must be 1 or more, got -1'),
    (['--views', '9'], '--views must be 1 to 6, got 9'),
    (['--crop-scale', '-1'], '--crop-scale must be 1 to 4, got -1.0'),
    (['--find', '--follow', '0'], '--follow must be 1 or more, got 0'),
    (['--batch', '0'], '--batch must be 1 or more, got 0'),
    (['--unseen', 'home,phone_abov'], "no set ['phone_abov'] in"),
    (['--unseen', 'hom', '--find'], "no set ['hom'] in"),
    (['--sets', 'hom'], "it has ('dorm_counting', 'home')"),
    (['--split', 'train', '--sets', 'home'],
     'no labelled hand in the 0 photos of --split train and --sets home;'),
    (['--split', 'train', '--find'],
     'no labelled hand in the 0 photos of --split train and --sets dorm_counting,home;'),
])
def test_a_choice_that_cannot_be_is_one_line(words, says, photos, weights, capsys):
    assert main(['evaluate', '--weights', str(weights), '--dataset', 'photos', '--photos',
                 str(photos), *words]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and says in lines[0]


def test_a_trust_that_no_hand_has_is_one_line(photos, weights, tmp_path, capsys):
    np.savez(tmp_path / 'labels.npz', files=np.array(['0.png', '1.png', '2.png']),
             photo=np.arange(3), hand=np.zeros(3, int), mask_ok=np.zeros(3, bool),
             trust=np.full(3, 0.5), crop_centre=np.zeros((3, 2)), crop_size=np.ones(3))
    np.save(tmp_path / 'mask.npy', np.zeros((3, 192, 192), np.uint8))
    words = ['evaluate', '--weights', str(weights), '--dataset', 'photos', '--photos',
             str(photos), '--cache', str(tmp_path), '--min-trust']
    assert main([*words, '0.4']) == 0
    assert main([*words, '0.6']) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(
        'hiu evaluate: no hand of the photos has a trust of 0.6;')


def test_a_folder_that_is_no_photo_cache_is_one_line(photos, weights, tmp_path, capsys):
    np.savez(tmp_path / 'labels.npz', pose=np.zeros((3, 16, 3)), hand=np.zeros(3))
    assert main(['evaluate', '--weights', str(weights), '--dataset', 'photos', '--photos',
                 str(photos), '--cache', str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert 'is no photo cache, its labels.npz lacks files, photo, mask_ok, trust,' in lines[0]


@pytest.mark.parametrize('through', ['network', 'pipeline'])
def test_a_gpu_that_is_not_there_is_one_line(photos, weights, capsys, monkeypatch, through):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert main(['evaluate', '--weights', str(weights), '--dataset', 'photos', '--photos',
                 str(photos), '--through', through, '--device', 'cuda']) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and 'device cuda is not there: PyTorch sees 0 GPUs' in lines[0]


@pytest.mark.parametrize('words,option', [
    (['freihand', '--root', '.', '--predictions', 'p.json', '--score', '--count', '3'], 'count'),
    (['ho3d', '--root', '.', '--split', 'train'], 'split'),
    (['photos', '--photos', '.', '--score'], 'score'),
    (['photos', '--photos', '.', '--draw', 'out'], 'draw'),
    (['photos', '--photos', '.', '--follow', '3'], 'follow'),
    *((['photos', '--photos', '.', '--find', *given], given[0][2:]) for given in (
        ['--kinds'], ['--cache', '.'], ['--min-trust', '0.5'], ['--batch', '8'])),
    (['renders', '--bank', '.', '--split', 'val'], 'split'),
    (['renders', '--bank', '.', '--find'], 'find'),
    (['renders', '--bank', '.', '--predictions', 'p.json'], 'predictions'),
    (['rhd', '--root', '.', '--predictions', 'p.json'], 'predictions'),
])
def test_an_option_that_does_nothing_is_told(words, option, capsys):
    assert main(['evaluate', '--dataset', *words]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0].startswith(
        f'hiu evaluate: --{option} does nothing with --dataset {words[0]}')


@pytest.mark.parametrize('words,says', [
    (['photos'], 'needs --photos DIR'),
    (['renders'], 'needs --bank DIR'),
    (['freihand'], 'needs --root DIR'),
    (['photos', '--photos', '.', '--min-trust', '0.5'], 'has no labels.jsonl'),
    (['rhd', '--root', 'nowhere'], 'RHD: the folder nowhere does not exist'),
    (['freihand', '--root', 'nowhere', '--score', '--predictions', 'x.json'],
     'nowhere/evaluation_xyz.json is missing'),
])
def test_what_is_missing_is_one_line(words, says, weights, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(['evaluate', '--weights', str(weights), '--dataset', *words]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith('hiu evaluate: ') and says in lines[0]


def test_missing_weights_are_named(photos, capsys):
    assert main(['evaluate', '--dataset', 'photos', '--photos', str(photos),
                 '--weights', 'none.safetensors']) == 1
    assert 'weights file none.safetensors does not exist' in capsys.readouterr().err


@pytest.fixture
def shown(monkeypatch):
    """Images that the pipeline is given, as they come."""
    images = []
    monkeypatch.setattr('hiu_ros.perception.pipeline.in_good_light',
                        lambda image: images.append(image) or Corrected(image, 0.0))
    return images


@pytest.mark.parametrize('more', [[], ['--find']])
def test_photos_can_be_shown_in_poor_light(photos, weights, shown, capsys, more):
    words = ['evaluate', '--dataset', 'photos', '--photos', str(photos), '--weights',
             str(weights), '--through', 'pipeline', *more]
    assert main([*words, '--spoil', 'twilight']) == 1
    assert '--spoil must be one of dim, dark, noisy, flat, ' in capsys.readouterr().err
    assert main([*words, '--light', 'dark', '--uncorrected']) == 0 and not shown
    assert main([*words, '--spoil', 'dark']) == 0
    assert shown and max(image.max() for image in shown) < 60


def test_hands_can_be_followed_through_videos_of_photos(photos, weights, shown, capsys):
    words = ['evaluate', '--dataset', 'photos', '--photos', str(photos), '--weights',
             str(weights), '--through', 'pipeline', '--find']
    assert main(words) == 0
    single = list(shown)
    shown.clear()
    assert main([*words, '--follow', '3', '--spoil', 'dark']) == 0
    assert 'does nothing' not in capsys.readouterr().err
    assert len(shown) == 3 * len(single)
    assert max(image.max() for image in shown) < 60


@pytest.mark.parametrize('more', [[], ['--find']])
def test_a_thing_can_hide_a_part_of_the_hands(photos, weights, shown, capsys, more):
    words = ['evaluate', '--dataset', 'photos', '--photos', str(photos), '--weights',
             str(weights), '--through', 'pipeline', *more]
    assert main([*words, '--hide', '0']) == 1
    assert 'between 0 and 1, got 0.0' in capsys.readouterr().err
    assert main([*words, '--hide', '0.3', '--cut', '0.3']) == 1
    assert '--cut and --hide do not go together' in capsys.readouterr().err
    assert main(words) == 0
    bare = list(shown)
    shown.clear()
    assert main([*words, '--hide', '0.3']) == 0
    assert 'does nothing' not in capsys.readouterr().err
    assert sum((one != two).any() for one, two in zip(bare, shown)) >= 3


@pytest.mark.parametrize('way, counts', [('--hide', True), ('--cut', False)])
def test_masks_made_now_end_where_a_thing_begins_and_are_of_what_a_cut_leaves(
        photos, weights, monkeypatch, way, counts):
    asked = []
    for kind in (CutPhotos, HiddenPhotos):
        monkeypatch.setattr(kind, 'truth', lambda self, mask: asked.append(type(self)) or mask)
    assert main(['evaluate', '--dataset', 'photos', '--photos', str(photos), '--weights',
                 str(weights), '--masks', way, '0.3']) == 0
    assert asked == [HiddenPhotos] * counts


@pytest.mark.parametrize('more', [[], ['--find']])
def test_photos_can_be_cut_through_their_hand(photos, weights, shown, capsys, more):
    words = ['evaluate', '--dataset', 'photos', '--photos', str(photos), '--weights',
             str(weights), '--through', 'pipeline', *more]
    for share in ('0', '1', '30'):
        assert main([*words, '--cut', share]) == 1
        assert f'between 0 and 1, got {float(share)}' in capsys.readouterr().err
    assert main([*words, '--cut', '0.3']) == 0
    captured = capsys.readouterr()
    assert 'does nothing' not in captured.err
    wholes = [image for image in shown if image.shape == (90, 120, 3)]
    assert len(shown) >= 3 and not wholes
    lines = (photos / 'labels.jsonl').read_text().splitlines()
    two = [json.loads(line) for line in lines]
    for line in two:
        line['hands'] *= 2
    (photos / 'labels.jsonl').write_text('\n'.join(map(json.dumps, two)))
    assert main([*words, '--cut', '0.3']) == 1
    assert '--cut needs photos of one labelled hand' in capsys.readouterr().err
