import errno
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from hiu_ros.data.renders import bank
from hiu_ros.data.renders.bank import GROUP, BankOptions, write_bank
from hiu_ros.data.sets.layout import DataSetError

OPTIONS = BankOptions(seed=5, size=48)


def load(path):
    labels = np.load(path / 'labels.npz')
    return np.load(path / 'bgra.npy'), np.load(path / 'mask.npy'), {k: labels[k] for k in labels}


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp('bank')
    write_bank(path, GROUP + 3, OPTIONS, quiet=True)
    return path


def test_a_bank_has_the_layout_that_training_reads(written):
    bgra, mask, labels = load(written)
    count = GROUP + 3
    assert bgra.shape == (count, 48, 48, 4) and bgra.dtype == np.uint8
    assert mask.shape == (count, 48, 48) and mask.dtype == np.uint8
    shapes = {'keypoints_px': (21, 2), 'keypoints_m': (21, 3), 'K': (3, 3), 'pose': (16, 3),
              'shape': (10,), 'visibility': (21,), 'seed': ()}
    assert {name: values.shape[1:] for name, values in labels.items()} == shapes
    assert all(len(values) == count for values in labels.values())
    assert labels['visibility'].dtype == bool and labels['seed'].tolist() == list(range(count))


def test_tiles_depend_on_the_seed_alone(written, tmp_path):
    write_bank(tmp_path / 'longer', 2 * GROUP, OPTIONS, quiet=True)
    for one, two in zip(load(written)[:2], load(tmp_path / 'longer')[:2]):
        assert np.array_equal(one, two[:GROUP + 3])
    write_bank(tmp_path / 'other', GROUP, BankOptions(seed=6, size=48), quiet=True)
    poses = [load(path)[2]['pose'][:GROUP] for path in (tmp_path / 'other', written)]
    assert not np.array_equal(*poses)


def test_rendering_in_a_training_leaves_it_its_threads(tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        write_bank(tmp_path, 1, OPTIONS, quiet=True)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize('save_every', [1, 100])
def test_an_interrupted_bank_goes_on(written, tmp_path, monkeypatch, save_every):
    monkeypatch.setattr(bank, '_SAVE_EVERY', save_every)
    true_groups = bank._groups

    def broken(options, numbers, workers):
        yield next(true_groups(options, numbers, workers))
        raise KeyboardInterrupt

    monkeypatch.setattr(bank, '_groups', broken)
    with pytest.raises(KeyboardInterrupt):
        write_bank(tmp_path, GROUP + 3, OPTIONS, quiet=True)
    assert len(np.load(tmp_path / 'labels.npz')['seed']) == GROUP
    done = []
    monkeypatch.setattr(bank, '_groups', lambda *a: (
        done.append(item[0]) or item for item in true_groups(*a)))
    write_bank(tmp_path, GROUP + 3, OPTIONS, quiet=True)
    write_bank(tmp_path, GROUP + 3, OPTIONS, quiet=True)
    assert done == [1]  # and a whole bank is left as it is
    for one, two in zip(load(written), load(tmp_path)):
        if isinstance(one, dict):
            assert all(np.array_equal(one[k], two[k]) for k in one)
        else:
            assert np.array_equal(one, two)


def test_a_bank_of_other_options_is_not_overwritten(written):
    with pytest.raises(ValueError, match=r'another bank \(seed 5, wanted 9\); choose'):
        write_bank(written, GROUP + 3, BankOptions(seed=9, size=48), quiet=True)


def skins_in(folder, *names):
    folder.mkdir()
    for name in names:
        for part in ('hand', 'forearm'):
            cv2.imwrite(str(folder / f'{name}_{part}.png'), np.full((8, 8, 3), 90, np.uint8))
    return str(folder)


def test_a_bank_of_other_skins_is_not_taken_for_the_one_asked_for(written, tmp_path):
    skins = skins_in(tmp_path / 'skins', 'old', 'young')
    with pytest.raises(ValueError, match=r"another bank \(skins \[\], wanted \['old_hand', "):
        write_bank(written, GROUP + 3, replace(OPTIONS, skins=skins), quiet=True)
    out, options = tmp_path / 'bank', replace(OPTIONS, skins=skins, leave_out=('old_*',))
    write_bank(out, 1, options, quiet=True)
    moved = shutil.move(skins, tmp_path / 'moved')
    write_bank(out, 1, replace(options, skins=str(moved)), quiet=True)  # where they lie is all one
    with pytest.raises(ValueError, match=r"\(skins \['young_hand'\], wanted \[\]\)"):
        write_bank(out, 1, replace(options, skins=None), quiet=True)


@pytest.mark.parametrize('name', ['only', 'leave_out'])
def test_a_pattern_that_no_skin_fits_is_told(tmp_path, name):
    skins = skins_in(tmp_path / 'skins', 'old', 'young')
    options = replace(OPTIONS, skins=skins, **{name: ('old_*', 'yuong_*')})
    with pytest.raises(FileNotFoundError, match="fits 'yuong_.*; there are old_hand, young_hand"):
        write_bank(tmp_path / 'bank', 1, options, quiet=True)
    assert not (tmp_path / 'bank').exists()


def test_a_bank_with_damaged_labels_is_named(written, tmp_path, capsys):
    for path in written.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / 'labels.npz').write_bytes(b'')
    with pytest.raises(SystemExit):
        bank.main([str(tmp_path), '--count', str(GROUP + 3), '--seed', '5', '--size', '48'])
    assert f'labels.npz is damaged (No data left in file); remove {tmp_path} and' in (
        capsys.readouterr().err)


def test_a_bank_takes_its_room_on_the_disk_before_it_renders(
        written, tmp_path, monkeypatch, capsys):
    for name in ('bgra.npy', 'mask.npy'):
        about = (written / name).stat()
        assert about.st_blocks * 512 >= about.st_size

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'posix_fallocate', full)
    monkeypatch.setattr(bank, '_groups', None)
    with pytest.raises(SystemExit):
        bank.main([str(tmp_path), '--count', '1000'])
    assert capsys.readouterr().err.endswith(
        f"No space left on device for the 102 MB of: '{tmp_path / 'bgra.npy'}'\n")
    assert not (tmp_path / 'bgra.npy').exists()


def test_gloves_change_the_pictures_and_nothing_else(written, tmp_path):
    write_bank(tmp_path, GROUP, replace(OPTIONS, gloves=1.0), quiet=True)
    (bare, _, known), (gloved, _, labels) = load(written), load(tmp_path)
    for name in ('pose', 'shape', 'keypoints_px', 'keypoints_m', 'K'):
        assert np.array_equal(labels[name], known[name][:GROUP])
    other = [(one != two).any() for one, two in zip(bare, gloved)]
    assert sum(other) > GROUP // 2


@pytest.mark.parametrize('name', ['held', 'front'])
def test_things_are_as_frequent_as_asked_for_and_leave_the_hands_as_they_are(
        written, tmp_path, name):
    seen = []
    for share in (0.0, 1.0):
        out = tmp_path / str(share)
        write_bank(out, 2 * GROUP, replace(OPTIONS, **{'held': 0, 'front': 0, name: share}),
                   quiet=True)
        _, _, labels = load(out)
        seen.append(labels['visibility'].mean())
        assert np.array_equal(labels['pose'][:GROUP], load(written)[2]['pose'][:GROUP])
    assert seen[1] < seen[0] - 0.02


def test_a_bank_from_before_there_were_shares_goes_on(written):
    about = written / 'bank.json'
    facts = json.loads(about.read_text())
    for name in ('gloves', 'held', 'front', 'skins'):
        del facts[name]
    about.write_text(json.dumps(facts))
    write_bank(written, GROUP + 3, OPTIONS, quiet=True)
    facts = json.loads(about.read_text())
    assert [facts[name] for name in ('gloves', 'held', 'front')] == [
        OPTIONS.gloves, OPTIONS.held, OPTIONS.front]


def test_the_command_names_missing_skins(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        bank.main([str(tmp_path / 'b'), '--count', '1', '--skins', str(tmp_path)])
    assert stop.value.code == 2 and 'no skin picture' in capsys.readouterr().err


@pytest.mark.parametrize('damage', [
    lambda path: os.truncate(path, path.stat().st_size // 2), lambda path: path.unlink()])
@pytest.mark.parametrize('name', ['bgra.npy', 'mask.npy'])
def test_pictures_that_are_lost_are_not_made_up_by_blank_ones(
        written, tmp_path, capsys, name, damage):
    for path in written.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damage(tmp_path / name)
    with pytest.raises(SystemExit):
        bank.main([str(tmp_path), '--count', str(GROUP + 3), '--seed', '5', '--size', '48'])
    error = capsys.readouterr().err.splitlines()[-1]
    assert name in error and f'remove {tmp_path} and render it again' in error


def test_a_damaged_description_is_named(written, tmp_path):
    (tmp_path / 'bank.json').write_text('{')
    with pytest.raises(DataSetError, match='bank.json is damaged .*remove .* render it again'):
        write_bank(tmp_path, GROUP + 3, OPTIONS, quiet=True)


def test_a_rendering_process_that_was_killed_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(bank, '_PATIENCE_S', 0.2)

    def kill_one():
        while len(multiprocessing.active_children()) < 2:
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    with pytest.raises(RuntimeError, match='a rendering process was killed.*fewer --workers'):
        write_bank(tmp_path, 40 * GROUP, OPTIONS, workers=2, quiet=True)
    killer.join()


def test_missing_skins_are_told_by_several_processes_too(tmp_path):
    with pytest.raises(FileNotFoundError, match='no skin picture'):
        write_bank(tmp_path, GROUP, replace(OPTIONS, skins='nowhere'), workers=2, quiet=True)


@pytest.mark.parametrize('count, changes, words', [
    (0, {}, 'count is 0, expected at least 1'), (1, {'size': 0}, 'size is 0'),
    (1, {'seed': -1}, 'seed is -1, expected at least 0'),
    (1, {'gloves': 3.0}, 'gloves is 3.0, expected a share from 0 to 1'),
    (1, {'held': -0.1}, 'held is -0.1, expected a share'),
    (1, {'front': 1.1}, 'front is 1.1, expected a share')])
def test_numbers_that_cannot_be_are_named_before_anything_is_made(
        tmp_path, count, changes, words):
    with pytest.raises(ValueError, match=words):
        write_bank(tmp_path / 'bank', count, replace(OPTIONS, **changes), quiet=True)
    assert not (tmp_path / 'bank').exists()
