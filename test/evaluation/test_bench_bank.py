from types import SimpleNamespace

import numpy as np
import pytest

from hiu_ros.evaluation import bench_bank
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.result import Hand, Hands


class Bank:
    """Hands before a grey wall, all 0.5 m away."""

    size = 40

    def __init__(self, count):
        rng = np.random.default_rng(0)
        self.camera = np.tile([[60.0, 0, 19.5], [0, 60.0, 19.5], [0, 0, 1]], (count, 1, 1))
        self.shape = np.zeros((count, 10))
        self.keypoints_m = rng.uniform(-0.05, 0.05, (count, 21, 3)) + [0, 0, 0.5]
        flat = self.keypoints_m @ self.camera.transpose(0, 2, 1)
        self.keypoints_px = flat[..., :2] / flat[..., 2:]

    def __len__(self):
        return len(self.shape)

    def compose(self, row, background):
        return np.full((40, 40, 3), row, np.uint8), None, self.keypoints_px[row]


class TooFar:
    """A pipeline that knows all but the distance, of which it is wrong by a factor."""

    factor, lengths = 1.05, []

    def __init__(self, options):
        self.options = options

    def reconfigure(self, options):
        self.options = options
        TooFar.lengths.append(options.hand_length_m)

    def process(self, image, camera, boxes):
        place = BANK.keypoints_m[image[0, 0, 0]]
        return Hands(40, 40, (Hand(
            id='right_1', side='right', side_score=1.0, score=1.0, box=np.array(boxes[0]),
            keypoints_px=camera.project(place), keypoint_scores=np.ones(21),
            keypoints_valid=np.ones(21, bool), keypoints_m=place - place[0],
            vertices_m=np.zeros((3, 3)), pose=np.zeros(48), shape=np.zeros(10),
            wrist_rotation=np.eye(3), mask=np.zeros((1, 1), np.uint8),
            translation_m=place[0] * self.factor, depth_sigma_m=0.03),))


BANK = Bank(12)


@pytest.mark.parametrize('known', [True, False])
def test_a_bias_shows_in_both_halves(monkeypatch, known):
    monkeypatch.setattr(bench_bank, 'Pipeline', TooFar)
    TooFar.lengths = []
    rows = bench_bank.placing_on_bank(BANK, PipelineOptions(device='cpu'), 10, known)
    assert [(row['name'], row['hands']) for row in rows] == [
        ('first half', 5), ('second half', 5), ('all', 10)]
    for row in rows:
        assert row['bias'] == pytest.approx(5.0, abs=0.01)
        assert row['distance'] == pytest.approx(5.0, abs=0.01)
        assert row['keypoints'] < 1e-4 and row['inside'] == 1.0
    assert all((length is not None) == known for length in TooFar.lengths)


def test_no_more_hands_than_the_bank_has(monkeypatch):
    monkeypatch.setattr(bench_bank, 'Pipeline', TooFar)
    rows = bench_bank.placing_on_bank(BANK, PipelineOptions(device='cpu'), 500)
    assert rows[-1]['hands'] == len(BANK)


def test_hands_read_as_of_the_other_side_do_not_count(monkeypatch):
    class Wrong(TooFar):
        def process(self, image, camera, boxes):
            return (SimpleNamespace(side='left'),)

    monkeypatch.setattr(bench_bank, 'Pipeline', Wrong)
    assert bench_bank.placing_on_bank(BANK, PipelineOptions(device='cpu'), 4)[-1]['hands'] == 0
