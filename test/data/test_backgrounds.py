"""Patches without a hand, of training photographs alone."""

import numpy as np
import pytest

from hiu_ros.data import backgrounds
from hiu_ros.data.sets.layout import DataSetError


@pytest.mark.parametrize('option', [[], ['--near']])
def test_patches_are_of_training_photographs_with_hands(photo_folder, tmp_path, capsys, option):
    out = tmp_path / 'out.npy'
    backgrounds.main([str(photo_folder), str(out), *option])
    patches = np.load(out)
    assert patches.shape[1:] == (160, 160, 3) and patches.dtype == np.uint8
    assert f'{len(patches)} patches in {out}' in capsys.readouterr().out


def test_patches_are_written_to_a_folder_that_is_not_there_yet(photo_folder, tmp_path):
    out = tmp_path / 'data' / 'out.npy'
    backgrounds.main([str(photo_folder), str(out)])
    assert np.array_equal(backgrounds.open_patches(out), np.load(out))
    assert len(backgrounds.open_patches('')) == 0


@pytest.mark.parametrize('array', [
    np.zeros((3, 8, 8, 4), np.uint8), np.zeros((3, 8, 8, 3), np.float32),
    np.zeros((8, 8, 3), np.uint8), np.zeros((3, 8, 9, 3), np.uint8)])
def test_a_file_of_something_else_than_patches_is_named(tmp_path, array):
    np.save(tmp_path / 'other.npy', array)
    with pytest.raises(DataSetError, match='other.npy holds .* shape .*expected uint8 patches'):
        backgrounds.open_patches(tmp_path / 'other.npy')


def test_missing_photographs_are_one_line(photo_folder, tmp_path, capsys):
    (photo_folder / 'second' / 'd.png').unlink()
    for folder, words in (('nowhere', 'photo folder nowhere does not exist'),
                          (photo_folder, 'cannot read the image')):
        with pytest.raises(SystemExit) as stop:
            backgrounds.main([str(folder), str(tmp_path / 'out.npy')])
        error = capsys.readouterr().err.splitlines()[-1]
        assert stop.value.code == 2
        assert error.startswith('python -m hiu_ros.data.backgrounds: ') and words in error


def test_patches_of_several_arrays_are_named(tmp_path):
    np.savez(tmp_path / 'other.npz', a=np.zeros(3))
    with pytest.raises(DataSetError, match='other.npz is an archive .*make it anew'):
        backgrounds.open_patches(tmp_path / 'other.npz')


def test_old_patches_stay_whole_while_new_ones_are_written(
        photo_folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'patches'  # a name of any kind
    backgrounds.main([str(photo_folder), str(out)])
    assert f'patches in {out}' in capsys.readouterr().out
    mapped = backgrounds.open_patches(out)
    before, there = mapped.copy(), out.stat().st_ino
    backgrounds.main([str(photo_folder), str(out)])
    assert out.stat().st_ino != there and np.array_equal(mapped, before)

    def full(file, array):
        file.write(b'half')
        raise OSError('No space left on device')

    monkeypatch.setattr(np, 'save', full)
    with pytest.raises(SystemExit):
        backgrounds.main([str(photo_folder), str(out)])
    assert f'{out} cannot be written: No space left' in capsys.readouterr().err
    assert np.array_equal(backgrounds.open_patches(out), before)
    assert [path.name for path in tmp_path.iterdir() if 'part' in path.name] == []
