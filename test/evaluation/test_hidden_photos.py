"""Photos with a thing before the hand: what it hides, in image and mask alike."""

import numpy as np
import pytest

from hiu_ros.evaluation.hidden_photos import HiddenPhotos, drawn, thing
from hiu_ros.geometry.crop import Crop
from test.evaluation.labelled_photo import HEIGHT, WIDTH, photo


class Folder:
    """Black images."""

    def read_image(self, photo):
        return np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def under(cover, points):
    columns, rows = points.round().astype(int).T
    return cover[rows, columns] > 127


@pytest.mark.parametrize('share', [0.1, 0.3, 0.6])
def test_a_thing_hides_the_share_of_the_joints_and_little_more(share):
    kinds, hidden = set(), []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        points = rng.uniform([110, 70], [210, 170], (21, 2))
        corners, oval = thing(points, share, rng)
        kinds.add(oval)
        hidden.append(under(drawn(corners, oval, (HEIGHT, WIDTH)), points).mean())
    assert kinds == {True, False}
    assert np.min(hidden) > share - 0.1 and abs(np.mean(hidden) - share) < 0.06


def test_the_thing_of_a_photo_is_always_the_same_and_others_have_others():
    names = [f'{k}.png' for k in range(8)]
    photos = [photo(name) for name in names]
    first, again = ([hidden.read_image(p) for p in hidden.photos] for hidden in (
        HiddenPhotos(Folder(), photos, 0.3), HiddenPhotos(Folder(), photos, 0.3)))
    assert len(first) == 8
    assert all(np.array_equal(one, two) for one, two in zip(first, again))
    assert len({picture.tobytes() for picture in first}) == 8


def test_beside_the_thing_the_image_stays_as_it_is(monkeypatch):
    seen = np.random.default_rng(0).integers(90, 110, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    monkeypatch.setattr(Folder, 'read_image', lambda self, photo: seen.copy())
    for k in range(8):
        own = photo(f'{k}.png')
        picture = HiddenPhotos(Folder(), [own], 0.3).read_image(own)
        cover = drawn(*HiddenPhotos(Folder(), [own], 0.3)._thing(own)[:2], (HEIGHT, WIDTH))
        assert np.array_equal(picture[cover == 0], seen[cover == 0])
        # The thing is smooth, as the image is not: one or two colours in changing light.
        steps = np.diff(picture.astype(int), axis=1)[(cover[:, 1:] & cover[:, :-1]) == 255]
        assert np.median(np.abs(steps)) <= 2


def test_the_mask_ends_where_the_thing_begins():
    crop = Crop((160.0, 120.0), 240.0, resolution=240)
    whole = np.full((240, 240), 255, np.uint8)
    for k in range(8):
        hidden = HiddenPhotos(Folder(), [photo(f'{k}.png')], 0.3)
        _, mask = hidden.truth(lambda *_: (crop, whole))(hidden.photos[0], 0, None)
        covered = hidden.read_image(hidden.photos[0]).any(-1)[:, 40:280]
        assert 0.01 < covered.mean() < 0.9
        assert ((mask == 0) != covered).mean() < 0.02
    assert hidden.truth(lambda *_: None)(hidden.photos[0], 0, None) is None


def test_photos_of_several_hands_and_of_small_ones_are_left_out():
    few = HiddenPhotos(Folder(), [photo(), photo(hands=2), photo(hands=0), photo(size=20)], 0.3)
    assert len(few.photos) == 1
    for share in (0.0, 1.0, -0.2):
        with pytest.raises(ValueError, match='between 0 and 1'):
            HiddenPhotos(Folder(), [], share)
