"""What a training says of itself: lines of `log.jsonl`, and means and pace between two of them."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from hiu_ros.data.sets.layout import replace_text


class Journal:
    """Appends to a run's `log.jsonl`; a line is {step, kind, figures...}."""

    def __init__(self, folder: Path):
        self.path = Path(folder) / 'log.jsonl'

    def write(self, step: int, kind: str, figures: Mapping[str, float]) -> None:
        """One line."""
        with self.path.open('a', encoding='utf-8') as file:
            file.write(json.dumps({'step': step, 'kind': kind, **figures}) + '\n')

    def cut(self, step: int) -> None:
        """Forget what came after `step`: a run that was killed does those steps again."""
        if not self.path.exists():
            return
        lines = self.path.read_text(encoding='utf-8').splitlines(keepends=True)
        kept = [line for line in lines if _whole(line) and json.loads(line)['step'] <= step]
        if kept != lines:
            replace_text(self.path, ''.join(kept))


def _whole(line: str) -> bool:
    """False for the line that a killed process was writing."""
    try:
        return line.endswith('\n') and 'step' in json.loads(line)
    except ValueError:
        return False


class Means:
    """Means of named figures since the last `take`; survives a stop as text.

    Figures may be tensors of one number: they are not waited for before `take` or `text`.
    """

    def __init__(self, text: str = '{}'):
        self.sums: dict[str, list] = json.loads(text)

    def add(self, figures: Mapping[str, Tensor | float]) -> None:
        """Count one step; a figure that a step lacks is a mean over fewer steps."""
        for name, value in figures.items():
            total = self.sums.setdefault(name, [0.0, 0])
            total[0] = total[0] + torch.as_tensor(value, dtype=torch.float64).detach()
            total[1] += 1

    def take(self) -> dict[str, float]:
        """The means; begins anew."""
        means = {name: float(total) / count for name, (total, count) in self.sums.items()}
        self.sums = {}
        return means

    def text(self) -> str:
        """For the constructor of another `Means` that goes on here."""
        return json.dumps({name: [float(total), count]
                           for name, (total, count) in self.sums.items()})


class Pace:
    """How fast a training is since it began, or went on, at `step`; samples: of one step."""

    def __init__(self, step: int, samples: int):
        self._first, self._samples, self._began = step, samples, time.monotonic()

    def figures(self, step: int, means: Means, bar: tqdm) -> dict[str, float]:
        """The means since the last time and the samples a second, for a line of the journal; the
        bar shows the total and these."""
        pace = (step - self._first) * self._samples / (time.monotonic() - self._began)
        figures = {**means.take(), 'samples_per_s': pace}
        bar.set_postfix(loss=f'{figures["total"]:.3f}', pace=f'{pace:.0f}/s')
        return figures
