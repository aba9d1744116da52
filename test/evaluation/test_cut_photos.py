"""Photos whose hand the edge cuts off: images and labels move together."""

from dataclasses import replace

import numpy as np
import pytest

from hiu_ros.evaluation import finding
from hiu_ros.evaluation.cut_photos import CutPhotos
from hiu_ros.evaluation.photos import score_hand
from hiu_ros.geometry.crop import Crop
from hiu_ros.perception.result import Hand
from test.evaluation.labelled_photo import HEIGHT, WIDTH, photo


class Folder:
    """Images whose pixels tell where they are."""

    def read_image(self, photo):
        columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
        return np.stack([columns % 256, rows, columns // 256], -1).astype(np.uint8)


def cut_photos(*photos, share=0.3):
    return CutPhotos(Folder(), photos, share)


@pytest.mark.parametrize('share', [0.1, 0.3, 0.6])
def test_a_share_of_the_joints_lies_beyond_one_edge(share):
    wholes = [photo(f'{k}.png') for k in range(30)]
    cut = cut_photos(*wholes, share=share)
    assert len(cut.photos) == 30
    edges = set()
    for whole, part in zip(wholes, cut.photos):
        points = part.hands[0].keypoints_px
        beyond = ((points < 0) | (points >= [part.width, part.height])).any(1)
        assert abs(beyond.mean() - share) < 0.1
        assert (part.width == WIDTH) != (part.height == HEIGHT)
        moved = whole.hands[0].keypoints_px[0] - points[0]
        edges.add((part.width == WIDTH, bool(moved.any())))
    assert len(edges) == 4
    again = cut_photos(*wholes, share=share)
    assert [(p.width, p.height) for p in again.photos] == [
        (p.width, p.height) for p in cut.photos]


def test_the_image_is_cut_where_its_labels_are():
    wholes = [photo(f'{k}.png') for k in range(12)]
    cut = cut_photos(*wholes)
    for whole, part in zip(wholes, cut.photos):
        image = cut.read_image(part)
        assert image.shape == (part.height, part.width, 3)
        x, y = (whole.hands[0].keypoints_px[0] - part.hands[0].keypoints_px[0]).round()
        assert image[0, 0].tolist() == [x % 256, y, x // 256]


def moved_photo(name, by):
    whole = photo(name)
    hand = replace(whole.hands[0], keypoints_px=whole.hands[0].keypoints_px + by)
    return replace(whole, hands=(hand,))


def test_a_hand_that_lies_partly_outside_is_never_cut_outside_the_image():
    ends = []
    for by in ([-200, 0], [200, 0], [0, -160], [0, 160]):
        cut = cut_photos(*[moved_photo(f'{k}.png', by) for k in range(12)])
        for part in cut.photos:
            assert cut.read_image(part).shape == (part.height, part.width, 3)
            ends.append((part.width, part.height))
    # Where all of the share lies outside already, nothing more is cut off.
    assert (WIDTH, HEIGHT) in ends and len(set(ends)) > 1


def test_what_is_too_narrow_after_the_cut_is_left_out():
    parts = [cut_photos(moved_photo(f'{k}.png', [0, 130])).photos for k in range(30)]
    sides = [min(part.width, part.height) for some in parts for part in some]
    assert 0 < len(sides) < 30 and min(sides) >= 48


def test_other_photos_are_left_out():
    assert not cut_photos(photo(hands=0), photo(hands=2), photo(size=50)).photos
    for share in (0, 1, -0.1, 1.5):
        with pytest.raises(ValueError, match='between 0 and 1, got'):
            cut_photos(photo(), share=share)


def test_masks_of_the_whole_photo_end_at_the_edge():
    wholes = [photo(f'{k}.png') for k in range(12)]
    cut = cut_photos(*wholes)
    full = np.full((64, 64), 255, np.uint8)
    crop = Crop((160.0, 120.0), 150.0, resolution=64)
    truth = cut.truth(lambda photo, number, image: (crop, full))
    for whole, part in zip(wholes, cut.photos):
        moved, mask = truth(part, 0, None)
        shift = whole.hands[0].keypoints_px[0] - part.hands[0].keypoints_px[0]
        assert np.allclose(np.subtract(crop.centre, moved.centre), shift)
        ends = moved.extract(np.ones((part.height, part.width), np.uint8), nearest=True)
        assert np.array_equal(mask > 0, ends > 0) and 0 < (mask > 0).mean() < 1
    assert cut.truth(lambda *_: None)(cut.photos[0], 0, None) is None


def answer(points):
    low, high = points.min(0), points.max(0)
    return Hand('0', 'right', 0.9, 0.8, np.array([*low, *(high - low)]), points, np.ones(21),
                np.ones(21, bool), np.zeros((21, 3)), np.zeros((4, 3)), np.zeros(48),
                np.zeros(10), np.eye(3), np.zeros((HEIGHT, WIDTH), np.uint8))


def test_errors_inside_are_those_of_the_joints_that_can_be_seen():
    part = cut_photos(photo()).photos[0]
    truth = part.hands[0].keypoints_px
    seen = ((truth >= 0) & (truth < [part.width, part.height])).all(1)
    points = truth + np.where(seen, 0.0, 50.0)[:, None]
    assert score_hand(part, 0, answer(points), inside=True).crop_error < 1e-4
    assert score_hand(part, 0, answer(points)).crop_error > 1
    assert score_hand(part, 0, answer(points), inside=True).crop_pck == 1
    found = finding.score_image(part, [answer(points)], inside=True).found
    assert len(found) == 1 and found[0].palm_error < 1e-4
    assert finding.score_image(part, [answer(points)]).found[0].palm_error > 0.05


def test_whole_photos_and_cut_ones_are_searched_alike():
    cut = cut_photos(photo())
    part = cut.photos[0]
    shown = []

    def find(image):
        shown.append(image.shape[:2])
        return type('Hands', (), {'hands': [answer(part.hands[0].keypoints_px)],
                                  '__len__': lambda self: 1})()

    images, _ = finding.evaluate(cut, cut.photos, find, quiet=True, inside=True)
    assert shown[0] == (part.height, part.width)
    assert len(images[0].found) == 1 and images[0].found[0].crop_error < 1e-4
