"""What a training begins with, weights or its own state; what it refuses and never saves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hiu_ros.hand.model import load_template
from hiu_ros.network import checkpoint
from hiu_ros.network.checkpoint import CheckpointError
from hiu_ros.training import loop
from hiu_ros.training.loop import Trainer, train
from hiu_ros.training.state import StateError


def test_state_of_another_network_is_refused(uninterrupted, tiny_settings):
    other = tiny_settings('network_changes.decoder_channels=16', folder='straight')
    with pytest.raises(StateError, match='another network; give another run folder'):
        Trainer(other)


def test_state_of_another_optimiser_is_refused(uninterrupted, tiny_settings):
    with pytest.raises(StateError, match="optimiser 'adam', not of 'muon'; go on with 'adam'"):
        Trainer(tiny_settings('optimiser=muon', folder='straight'))


def test_a_run_that_goes_on_with_other_samples_says_so(uninterrupted, tiny_settings, capsys):
    Trainer(uninterrupted)
    assert capsys.readouterr().err == ''
    had = uninterrupted
    Trainer(tiny_settings('seed=7', f'batch={had.batch + 1}', folder='straight'))
    assert capsys.readouterr().err.startswith(
        f'{had.run} goes on with seed 7 instead of {had.seed} and batch {had.batch + 1} instead '
        f'of {had.batch}: ')


def test_state_of_another_hand_is_refused(uninterrupted, tiny_settings, monkeypatch):
    monkeypatch.setattr(loop, 'load_mano', lambda _: load_template('fast'))
    with pytest.raises(StateError, match='another hand; go on without hand=.*another run folder'):
        Trainer(tiny_settings('hand=MANO_RIGHT.pkl', folder='straight'))


def test_a_run_that_is_at_its_end_says_so(uninterrupted, capsys):
    before = (Path(uninterrupted.run) / 'log.jsonl').read_text()
    train(uninterrupted)
    told = f'{uninterrupted.run} is at step {uninterrupted.steps} of {uninterrupted.steps}'
    assert told in capsys.readouterr().out
    assert (Path(uninterrupted.run) / 'log.jsonl').read_text() == before


def test_new_run_starts_from_given_weights(uninterrupted, tiny_settings):
    weights = Path(uninterrupted.run) / 'weights.safetensors'
    settings = tiny_settings('steps=2', f'start_from={weights}')
    trainer = Trainer(settings)
    assert trainer.step == 0
    given = load_file(weights)
    for module in (trainer.network, trainer.average.module):
        held = module.state_dict()
        assert all(torch.equal(held[name], tensor) for name, tensor in given.items())
    trainer.run()
    after = load_file(Path(settings.run) / 'weights.safetensors')
    assert any(not torch.equal(after[name], tensor) for name, tensor in given.items())
    # A run that has begun goes on from its own state.
    again = Trainer(replace(settings, start_from='/nowhere/weights.safetensors', steps=3))
    assert again.step == 2
    assert all(torch.equal(again.average.module.state_dict()[n], t) for n, t in after.items())


def test_weights_of_another_network_are_no_start(uninterrupted, tiny_settings):
    weights = Path(uninterrupted.run) / 'weights.safetensors'
    with pytest.raises(CheckpointError, match='decoder_channels is 8, expected 16'):
        Trainer(tiny_settings('network_changes.decoder_channels=16', f'start_from={weights}'))
    Trainer(tiny_settings('network_changes.input_size=96', f'start_from={weights}'))
    with pytest.raises(CheckpointError, match='does not exist'):
        Trainer(tiny_settings('start_from=nowhere.safetensors'))


def test_weights_that_are_not_finite_are_never_saved(tiny_settings):
    """Of a step whose loss was finite and whose gradients were not, with a save after it."""

    class Diverging(Trainer):
        def train_step(self, batch):
            if self.step == 7:
                next(self.network.parameters()).register_hook(lambda gradient: gradient * np.nan)
            return super().train_step(batch)

    trainer = Diverging(tiny_settings())
    with pytest.raises(FloatingPointError, match='no longer finite after step 8; what was saved'):
        trainer.run()
    for name in ('state', 'weights'):
        tensors = load_file(trainer.folder / f'{name}.safetensors')
        assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert Trainer(trainer.settings).step == 4


def test_weights_that_found_no_room_are_written_by_the_next_call(tiny_settings, monkeypatch):
    settings = tiny_settings('steps=2')

    def full(*_):
        raise OSError('No space left on device')

    with monkeypatch.context() as there, pytest.raises(OSError, match='No space'):
        there.setattr(loop, 'save', full)
        train(settings)
    train(settings)
    weights = Path(settings.run) / 'weights.safetensors'
    assert checkpoint.read_header(weights).notes['step'] == 2
