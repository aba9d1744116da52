import argparse
import json

import cv2
import numpy as np
import pytest

from hiu_ros.data.check_command import add_data, check_split
from hiu_ros.data.sample import Sample, Visibility

IMAGE = np.zeros((60, 80, 3), np.uint8)
CAMERA = np.array([[100.0, 0, 40], [0, 100, 30], [0, 0, 1]])


def check(*words):
    parser = argparse.ArgumentParser()
    add_data(parser.add_subparsers())
    arguments = parser.parse_args(['data', 'check', *map(str, words)])
    return arguments.run(arguments)


def labelled(off=0.0, **changes):
    points = np.random.default_rng(0).uniform([-0.05, -0.05, 0.5], [0.05, 0.05, 0.6], (21, 3))
    pixels = points[:, :2] / points[:, 2:] * 100 + [40, 30]
    codes = np.full(21, Visibility.VISIBLE)
    codes[5] = Visibility.UNLABELLED
    values = {'side': 'left', 'camera': CAMERA, 'keypoints_m': points,
              'keypoints_px': pixels + off, 'visibility': codes, 'mask': IMAGE[..., 0]}
    return Sample('made/0', IMAGE, **{**values, **changes})


def test_samples_and_labels_are_counted():
    report = check_split([labelled(), labelled(mask=None), Sample('a', IMAGE)], read=10)
    assert report['samples'] == report['read'] == 3
    assert report['labels'] == {'side': 2, 'camera': 2, 'keypoints_m': 2, 'keypoints_px': 2,
                                'mask': 1}
    assert report['sides'] == {'left': 2, 'unknown': 1}
    assert report['sizes'] == {'80 x 60': 3} and report['faults'] == []
    assert report['disagreement_px'] < 1e-3


def test_2d_that_does_not_fit_3d_is_a_fault():
    report = check_split([labelled(off=5.0)])
    assert np.isclose(report['disagreement_px'], 50 ** 0.5, atol=1e-3)
    assert 'disagree by 7.1 px' in report['faults'][0]


@pytest.mark.parametrize('scale', [0.1, 100.0, 1000.0])
def test_3d_that_is_not_in_metres_is_a_fault(scale):
    sample = labelled()
    report = check_split([labelled(keypoints_m=scale * sample.keypoints_m)])
    assert '3D keypoints are not in metres' in report['faults'][0]
    tips = np.isin(np.arange(21), (4, 8, 12, 16, 20))
    few = labelled(keypoints_m=scale * sample.keypoints_m, valid_m=tips)
    assert check_split([few])['faults'] == []


def test_masks_of_another_size_and_unreadable_images_are_faults():
    def broken():
        raise RuntimeError('cannot read the image 7.png')

    report = check_split([labelled(mask=np.zeros((5, 5), np.uint8)), Sample('b', broken)])
    assert report['read'] == 0 and len(report['faults']) == 2
    assert '(5, 5)' in report['faults'][0] and '7.png' in report['faults'][1]


def test_samples_are_read_evenly_spread():
    seen = []

    class Many:
        def __len__(self):
            return 100

        def __getitem__(self, index):
            seen.append(index)
            return Sample('a', IMAGE)

    assert check_split(Many(), read=5)['read'] == 5
    assert seen == [0, 25, 50, 74, 99]


def test_drawn_labels_lie_on_the_joints(tmp_path):
    check_split([labelled(), Sample('a', IMAGE)], draw=tmp_path)
    first, second = (cv2.imread(str(tmp_path / f'{n:06d}.png')) for n in range(2))
    assert first.shape == second.shape == (512, 512, 3)
    assert first.any() and not second.any()


def test_a_folder_of_images_is_found_out_and_checked(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / 'a.png'), IMAGE)
    assert check(tmp_path, '--json', tmp_path / 'out.json') == 0
    assert 'folder all: 1 samples, 1 read' in capsys.readouterr().out
    assert json.loads((tmp_path / 'out.json').read_text())['splits'][0]['samples'] == 1
    (tmp_path / 'b.png').write_bytes(b'no image')
    assert check(tmp_path) == 1
    assert 'fault: cannot read the image' in capsys.readouterr().out


def test_what_is_missing_is_said_in_a_sentence(tmp_path, capsys):
    assert check(tmp_path, '--dataset', 'freihand') == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all('is missing' in line for line in lines)


def test_a_folder_of_nothing_known_is_told_what_is(tmp_path, capsys):
    assert check(tmp_path) == 1
    told = capsys.readouterr().out
    assert told.startswith(f'{tmp_path} holds neither a data set that is known here (freihand, ')
    assert told.count('\n') == 1


def test_what_both_splits_lack_is_said_once(tmp_path, capsys):
    assert check(tmp_path, '--dataset', 'photos') == 1
    assert capsys.readouterr().out == (
        f'photo folder {tmp_path} has no labels.jsonl; what stands in one: the beginning of '
        'hiu_ros/data/photos.py\n')


@pytest.mark.parametrize('words, told', [
    (['--draw', 'text'], '--draw text names a file'),
    (['--json', '.'], '. is a folder; give the name of a file to write')])
def test_where_nothing_can_be_written_is_told_before_a_sample_is_read(
        tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'text').write_text('')
    cv2.imwrite('a.jpg', np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(OSError, match=told):
        check(tmp_path, *words)
    assert not capsys.readouterr().out


def test_a_number_of_samples_below_0_is_refused_by_its_name(tmp_path):
    with pytest.raises(ValueError, match='--read -3'):
        check(tmp_path, '--read', '-3')


def test_labels_of_nothing_are_a_fault_and_those_of_one_split_are_none(photo_folder, capsys):
    labels = photo_folder / 'labels.jsonl'
    lines = labels.read_text().splitlines(keepends=True)
    labels.write_text(''.join(line for line in lines if '"train"' in line))
    assert check(photo_folder) == 0 and 'photos val: 0 samples' in capsys.readouterr().out
    assert check(photo_folder, '--split', 'val') == 1
    assert f'{photo_folder} has no samples in val' in capsys.readouterr().out
    labels.write_text('')
    assert check(photo_folder) == 1
    assert f'{photo_folder} has no samples in train, val' in capsys.readouterr().out
