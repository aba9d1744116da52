"""The loop of steps that all trainings share."""

import signal

import pytest
import torch

from hiu_ros.training.journal import Means
from hiu_ros.training.step_loop import Pacing, take_steps


class Counted:
    """A training that learns nothing and notes at which steps what was done."""

    def __init__(self, step: int = 0, interrupted_at: int = -1):
        self.step, self.means, self.interrupted_at = step, Means(), interrupted_at
        self.logged, self.saved, self.validated = [], [], []

    def train_step(self, batch):
        if self.step + 1 == self.interrupted_at:
            signal.raise_signal(signal.SIGINT)
        return {'total': torch.tensor(float(batch))}

    def log(self, kind, figures):
        self.logged.append((self.step, kind, figures['total']))

    def save(self):
        self.saved.append(self.step)

    def validate(self, batch):
        self.validated.append((self.step, batch))


def taken(training, pacing, **options):
    take_steps(training, list(range(training.step + 1, pacing.steps + 1)), pacing,
               training.validate, quiet=True, **options)
    return training


def test_what_is_due_every_so_many_steps_is_done_then_and_after_the_last():
    done = taken(Counted(), Pacing(7, 1, log_every=2, save_every=3, validate_every=5))
    assert done.step == 7
    assert done.logged == [(2, 'train', 1.5), (4, 'train', 3.5), (6, 'train', 5.5)]
    assert done.saved == [3, 6, 7]
    assert done.validated == [(5, 5), (7, 7)]


def test_nothing_is_validated_where_that_is_never_due():
    assert taken(Counted(), Pacing(4, 1, log_every=9, save_every=9)).validated == []


def test_a_training_goes_on_from_its_step():
    done = taken(Counted(step=4), Pacing(6, 1, log_every=9, save_every=9, validate_every=1))
    assert done.validated == [(5, 5), (6, 6)] and done.saved == [6]


@pytest.mark.parametrize('agreed, last', [(bool, 3), (lambda asked: False, 6)])
def test_it_stops_saved_where_all_agree_that_one_was_asked_to(agreed, last):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    done = taken(Counted(interrupted_at=3), Pacing(6, 1, log_every=9, save_every=9),
                 agreed=agreed)
    assert done.step == last and done.saved == [last]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize('interrupted_at, told', [
    (3, 'stopped after step 3 of 6, which is saved; the same command goes on\n'), (6, '')])
def test_a_training_that_is_stopped_before_its_end_says_how_to_go_on(
        capsys, interrupted_at, told):
    training = Counted(interrupted_at=interrupted_at)
    take_steps(training, list(range(1, 7)), Pacing(6, 1, log_every=9, save_every=9))
    said = capsys.readouterr().err
    assert (told in said) if told else 'stopped' not in said
