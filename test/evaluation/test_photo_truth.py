"""Masks and trust of labelled photos, as a cache holds them or made on the spot."""

from types import SimpleNamespace

import numpy as np
import pytest

from hiu_ros.data.photos import LabelledHand, Photo
from hiu_ros.evaluation import photo_truth
from hiu_ros.evaluation.photo_truth import PhotoCacheTruth, grabcut

SIZE = 192


def labelled(*middles):
    """Hands 20 px wide about x = y = middle."""
    spread = np.linspace(-10, 10, 21)[:, None]
    return tuple(LabelledHand('left', 1.0, spread + np.array([x, x]), np.zeros((21, 3)))
                 for x in middles)


def photo(name, *middles):
    return Photo('home', name, 200, 200, 'val', '', labelled(*middles))


TWO, ONE = photo('home/b.png', 40, 160), photo('home/a.png', 100)


@pytest.fixture
def cache(tmp_path):
    """Hands 0 and 1 of b.png and hand 0 of a.png, in this order."""
    masks = np.zeros((3, SIZE, SIZE), np.uint8)
    for row in range(3):
        masks[row, :10 * (row + 1)] = 255
    np.save(tmp_path / 'mask.npy', masks)
    np.savez(tmp_path / 'labels.npz', files=[ONE.file, TWO.file], photo=[1, 1, 0], hand=[0, 1, 0],
             mask_ok=[True, False, True], trust=[0.4, 0.6, 0.5], crop_size=[44.0, 44, 44],
             crop_centre=[[40.0, 40], [160, 160], [100, 100]])
    return tmp_path


def test_masks_are_those_of_the_hand_where_they_are_good(cache):
    truth = PhotoCacheTruth(cache)
    assert [truth.row(TWO, 0), truth.row(TWO, 1), truth.row(ONE, 0)] == [0, 1, 2]
    crop, mask = truth.mask(ONE, 0)
    assert (crop.centre, crop.size, crop.resolution) == ((100, 100), 44, SIZE)
    assert mask[:30].all() and not mask[30:].any()
    assert truth.mask(TWO, 1) is None and truth.mask(TWO, 0) is not None


def test_hands_are_kept_from_a_trust_on(cache):
    truth = PhotoCacheTruth(cache)
    assert [truth.trust(TWO, 0), truth.trust(TWO, 1)] == pytest.approx([0.4, 0.6])
    keep = truth.trusted(0.5)
    assert [keep(TWO, 0, None), keep(TWO, 1, None), keep(ONE, 0, None)] == [False, True, True]


def test_photos_that_a_cache_does_not_hold_are_told(cache):
    for shot, number in ((photo('home/c.png', 40), 0), (ONE, 1)):
        with pytest.raises(ValueError, match=f'hand {number} of {shot.file} is not in the photo'):
            PhotoCacheTruth(cache).mask(shot, number)
    (cache / 'labels.npz').unlink()
    with pytest.raises(FileNotFoundError, match='labels.npz is missing'):
        PhotoCacheTruth(cache)


def test_masks_of_other_labels_are_told(cache):
    truth = PhotoCacheTruth(cache)
    for shot in (photo(TWO.file, 160, 40), photo(TWO.file, 41)):  # exchanged, moved
        with pytest.raises(ValueError, match=f'hand 0 of {shot.file} has other joints in the'):
            truth.mask(shot, 0)


def test_a_mask_is_made_of_one_hand_and_kept_off_the_others(monkeypatch):
    image, asked = np.zeros((200, 200, 3), np.uint8), []
    shot = photo('home/d.png', 40, 100, 160)

    def hand_mask(picture, points, others):
        asked.append((points.mean(), [other.mean() for other in others]))
        mask = np.zeros((200, 200), np.uint8)
        mask[:, 100:] = 255
        return SimpleNamespace(mask=mask, ok=len(asked) < 4)

    monkeypatch.setattr(photo_truth, 'hand_mask', hand_mask)
    made = [grabcut(shot, number, image) for number in (0, 1, 2, 0)]
    assert asked == [(40, [100, 160]), (100, [40, 160]), (160, [40, 100]), (40, [100, 160])]
    crop, mask = made[1]
    assert crop.centre == (100, 100) and crop.size == pytest.approx(44) and mask.shape[0] == SIZE
    assert set(np.unique(mask)) == {0, 255} and abs((mask > 0).mean() - 0.5) < 0.02
    assert made[3] is None
