"""Rates, ramps and widths over a training."""

from unittest.mock import Mock

import pytest
from torch.utils.data import default_collate

from hiu_ros.network.finder import FinderConfig
from hiu_ros.training.finder_loop import FinderSettings, FinderTrainer
from hiu_ros.training.finder_scenes import SceneOptions, Scenes
from hiu_ros.training.loop import Trainer
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


@pytest.mark.parametrize('optimiser', ['adamw', 'muon'])
def test_rate_and_loss_are_those_of_the_step(tiny_settings, bank, tmp_path, optimiser):
    trainer = Trainer(tiny_settings('steps=12', 'warmup=4', 'rate=0.002', 'schedule=cosine',
                                    f'optimiser={optimiser}'))
    batch = next(iter(trainer.batches()))
    wanted = {step: learning_rate(step, 12, 0.002, 'cosine', 4) for step in (0, 3, 8)}
    finder = FinderTrainer(
        FinderSettings(tmp_path, SceneOptions(renders=(str(bank),)), 12, 2, 0.002, warmup=4,
                       optimiser=optimiser), FinderConfig(long_side=64, channels=(8,) * 5))
    scenes = Scenes(finder.settings.scenes, 64, group=2)
    frames = default_collate([scenes[0], scenes[1]])
    trainer.loss = Mock(wraps=trainer.loss)
    for step in wanted:
        trainer.step = finder.step = step
        trainer.train_step(batch)
        finder.train_step(frames)
        assert trainer.loss.call_args.args[2] == step
        assert {group['lr'] for group in trainer.optimiser.param_groups} == {wanted[step]}
        warm = 0.002 * min(1, (step + 1) / 4) * decay('cosine', step / 12)
        assert {group['lr'] for group in finder.optimiser.param_groups} == {warm}
