"""Rates, ramps and widths over a training."""

import pytest

from hiu_ros.training.schedule import decay, learning_rate, narrowing, ramp


@pytest.mark.parametrize('kind', ['poly', 'cosine'])
def test_decay_falls_from_one_to_zero(kind):
    values = [decay(kind, k / 20) for k in range(21)]
    assert values[0] == 1 and values[-1] == pytest.approx(0, abs=1e-12)
    assert all(a > b for a, b in zip(values, values[1:]))
    assert decay(kind, 1.5) == decay(kind, 1.0)


def test_poly_has_the_power_of_the_paper():
    assert decay('poly', 0.5) == pytest.approx(0.5**0.9)
    with pytest.raises(ValueError, match='staircase'):
        decay('staircase', 0.5)


def test_rate_warms_up_to_its_peak():
    rates = [learning_rate(step, 100, 0.01, 'cosine', warmup=10) for step in range(101)]
    assert rates[0] == pytest.approx(0.001) and max(rates) == rates[9] == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    # Halfway between the end of the warm-up and that of the training.
    assert rates[55] == pytest.approx(0.005)
    assert learning_rate(10, 10, 0.01, 'cosine', warmup=10) == 0.01


def test_ramp_is_zero_before_and_one_after():
    assert [ramp(step, 2, 4) for step in range(8)] == [0, 0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert ramp(5, 5, 0) == 1 and ramp(4, 5, 0) == 0


def test_width_narrows_by_equal_ratios():
    widths = [narrowing(step, 4.0, 2) for step in range(4)]
    assert widths == pytest.approx([4, 2, 1, 1])
    assert narrowing(0, 4.0, 0) == 1
