"""The finder's training: its loss, its scenes, and going on where it stopped."""

import json
import os
import signal
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hiu_ros import cli
from hiu_ros.network.checkpoint import CheckpointError
from hiu_ros.network.finder import FinderConfig, FinderOutput, load_finder
from hiu_ros.training import finder_loop
from hiu_ros.training.finder_loop import FinderSettings, FinderTrainer, finder_loss
from hiu_ros.training.finder_scenes import SceneOptions
from hiu_ros.training.finder_targets import centre_targets
from hiu_ros.training.optimiser import OPTIMISERS
from hiu_ros.training.state import StateError

SMALL = FinderConfig(long_side=64, channels=(8, 8, 8, 8, 8))


def settings(folder, bank, **changes) -> FinderSettings:
    values = {'steps': 8, 'batch': 2, 'warmup': 2, 'threads': 1, 'log_every': 2,
              'save_every': 4} | changes
    return FinderSettings(folder, SceneOptions(renders=(str(bank),)), **values)


def targets(boxes, right) -> dict[str, torch.Tensor]:
    maps = centre_targets([np.array(b, float) for b in boxes], right, 64, 96)
    return {name: torch.from_numpy(value)[None] for name, value in maps.items()}


def told(batch) -> FinderOutput:
    """What a finder would say that knows the truth."""
    return FinderOutput(torch.logit(batch['centre'], 1e-4), batch['offset'], batch['log_size'],
                        batch['side'] * 40 - 20)


def test_targets_tell_where_and_how_large_hands_are():
    batch = targets([(16, 8, 48, 40)], [True])
    heat = batch['centre'][0]
    assert heat.shape == (8, 12)
    row, column = divmod(int(heat.argmax()), 12)
    offset = batch['offset'][0, :, row, column]
    place = (np.array([column, row]) + offset.numpy() + 0.5) * 8 - 0.5
    assert place.tolist() == pytest.approx([32, 24])
    assert batch['log_size'][0, row, column].exp().item() == pytest.approx(32 / 96)
    assert batch['side'][0, row, column] == 1 and batch['known'][0, row, column] == 1


def test_hands_outside_of_the_frame_are_no_targets():
    batch = targets([(200, 10, 220, 30)], [True])
    assert batch['centre'].max() == 0 == batch['known'].max()


def test_the_truth_has_next_to_no_loss_and_each_fault_its_term():
    batch = targets([(16, 8, 48, 40), (60, 20, 90, 60)], [True, False])
    truth = told(batch)
    total, terms = finder_loss(truth, batch)
    assert total < 0.05
    for name, wrong in (('centre', truth._replace(centre=truth.centre * 0)),
                        ('offset', truth._replace(offset=truth.offset + 0.3)),
                        ('size', truth._replace(log_size=truth.log_size - 0.5)),
                        ('side', truth._replace(side=-truth.side))):
        assert finder_loss(wrong, batch)[1][name] > terms[name] + 0.1


def test_what_is_said_away_from_hands_of_their_side_size_and_place_does_not_matter():
    batch = targets([(16, 8, 48, 40)], [True])
    known, truth = batch['known'] > 0, told(batch)
    other = truth._replace(offset=torch.where(known[:, None], truth.offset, 9.0),
                           log_size=torch.where(known, truth.log_size, 9.0),
                           side=torch.where(known, truth.side, 9.0))
    assert finder_loss(other, batch)[0] == finder_loss(truth, batch)[0]


def test_cells_beside_a_middle_tell_the_same_hand_and_where_two_meet_the_nearer_one():
    batch = targets([(16, 8, 48, 40), (24, 12, 56, 44)], [True, False])
    rows, columns = np.nonzero(batch['known'][0].numpy())
    place = np.stack([columns, rows], 1) + batch['offset'][0].numpy()[:, rows, columns].T
    place = (place + 0.5) * 8 - 0.5
    sides = batch['side'][0].numpy()[rows, columns]
    for middle, side in (((32, 24), 1), ((40, 28), 0)):
        own = sides == side
        assert own.sum() >= 4 and place[own] == pytest.approx(np.tile(middle, (own.sum(), 1)))
    middles = batch['known'][0] == 1
    assert sorted(batch['side'][0][middles].tolist()) == [0, 1]


def test_labelled_hands_are_asked_for_whatever_is_doubted_about_them():
    maps = centre_targets([np.array([16., 8, 48, 40])], [True], 64, 96, trust=0.3,
                          doubts=[np.array([30., 20, 90, 60])])
    at = np.unravel_index(maps['centre'].argmax(), maps['centre'].shape)
    assert maps['care'][at] == 1 and maps['care'][6, 8] == 0
    assert maps['care'][0, 11] == pytest.approx(0.3)


def test_weights_of_a_finder_that_are_not_finite_are_never_saved(tmp_path, bank):
    class Diverging(FinderTrainer):
        def train_step(self, batch):
            if self.step == 7:
                next(self.model.parameters()).register_hook(lambda gradient: gradient * np.nan)
            return super().train_step(batch)

    run = settings(tmp_path, bank)
    with pytest.raises(FloatingPointError, match='no longer finite after step 8; what was saved'):
        Diverging(run, SMALL).run()
    assert FinderTrainer(run).step == 4
    for name in ('state', 'weights'):
        tensors = load_file(tmp_path / f'{name}.safetensors')
        assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_sets_left_out_are_those_that_a_finder_is_validated_on_as_unseen(tmp_path, monkeypatch):
    asked = Mock()
    for name, stand_in in (('Scenes', Mock()), ('DataLoader', Mock()), ('take_steps', Mock()),
                           ('FinderValidation', asked)):
        monkeypatch.setattr(finder_loop, name, stand_in)
    scenes = SceneOptions('photos', leave_out=('garden',))
    FinderTrainer(FinderSettings(tmp_path, scenes, validate_with=7), SMALL).run()
    asked.assert_called_once_with('photos', 7, ('garden',))


def test_empty_frame_has_a_finite_loss():
    batch = targets([], [])
    total, _ = finder_loss(told(batch), batch)
    assert torch.isfinite(total) and total < 0.05


def test_false_centres_in_doubt_cost_nothing():
    boxes = [np.array([16., 8, 48, 40])]
    sure = centre_targets(boxes, [True], 64, 96)
    doubt = centre_targets(boxes, [True], 64, 96, doubts=[np.array([64., 32, 90, 60])])
    assert (doubt['care'] == 0).any() and (doubt['centre'] == sure['centre']).all()
    losses = []
    for maps in (sure, doubt):
        batch = {name: torch.from_numpy(value)[None] for name, value in maps.items()}
        output = told(batch)
        output.centre[0, 6, 10] = 4.0
        losses.append(finder_loss(output, batch)[1]['centre'])
    assert losses[0] > 1 > 0.05 > losses[1]


@pytest.mark.parametrize('optimiser', OPTIMISERS)
def test_stopped_training_goes_on_exactly(tmp_path, bank, optimiser):
    straight = FinderTrainer(settings(tmp_path / 'straight', bank, optimiser=optimiser), SMALL)
    straight.run()

    class Stopped(FinderTrainer):
        def train_step(self, batch):
            if self.step == 4:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().train_step(batch)

    cut = settings(tmp_path / 'cut', bank, optimiser=optimiser)
    Stopped(cut, SMALL).run()
    second = FinderTrainer(cut)
    assert second.step == 5 and second.config == SMALL
    second.run()
    states = [load_file(tmp_path / name / 'state.safetensors') for name in ('straight', 'cut')]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    kinds = {key.split('.')[0] for key in states[0]}
    assert kinds == {'model', 'average', 'moment', 'step'}
    lines = [[{k: v for k, v in json.loads(line).items() if k != 'samples_per_s'}
              for line in (tmp_path / name / 'log.jsonl').read_text().splitlines()]
             for name in ('straight', 'cut')]
    assert lines[0] == lines[1] and len(lines[0]) == 4


def test_state_of_another_optimiser_is_refused(tmp_path, bank):
    FinderTrainer(settings(tmp_path, bank, steps=1), SMALL).run()
    with pytest.raises(StateError, match="optimiser 'adamw', not of 'muon'; go on with 'adamw'"):
        FinderTrainer(settings(tmp_path, bank, steps=2, optimiser='muon'))


def test_a_run_that_goes_on_with_other_samples_says_so(tmp_path, bank, capsys):
    FinderTrainer(settings(tmp_path, bank, steps=1), SMALL).run()
    capsys.readouterr()
    FinderTrainer(settings(tmp_path, bank))
    assert capsys.readouterr().err == ''
    FinderTrainer(settings(tmp_path, bank, batch=3))
    assert f'{tmp_path} goes on with batch 3 instead of 2: ' in capsys.readouterr().err


def test_weights_and_log_are_there_after_the_last_step(tmp_path, bank):
    trainer = FinderTrainer(settings(tmp_path, bank), SMALL)
    trainer.run()
    assert load_finder(tmp_path / 'weights.safetensors').config == SMALL
    lines = [json.loads(line) for line in (tmp_path / 'log.jsonl').read_text().splitlines()]
    assert [line['step'] for line in lines] == [2, 4, 6, 8]
    assert {'centre', 'offset', 'size', 'side', 'total'} <= set(lines[0])
    assert trainer.rate(0) == pytest.approx(0.00075) and trainer.rate(8) == 0


def holds(module: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> bool:
    state = module.state_dict()
    return all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


def test_new_run_starts_from_given_weights_and_their_network(tmp_path, bank):
    FinderTrainer(settings(tmp_path / 'first', bank, steps=2), SMALL).run()
    weights = tmp_path / 'first' / 'weights.safetensors'
    given = load_file(weights)
    again = settings(tmp_path / 'again', bank, steps=2, start_from=str(weights), seed=9)
    trainer = FinderTrainer(again)
    assert trainer.step == 0 and trainer.config == SMALL
    assert holds(trainer.model, given) and holds(trainer.average.module, given)
    trainer.run()
    after = load_file(tmp_path / 'again' / 'weights.safetensors')
    assert not holds(trainer.model, given) and after.keys() == given.keys()
    # A run that has begun goes on from its own state.
    going_on = FinderTrainer(settings(tmp_path / 'again', bank, steps=3,
                                      start_from='/nowhere/finder.safetensors'))
    assert going_on.step == 2 and holds(going_on.average.module, after)


def test_weights_to_start_from_must_be_there(tmp_path, bank, capsys):
    with pytest.raises(CheckpointError, match='nowhere.safetensors does not exist'):
        FinderTrainer(settings(tmp_path, bank, start_from='nowhere.safetensors'))
    assert cli.main(['train-finder', '--folder', str(tmp_path), '--renders', str(bank),
                     '--start-from', 'elsewhere.safetensors']) == 1
    assert 'elsewhere.safetensors does not exist' in capsys.readouterr().err


def test_nothing_to_train_on(tmp_path, capsys):
    assert cli.main(['train-finder', '--folder', str(tmp_path)]) == 1
    assert 'nothing to train on' in capsys.readouterr().err


@pytest.mark.parametrize('option', ['seed', 'threads', 'workers', 'validate-every'])
def test_numbers_below_nothing_are_named(tmp_path, bank, capsys, option):
    assert cli.main(['train-finder', '--folder', str(tmp_path / 'run'), '--renders', str(bank),
                     f'--{option}', '-1']) == 1
    words = f'{option.replace("-", "_")} is -1, expected at least 0'
    assert words in capsys.readouterr().err


@pytest.mark.parametrize('option, value, words', [
    ('photo-share', '1.5', 'photo_share is 1.5, expected a share from 0 to 1'),
    ('crossing', '-0.1', 'crossing is -0.1,'), ('arms', 'nan', 'arms is nan,'),
    ('turned', '45', 'turned is 45.0,'), ('rate', '0', 'rate is 0.0, expected a number above 0'),
    ('rate', 'nan', 'rate is nan,'),
])
def test_shares_and_rates_that_cannot_be_are_named(
        tmp_path, bank, capsys, option, value, words):
    assert cli.main(['train-finder', '--folder', str(tmp_path / 'run'), '--renders', str(bank),
                     '--steps', '1', f'--{option}', value]) == 1
    assert words in capsys.readouterr().err and not (tmp_path / 'run').exists()


def test_a_run_that_is_at_its_end_has_its_weights_and_says_so(
        tmp_path, bank, monkeypatch, capsys):
    def full(*_):
        raise OSError('No space left on device')

    with monkeypatch.context() as there, pytest.raises(OSError, match='No space'):
        there.setattr(finder_loop, 'save_finder', full)
        FinderTrainer(settings(tmp_path, bank, steps=2), SMALL).run()
    FinderTrainer(settings(tmp_path, bank, steps=2), SMALL).run()
    assert load_finder(tmp_path / 'weights.safetensors').config == SMALL
    assert 'nothing to do' not in capsys.readouterr().out
    FinderTrainer(settings(tmp_path, bank, steps=2), SMALL).run()
    assert f'{tmp_path} is at step 2 of 2, so there is nothing to do' in capsys.readouterr().out
