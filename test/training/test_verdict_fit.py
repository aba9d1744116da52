"""The fit of the verdict's numbers: what made the truth is found again."""

import numpy as np
import pytest

from hiu_ros.data.photos import LabelledHand, Photo
from hiu_ros.evaluation.bench_runs import Bench
from hiu_ros.network.config import preset
from hiu_ros.network.hiu import HIU
from hiu_ros.perception.estimator import Reading
from hiu_ros.perception.finder import Detection
from hiu_ros.training import verdict_fit
from hiu_ros.training.verdict_fit import Readings, Recording, fit, of_photos, of_videos


class Photos:
    """A folder of photographs with one hand each, in the square of 100 px from (100, 100)."""

    def __init__(self, *sets):
        line = np.linspace(100, 200, 21)
        hand = LabelledHand('right', 1.0, np.stack([line, line], axis=1), np.zeros((21, 3)))
        self.photos = [Photo(name, f'{k}.png', 640, 480, 'train', '', (hand,))
                       for k, name in enumerate(sets)]
        self.read = []

    def select(self, split):
        assert split == 'train'
        return self.photos

    def read_image(self, photo):
        self.read.append(photo.set)
        return np.zeros((480, 640, 3), np.uint8)


class Squares:
    """A finder of the same squares [x, y, side] and scores in every image, and an estimator that
    reads a hand in each."""

    resolution = 64

    def __init__(self, *squares):
        self.squares, self.last = squares, ()

    def find(self, image):
        self.last = [Detection(np.array([x, y, side, side], float), 'right', 1.0, score)
                     for x, y, side, score in self.squares]
        return self.last

    def look(self, regions):
        line = np.linspace(0, 1, 21)[:, None]
        readings = []
        for (x, y, side, _), region in zip(self.squares, regions, strict=True):
            readings.append(Reading(
                region.crop, 'right', [x, y] + side * np.hstack([line, line]), np.full(21, 0.9),
                np.ones((64, 64), np.float32), np.tile(np.eye(3), (16, 1, 1)), np.zeros(10),
                0.9, 0.95, 3.0))
        self.last = readings
        return readings


def test_numbers_that_made_the_truth_are_found_again():
    rng = np.random.default_rng(0)
    true = np.array([0.5, 3.0, 0.4, -3.0])
    values = np.column_stack([rng.normal(2, 3, 20000), rng.random(20000),
                              rng.uniform(0, 6, 20000)])
    chance = 1 / (1 + np.exp(-(values @ true[:3] + true[3])))
    hand = rng.random(20000) < chance
    found = fit(Readings(values, hand, np.ones(20000)))
    np.testing.assert_allclose(found, true, rtol=0.12)


def test_weights_of_readings_count():
    values, hand = np.zeros((3, 3)), np.array([True, False, False])
    even = fit(Readings(values, hand, np.array([2.0, 1.0, 1.0])))
    assert even[3] == pytest.approx(0, abs=1e-3)
    assert fit(Readings(values, hand, np.ones(3)))[3] < -0.3


def test_every_reading_of_a_video_is_kept_with_its_truth(tmp_path, monkeypatch):
    monkeypatch.setattr(verdict_fit, 'VIDEO_FRAMES', 2)
    estimator = Recording(HIU(preset('hiu_lite', input_size=64)).eval(), 'cpu')
    looks, look = [], Recording.look
    monkeypatch.setattr(Recording, 'look', lambda self, regions: (
        looks.append(len(regions)) or look(self, regions)))
    rows = list(of_videos(Bench(tmp_path, device='cpu'), [640], estimator))
    assert len(looks) == 4 and 0 < len(rows) <= sum(looks)
    for values, hand, weight in rows:
        assert values.shape == (3,) and np.isfinite(values).all() and weight == 1.0
        assert not hand or values[1] >= 0


def test_readings_of_photographs_are_hands_where_the_labels_are_and_none_far_away():
    # On the hand, half off it (counts neither way), and far away.
    squares = (105, 95, 100, 0.8), (140, 140, 100, 0.6), (400, 300, 90, 0.4)
    finder, estimator = Squares(*squares), Squares(*squares)
    rows = list(of_photos(Photos('six_gestures'), 4, finder, estimator))
    assert [(hand, found) for _, hand, _, _, found in rows] == [(True, 0.8), (False, 0.4)]
    values, _, weight, alone, _ = rows[0]
    assert values.shape == (3,) and weight > 1
    assert alone == estimator.last[0].score_alone


def test_the_verdict_is_not_fitted_to_unseen_sets_and_hands_without_a_label():
    folder = Photos('six_gestures', 'dorm_counting', 'sign_digits', 'six_gestures', 'phone_above',
                    'two_hand_signs')
    square = (100, 100, 100, 0.8)
    list(of_photos(folder, 2, Squares(square), Squares(square)))
    # As many of each set; of two hands that sign, one may have no label.
    assert sorted(folder.read) == ['sign_digits', 'six_gestures']
