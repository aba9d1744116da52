"""Patches without a hand, of training photographs alone."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hiu_ros.data import backgrounds
from hiu_ros.data.photos import LabelledHand, Photo, label_line
from hiu_ros.data.sets.layout import DataSetError

HAND = 255


@pytest.fixture
def shades(tmp_path) -> Path:
    """Photographs each of one shade of grey, with a white square where the hand's joints are."""
    folder, lines = tmp_path / 'shades', []
    folder.mkdir()
    grid = np.stack(np.meshgrid([40, 60, 80], np.arange(40, 81, 6.0)), 2).reshape(-1, 2)[:21]
    hand = LabelledHand('right', 1.0, grid, np.zeros((21, 3)))
    for shade, name, split, hands in (
            (60, 'kitchen', 'train', (hand,)), (120, 'kitchen', 'val', (hand,)),
            (150, 'kitchen', 'train', ()), (180, 'sign_digits', 'train', (hand,)),
            (210, 'two_hand_signs', 'train', (hand,))):
        image = np.full((400, 400, 3), shade, np.uint8)
        image[40:77, 40:81] = HAND
        cv2.imwrite(str(folder / f'{shade}.png'), image)
        lines.append(label_line(Photo(name, f'{shade}.png', 400, 400, split, 'CC0', hands)) + '\n')
    (folder / 'labels.jsonl').write_text(''.join(lines))
    return folder


@pytest.mark.parametrize('option, wanted', [([], {60, 210}), (['--near'], {60})])
def test_patches_show_no_hand_and_are_of_training_photographs_that_have_one(
        shades, tmp_path, capsys, option, wanted):
    """And of sets that have something to show; near hands, of those without unlabelled ones."""
    out = tmp_path / 'out.npy'
    backgrounds.main([str(shades), str(out), *option])
    patches = np.load(out)
    assert patches.shape[1:] == (160, 160, 3) and patches.dtype == np.uint8
    assert {patch.max() for patch in patches} == wanted
    assert f'{len(patches)} patches in {out}' in capsys.readouterr().out


def test_near_patches_are_faces_apart_from_hands_and_two_squares_beside_these():
    image = np.zeros((300, 400, 3), np.uint8)
    boxes = np.array([[40.0, 40, 80, 90], [300, 180, 350, 230]])
    for x0, y0, x1, y1 in boxes.astype(int):
        image[y0:y1, x0:x1] = HAND
    faces = np.array([[180, 120, 50, 50], [50, 50, 60, 60], [30, 250, 40, 40]])
    for k, (x, y, w, h) in enumerate(faces):
        image[y + h // 2 - 4:y + h // 2 + 4, x + w // 2 - 4:x + w // 2 + 4] = 10 * k + 100
    for seed in range(5):
        patches = backgrounds.near_patches(image, boxes, faces, np.random.default_rng(seed))
        middles = [patch[80, 80, 0] for patch in patches]
        assert middles[:2] == [100, 120] and len(middles) <= 4
        assert not any((patch == HAND).any() for patch in patches)


def test_faces_are_found_with_a_distributions_opencv_too(
        photo_folder, tmp_path, monkeypatch, capsys):
    own = Path(cv2.data.haarcascades)
    monkeypatch.delattr(cv2, 'data')
    monkeypatch.setattr(backgrounds, '_CASCADES', tmp_path)
    backgrounds.main([str(photo_folder), str(tmp_path / 'plain.npy')])
    near = [str(photo_folder), str(tmp_path / 'near.npy'), '--near']
    with pytest.raises(SystemExit):
        backgrounds.main(near)
    assert 'install the package opencv-data' in capsys.readouterr().err
    monkeypatch.setattr(backgrounds, '_CASCADES', own)
    backgrounds.main(near)
    assert (tmp_path / 'near.npy').is_file()


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


def test_a_file_of_another_kind_is_named_without_advice_to_load_it_unsafely(tmp_path):
    (tmp_path / 'text.npy').write_text('a text')
    with pytest.raises(DataSetError, match=r'text.npy is no .npy file; make it anew'):
        backgrounds.open_patches(tmp_path / 'text.npy')


def test_a_folder_in_place_of_the_file_is_told_before_a_photograph_is_read(
        photo_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(backgrounds, 'collect', lambda *given: pytest.fail('collected'))
    with pytest.raises(SystemExit):
        backgrounds.main([str(photo_folder), str(tmp_path)])
    assert capsys.readouterr().err.endswith(
        f'{tmp_path} is a folder; give the name of a file to write\n')


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
