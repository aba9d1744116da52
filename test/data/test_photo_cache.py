import json
import os
import re

import numpy as np
import pytest

from hiu_ros.data import photo_cache
from hiu_ros.data.photos import PhotoFolder
from hiu_ros.data.sets.layout import DataSetError
from hiu_ros.geometry.crop import Crop


def build(*arguments):
    photo_cache.main([*map(str, arguments)])


def test_a_cache_from_end_to_end(photo_folder, tmp_path):
    cache = tmp_path / 'cache'
    build(photo_folder, cache)
    labels = photo_cache.read_labels(cache)
    crops, masks = np.load(cache / 'crops.npy'), np.load(cache / 'mask.npy')
    size = photo_cache.CROP_PIXELS
    assert crops.shape == (4, size, size, 3) and masks.shape == (4, size, size)
    assert labels['side'].tolist() == [1, 0, 1, 1]
    assert labels['split'].tolist() == [0, 1, 0, 0]
    assert labels['sets'][labels['set']].tolist() == ['first', 'first', 'second', 'second']
    assert labels['files'][labels['photo']].tolist()[3] == 'second/d.png'
    assert labels['hand'].tolist() == [0, 0, 0, 1]

    folder = PhotoFolder(photo_folder)
    for row, (_, _, photo, hand) in enumerate(folder.hands()):
        crop = Crop(tuple(labels['crop_centre'][row]), labels['crop_size'][row],
                    resolution=size)
        np.testing.assert_allclose(
            crop.to_image(labels['keypoints'][row]), hand.keypoints_px, atol=0.01)
        np.testing.assert_array_equal(crops[row], crop.extract(folder.read_image(photo)))

    assert labels['fit_ok'].all() and labels['mask_ok'].all() and (labels['trust'] == 1).all()
    assert (masks > 0).mean(axis=(1, 2)).min() > 0.05
    # The second photo is the first one mirrored: so are its mask and, as fitted, its hand.
    np.testing.assert_allclose(labels['pose'][0], labels['pose'][1], atol=0.02)
    agreement = (masks[0] > 0) == (masks[1][:, ::-1] > 0)
    assert agreement.mean() > 0.98
    figures = json.loads((cache / 'statistics.json').read_text())
    assert figures['all']['hands'] == 4 and figures['first']['mask_kept'] == 2


def test_squares_of_another_size_are_the_same_squares_drawn_finer(photo_folder, tmp_path, capsys):
    usual, fine = tmp_path / 'usual', tmp_path / 'fine'
    build(photo_folder, usual)
    build(photo_folder, fine, '--size', 288)
    build(photo_folder, fine)  # goes on with the size it has
    build(photo_folder, fine, '--size', 288, '--stages', 'fits', '--again')
    crops, masks = np.load(fine / 'crops.npy'), np.load(fine / 'mask.npy')
    assert crops.shape == (4, 288, 288, 3) and masks.shape == (4, 288, 288)
    labels, others = photo_cache.read_labels(fine), photo_cache.read_labels(usual)
    assert photo_cache.tile_size(fine) == 288 == photo_cache.tile_size(usual) * 1.5
    scaled = (others['keypoints'] + 0.5) * 1.5 - 0.5  # pixel centres are whole numbers
    np.testing.assert_allclose(labels['keypoints'], scaled, atol=1e-3)
    np.testing.assert_array_equal(labels['crop_size'], others['crop_size'])
    np.testing.assert_allclose(labels['pose'], others['pose'], atol=0.02)
    assert labels['fit_ok'].all() and labels['mask_ok'].all()
    coarse = np.load(usual / 'mask.npy')
    assert abs((masks > 0).mean() - (coarse > 0).mean()) < 0.005

    for refused, what in (((fine, '--size', 200), 'squares of 288 px, and --size says 200'),
                          ((tmp_path / 'new', '--size', 31), '--size 31 is too small')):
        with pytest.raises(SystemExit):
            build(photo_folder, *refused)
        assert what in capsys.readouterr().err
    assert not (tmp_path / 'new').exists()
    build(photo_folder, fine, '--size', 64, '--again')
    assert photo_cache.tile_size(fine) == 64


def test_building_again_goes_on_where_it_stopped(photo_folder, tmp_path, monkeypatch):
    cache = tmp_path / 'cache'
    build(photo_folder, cache, '--stages', 'crops')
    labels = photo_cache.read_labels(cache)
    assert not labels['mask_ok'].any() and not labels['fit_ok'].any()
    made = []
    real = photo_cache.hand_mask

    def interrupted(*arguments):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(1)
        return real(*arguments)

    monkeypatch.setattr(photo_cache, 'hand_mask', interrupted)
    with pytest.raises(SystemExit):
        build(photo_folder, cache, '--stages', 'masks')
    made.clear()
    build(photo_folder, cache, '--stages', 'masks')
    assert len(made) == 2
    assert (photo_cache.read_labels(cache)['mask_fault'] != 'todo').all()
    build(photo_folder, cache, '--stages', 'masks')
    assert len(made) == 2


def test_a_cache_made_anew_that_was_stopped_has_no_blank_masks(
        photo_folder, tmp_path, monkeypatch):
    cache = tmp_path / 'cache'
    build(photo_folder, cache)

    def full(*_):
        raise OSError('No space left on device')

    with monkeypatch.context() as there, pytest.raises(SystemExit):
        there.setattr(np, 'save', full)  # after the new masks, before all else
        build(photo_folder, cache, '--again')
    build(photo_folder, cache)
    masks, labels = np.load(cache / 'mask.npy'), photo_cache.read_labels(cache)
    assert labels['mask_ok'].any() and masks[labels['mask_ok']].any(axis=(1, 2)).all()


def reordered(lines: list[dict]) -> None:
    lines.reverse()


def shortened(lines: list[dict]) -> None:
    del lines[0]


def one_hand_less(lines: list[dict]) -> None:
    del lines[3]['hands'][0]


def moved(lines: list[dict]) -> None:
    for point in lines[3]['hands'][1]['keypoints_px']:
        point[0] -= 5


def bent(lines: list[dict]) -> None:
    points = np.array(lines[3]['hands'][0]['keypoints_px'])
    inside = ((points > points.min(0)) & (points < points.max(0))).all(axis=1)
    lines[3]['hands'][0]['keypoints_px'][int(np.flatnonzero(inside)[0])][1] += 2


def deeper(lines: list[dict]) -> None:
    lines[0]['hands'][0]['keypoints_m'][7][2] += 0.01


def other_side(lines: list[dict]) -> None:
    lines[0]['hands'][0]['side'] = 'left'


def to_validate_with(lines: list[dict]) -> None:
    lines[3]['split'] = 'val'


def renamed(lines: list[dict]) -> None:
    lines[3]['set'] = 'first'


@pytest.mark.parametrize('change, what', [
    (reordered, 'first/a.png in the cache where the labels have second/d.png'),
    (shortened, '4 photographs in the cache, 3 in the labels'),
    (one_hand_less, '4 hands in the cache, 3 in the labels'),
    (moved, 'hand 1 of second/d.png has other keypoints'),
    (bent, 'hand 0 of second/d.png has other keypoints'),
    (deeper, 'hand 0 of first/a.png has other keypoints_m'),
    (other_side, 'hand 0 of first/a.png has another side'),
    (to_validate_with, 'hand 0 of second/d.png has another split'),
    (renamed, 'hand 0 of second/d.png has another set'),
])
def test_a_cache_of_other_labels_is_not_gone_on_with(
    photo_folder, tmp_path, capsys, change, what
):
    cache, path = tmp_path / 'cache', photo_folder / 'labels.jsonl'
    build(photo_folder, cache, '--stages', 'crops')
    photo_cache.check_cache(cache, PhotoFolder(photo_folder))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    path.write_text('\n'.join(map(json.dumps, lines)))
    before = (cache / 'labels.npz').read_bytes()
    for stages in (('masks', 'trim'), photo_cache.STAGES):
        with pytest.raises(SystemExit):
            build(photo_folder, cache, '--stages', *stages)
        assert re.search(f'cache of other labels .*{what}.*--again', capsys.readouterr().err)
    assert (cache / 'labels.npz').read_bytes() == before
    build(photo_folder, cache, '--stages', 'crops', '--again')
    photo_cache.check_cache(cache, PhotoFolder(photo_folder))


@pytest.mark.parametrize('kept', [0, 100])
def test_damaged_labels_of_a_cache_are_named_with_what_to_do(tmp_path, kept):
    photo_cache.write_labels(tmp_path, {'side': np.zeros(99)})
    path = tmp_path / 'labels.npz'
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataSetError, match=f'{path} is damaged .*remove {tmp_path} and build'):
        photo_cache.read_labels(tmp_path)


def test_the_photographs_in_place_of_their_cache_are_not_told_to_hold_it(photo_folder):
    with pytest.raises(FileNotFoundError, match=f'photo_cache {photo_folder} CACHE`'):
        photo_cache.read_labels(photo_folder)


def test_labels_without_a_hand_are_told_and_leave_no_cache(photo_folder, tmp_path, capsys):
    labels = tmp_path / 'none.jsonl'
    labels.write_text('')
    with pytest.raises(SystemExit):
        build(photo_folder, tmp_path / 'cache', '--labels', labels)
    assert 'tell of no hand' in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / 'cache').exists()


def test_missing_photographs_are_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        build('nowhere', tmp_path)
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(
        'python -m hiu_ros.data.photo_cache: photo folder nowhere does not exist')


def test_a_missing_cache_says_how_to_build_it(tmp_path):
    with pytest.raises(FileNotFoundError, match='hiu_ros.data.photo_cache'):
        photo_cache.read_labels(tmp_path)


@pytest.mark.parametrize('name', ['mask.npy', 'mask_quality.npy'])
def test_masks_that_were_cut_off_are_not_filled_up_with_blank_ones(
        photo_folder, tmp_path, capsys, name):
    cache = tmp_path / 'cache'
    build(photo_folder, cache)
    size = (cache / name).stat().st_size - 20
    os.truncate(cache / name, size)
    with pytest.raises(SystemExit):
        build(photo_folder, cache)
    assert f'{name} is damaged' in capsys.readouterr().err
    assert (cache / name).stat().st_size == size
