"""State files, the journal and the averaged weights: what a training goes on from."""

import json
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch

from hiu_ros.training.averaging import Average
from hiu_ros.training.journal import Journal, Means, Pace
from hiu_ros.training.state import (
    StateError,
    check_optimiser,
    read_state,
    restore,
    tell_changed,
    write_state,
)


def trained() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimiser = torch.optim.AdamW(model.parameters(), 0.1)
    advance(model, optimiser)
    return model, optimiser


def advance(model, optimiser) -> None:
    optimiser.zero_grad()
    model(torch.arange(12.0).view(4, 3)).square().sum().backward()
    optimiser.step()


def test_model_and_optimiser_go_on_exactly(tmp_path):
    model, optimiser = trained()
    path = tmp_path / 'state.safetensors'
    write_state(path, {'model': model, 'moment': optimiser, 'step': torch.tensor(3)},
                {'note': 'x'})
    parts, header = read_state(path)
    torch.manual_seed(9)
    other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    fresh = torch.optim.AdamW(other.parameters(), 0.1)
    restore(other, parts['model'])
    restore(fresh, parts['moment'])
    advance(model, optimiser)
    advance(other, fresh)
    assert all(torch.equal(a, b) for a, b in zip(
        model.state_dict().values(), other.state_dict().values()))
    assert header == {'note': 'x'} and int(parts['step']['']) == 3
    assert [p.name for p in tmp_path.iterdir()] == ['state.safetensors']


def test_damaged_and_foreign_states_are_named(tmp_path):
    model, optimiser = trained()
    path = tmp_path / 'state.safetensors'
    write_state(path, {'model': model, 'moment': optimiser})
    parts, _ = read_state(path)
    with pytest.raises(StateError, match='does not fit'):
        restore(torch.nn.Linear(3, 5), parts['model'])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StateError, match='remove it to start again'):
        read_state(path)


def test_a_state_that_does_not_name_its_optimiser_goes_on(tmp_path):
    check_optimiser(tmp_path, {'step': '3'}, 'muon')
    check_optimiser(tmp_path, {'optimiser': 'muon'}, 'muon')
    with pytest.raises(StateError, match=f"{tmp_path} is a state of the optimiser 'adam'"):
        check_optimiser(tmp_path, {'optimiser': 'adam'}, 'muon')


def test_a_state_that_does_not_name_its_samples_says_nothing_of_them(tmp_path, capsys):
    tell_changed(tmp_path, {}, seed=1, batch=2)
    assert capsys.readouterr().err == ''
    tell_changed(tmp_path, {'seed': '3'}, seed=1, batch=2)
    assert 'seed 1 instead of 3: ' in capsys.readouterr().err


def test_journal_forgets_what_is_done_again(tmp_path):
    journal = Journal(tmp_path)
    journal.cut(3)
    for step in (2, 4, 6):
        journal.write(step, 'train', {'total': step / 2})
    with journal.path.open('a') as file:
        file.write('{"step": 7, "ki')
    journal.cut(4)
    lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
    assert lines == [{'step': 2, 'kind': 'train', 'total': 1.0},
                     {'step': 4, 'kind': 'train', 'total': 2.0}]


def test_means_survive_as_text():
    straight, cut = Means(), Means()
    for k in range(3):
        straight.add({'a': 0.1 * k, **({'b': 7.0} if k == 1 else {})})
    cut.add({'a': 0.0})
    cut = Means(cut.text())
    cut.add({'a': torch.tensor(0.1, dtype=torch.float64), 'b': 7.0})
    cut.add({'a': 0.2})
    assert straight.take() == cut.take() == {'a': pytest.approx(0.1), 'b': 7.0}
    assert straight.take() == {}


def test_pace_is_that_since_the_training_went_on(monkeypatch):
    clock = SimpleNamespace(monotonic=iter([100.0, 104.0]).__next__)
    monkeypatch.setattr('hiu_ros.training.journal.time', clock)
    pace, means = Pace(1000, samples=24), Means()
    means.add({'total': 2.0})
    assert pace.figures(1010, means, Mock()) == {'total': 2.0, 'samples_per_s': 60.0}


def test_average_follows_slowly_and_copies_counters():
    model, _ = trained()
    average = Average(model, 0.9)
    start = average.module[0].weight.clone()
    with torch.no_grad():
        model[0].weight += 1
        model[1].num_batches_tracked += 5
    for _ in range(3):
        average.update(model)
    moved = (average.module[0].weight - start).mean().item()
    assert 0.5 < moved < 1
    assert average.module[1].num_batches_tracked == model[1].num_batches_tracked
    assert not any(p.requires_grad for p in average.module.parameters())


def test_average_without_decay_is_the_model():
    model, optimiser = trained()
    average = Average(model, 0.0)
    advance(model, optimiser)
    average.update(model)
    assert torch.equal(average.module[0].weight, model[0].weight)
