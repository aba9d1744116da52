"""Readings of which the truth is known: where a hand is they are right, far away they are not."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hiu_ros.data.photos import LabelledHand, Photo
from hiu_ros.data.renders.sequences import Frame, HandTruth
from hiu_ros.network.config import preset
from hiu_ros.network.hiu import HIU
from hiu_ros.perception.estimator import HandEstimator
from hiu_ros.perception.finder import Detection
from hiu_ros.perception.reading import Reading
from hiu_ros.training import readings
from hiu_ros.training.readings import Reader, Readings, chosen, of_photos, of_video


class Photos:
    """A folder of photographs with one hand each, in the square of 100 px from (100, 100)."""

    def __init__(self, *sets):
        line = np.linspace(100, 200, 21)
        hand = LabelledHand('right', 1.0, np.stack([line, line], axis=1), np.zeros((21, 3)))
        self.photos = [Photo(name, f'{k}.png', 640, 480, 'train', '', (hand,))
                       for k, name in enumerate(sets)]

    def select(self, split):
        assert split == 'train'
        return self.photos

    def read_image(self, photo):
        return np.zeros((480, 640, 3), np.uint8)


class Squares(HandEstimator):
    """A finder of the same squares [x, y, side] in every image, and a reader of a hand in each
    region."""

    def __init__(self, *squares):
        super().__init__(HIU(preset('hiu_lite', input_size=64)).eval())
        self.squares, self.last, self.regions = squares, (), ()

    def find(self, image):
        return [Detection(np.array([x, y, side, side], float), 'right', 1.0, 0.9)
                for x, y, side in self.squares]

    def look(self, regions):
        line = np.linspace(-0.5, 0.5, 21)[:, None] / 1.4
        self.regions, self.last = regions, [Reading(
            region.crop, 'right', region.crop.centre + region.crop.size * np.hstack([line, line]),
            np.full(21, 0.9), np.ones((64, 64), np.float32), np.tile(np.eye(3), (16, 1, 1)),
            np.zeros(10), 0.9, 0.95, 3.0) for region in regions]
        return self.last

    def inputs(self):
        return np.array([reading.keypoints_px[0] for reading in self.last], np.float16)


class Video:
    """Four frames with a hand in the square of 100 px from (100, 100) and a hidden one in that
    from (400, 100)."""

    width, height, camera_matrix = 640, 480, np.diag([600.0, 600.0, 1.0])

    def __init__(self, seed, hands, frames):
        assert hands in readings.HANDS and frames == readings.VIDEO_FRAMES

    def frame(self, index):
        line = np.linspace(0, 100, 21)[:, None]
        hands = [HandTruth(k, 'right', np.hstack([line + x, line + 100]), *[np.zeros(3)] * 4,
                           np.zeros((480, 640), np.uint8), visible)
                 for k, (x, visible) in enumerate(((100, 1.0), (400, 0.2)))]
        return Frame(np.zeros((480, 640, 3), np.uint8), hands, index / 30)


def no_photos(*_):
    return SimpleNamespace(photos=[])


def whole_photos_only(monkeypatch):
    monkeypatch.setattr(readings, 'CutPhotos', no_photos)
    monkeypatch.setattr(readings, 'HiddenPhotos', no_photos)


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return HIU(preset('hiu_lite', input_size=64)).eval()


def test_readings_of_photographs_are_hands_where_the_labels_are_and_none_far_away(monkeypatch):
    monkeypatch.setattr(readings, 'HARSH_SHARE', 0)
    whole_photos_only(monkeypatch)
    # On the hand, half off it (counts neither way), and far away.
    squares = Squares((105, 95, 100), (140, 140, 100), (400, 300, 90))
    found = of_photos(squares, Photos('six_gestures'), 4, squares)
    assert found.hand.tolist() == [True, False] and not found.followed.any()
    np.testing.assert_allclose(found.inputs, [[105, 95], [400, 300]], atol=1)
    assert (found.score > 0.5).all()


def test_photographs_are_shown_once_more_spoilt_with_the_labels_they_had(monkeypatch):
    shown = []
    monkeypatch.setattr(readings, 'HARSH_SHARE', 1)
    whole_photos_only(monkeypatch)
    monkeypatch.setattr(readings, 'harsh', lambda image, rng, side: shown.append(side) or image)
    squares = Squares((105, 95, 100), (400, 300, 90))
    found = of_photos(squares, Photos('six_gestures', 'six_gestures'), 4, squares)
    assert found.hand.tolist() == [True, False] * 4
    assert shown == pytest.approx([1.35 * 100] * 2)


def test_every_other_photograph_is_shown_cut_through_its_hand(monkeypatch):
    monkeypatch.setattr(readings, 'HARSH_SHARE', 0)
    squares, sizes = Squares((105, 95, 100), (300, 220, 90)), []
    squares.find = lambda image, find=squares.find: sizes.append(image.shape) or find(image)
    of_photos(squares, Photos(*['six_gestures'] * 4), 4, squares)
    whole = [size == (480, 640, 3) for size in sizes]
    assert whole == [True] * 4 + [False] * 2 + [True] * 2


def test_the_others_are_shown_with_a_thing_before_the_hand(monkeypatch):
    monkeypatch.setattr(readings, 'HARSH_SHARE', 0)
    monkeypatch.setattr(readings, 'CutPhotos', no_photos)
    squares, seen = Squares((105, 95, 100), (300, 220, 90)), []
    squares.find = lambda image, find=squares.find: seen.append(image.copy()) or find(image)
    folder = Photos(*['six_gestures'] * 4)
    found = of_photos(squares, folder, 4, squares)
    plain = folder.read_image(None)
    assert [np.array_equal(image, plain) for image in seen] == [True] * 4 + [False] * 2
    assert found.hand.tolist() == [True, False] * 6


@pytest.mark.parametrize('share', [0, 1])
def test_a_spoilt_video_is_spoilt_in_every_frame_in_the_same_way(monkeypatch, share):
    monkeypatch.setattr(readings, 'HandSequence', Video)
    monkeypatch.setattr(readings, 'PART_FRAMES', 2)
    monkeypatch.setattr(readings, 'HARSH_SHARE', share)
    drawn = []
    monkeypatch.setattr(readings, 'harsh', lambda image, rng, side: drawn.append(
        (rng.random(), side)) or image)
    squares = Squares((105, 95, 100))
    found = of_video(squares, 7, squares)
    assert found.hand.tolist() == [True] * 2
    assert len(drawn) == 2 * share and len(set(drawn)) == share


def test_photographs_of_unseen_sets_and_with_hands_without_a_label_are_left_out():
    folder = Photos('six_gestures', 'dorm_counting', 'sign_digits', 'six_gestures', 'phone_above',
                    'two_hand_signs')
    # As many of each set; of two hands that sign, one may have no label.
    assert sorted(photo.set for photo in chosen(folder, 2, 0)) == ['sign_digits', 'six_gestures']
    assert [p.set for p in chosen(folder, 2, 0, ['phone_above'])] == ['phone_above']


def test_readings_of_a_video_are_right_on_a_hand_and_count_neither_way_on_a_hidden_one(
        monkeypatch):
    monkeypatch.setattr(readings, 'HandSequence', Video)
    monkeypatch.setattr(readings, 'PART_FRAMES', 2)
    squares = Squares((105, 95, 100), (400, 105, 100), (200, 350, 90))
    found = of_video(squares, 7, squares)
    # In the first frame all are found, in the second they are followed.
    assert found.followed.tolist() == [False, False, True, True]
    assert found.hand.tolist() == [True, False, True, False]
    assert (np.abs(found.inputs[found.hand] - [105, 95]) < 25).all()


def test_readings_of_a_video_are_the_same_again_and_can_be_kept(tmp_path, monkeypatch, network):
    monkeypatch.setattr(readings, 'PART_FRAMES', 2)
    monkeypatch.setattr(readings, 'HANDS', (3,))
    reader = Reader(network, torch.device('cpu'))
    found = of_video(reader, 7)
    assert len(found) > 0 and np.isfinite(found.inputs).all()
    again = of_video(reader, 7)
    assert (again.hand == found.hand).all() and (again.inputs == found.inputs).all()
    found.save(tmp_path / 'a.npz')
    empty = Readings(np.zeros(0, np.float16), *[np.zeros(0, bool)] * 2, np.zeros(0, np.float32))
    both = Readings.joined([Readings.read(tmp_path / 'a.npz'), empty, again])
    assert len(both) == 2 * len(found) and both.inputs.dtype == np.float16
    assert [path.name for path in tmp_path.iterdir()] == ['a.npz']


def test_a_reader_tells_what_the_legibility_gets(network):
    head = network.regressor.add_legibility()
    try:
        reader = Reader(network, torch.device('cpu'))
        image = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
        line = np.linspace(30, 90, 21)
        crops = [reader.crop_around(np.stack([line, line + k], axis=1)) for k in (0, 9)]
        for side in ('left', 'right'):
            seen = reader.look([readings.Region(image, crop, side) for crop in crops])
            said = head(torch.from_numpy(reader.inputs()).float())[:, 0].sigmoid()
            assert said.detach().numpy() == pytest.approx([r.score for r in seen], abs=1e-3)
    finally:
        network.regressor.legibility = None
