"""The fit of the verdict's numbers: what made the truth is found again."""

import numpy as np
import pytest

from hiu_ros.evaluation.bench_runs import Bench
from hiu_ros.network.config import preset
from hiu_ros.network.hiu import HIU
from hiu_ros.training import verdict_fit
from hiu_ros.training.verdict_fit import Readings, Recording, fit, of_videos


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
