"""The loop that all trainings share: step after step, told of, saved and stopped between two."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from tqdm import tqdm

from hiu_ros.training.batch import read_batches
from hiu_ros.training.journal import Means, Pace
from hiu_ros.training.stopping import StopRequest


class Share(Sampler):
    """Numbers of the stream's samples that one of `world` processes takes, from a step on."""

    def __init__(self, first_step: int, steps: int, batch: int, rank: int = 0, world: int = 1):
        self.steps = range(first_step, steps)
        self.batch, self.rank, self.world = batch, rank, world

    def __len__(self) -> int:
        return len(self.steps) * self.batch

    def __iter__(self) -> Iterator[int]:
        for step in self.steps:
            first = (step * self.world + self.rank) * self.batch
            yield from range(first, first + self.batch)


class Training(Protocol):
    """What is taken through steps; `step` counts those that are done."""

    step: int
    means: Means

    def train_step(self, batch: Any) -> Mapping[str, Tensor]:
        """One step of the optimiser; the terms of the loss and their `total`."""

    def log(self, kind: str, figures: Mapping[str, float]) -> None:
        """A line of the journal."""

    def save(self) -> None:
        """Write all that a later call needs to go on."""


@dataclass(frozen=True)
class Pacing:
    """How many steps there are, samples of one of them, and after how many what happens.

    What was trained is also saved and validated after the last one. validate_every: 0 for never.
    """

    steps: int
    samples: int
    log_every: int
    save_every: int
    validate_every: int = 0

    def due(self, step: int, every: int) -> bool:
        """Whether what happens every so many steps does after this one."""
        return bool(every) and (step % every == 0 or step == self.steps)


def take_steps(
    training: Training, loader: DataLoader, pacing: Pacing,
    validate: Callable[[Any], None] | None = None, agreed: Callable[[bool], bool] = bool,
    quiet: bool = False,
) -> None:
    """Train on the loader's batches until the last step, Ctrl-C or SIGTERM; saved in each case.

    validate: called with the batch of the step. agreed: whether to stop, given that this process
    was asked to. quiet: without a bar that shows how far it is.
    """
    pace = Pace(training.step, pacing.samples)
    progress = tqdm(total=pacing.steps, initial=training.step, disable=quiet, unit='step',
                    smoothing=0.05, mininterval=5)
    with StopRequest() as stop, progress as bar, read_batches(loader) as stream:
        for batch in stream:
            training.means.add(training.train_step(batch))
            training.step += 1
            bar.update()
            if training.step % pacing.log_every == 0:
                training.log('train', pace.figures(training.step, training.means, bar))
            if validate and pacing.due(training.step, pacing.validate_every):
                validate(batch)
            stopping = agreed(stop.asked)
            if stopping or pacing.due(training.step, pacing.save_every):
                training.save()
            if stopping:
                if not quiet and training.step < pacing.steps:
                    tqdm.write(f'stopped after step {training.step} of {pacing.steps}, which is '
                               'saved; the same command goes on', file=sys.stderr)
                break
