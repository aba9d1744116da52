"""The training of the hand finder: its loss and its loop, with exact resume."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from hiu_ros.network.finder import (
    Finder,
    FinderConfig,
    FinderOutput,
    load_finder,
    save_finder,
)
from hiu_ros.perception.device import choose_device, half_in_training
from hiu_ros.training.averaging import Average
from hiu_ros.training.finder_scenes import SceneOptions, Scenes
from hiu_ros.training.finder_validation import FinderValidation
from hiu_ros.training.journal import Journal, Means
from hiu_ros.training.losses import check_finite, check_weights
from hiu_ros.training.optimiser import make_optimiser
from hiu_ros.training.schedule import decay
from hiu_ros.training.state import (
    check_optimiser,
    read_state,
    restore,
    tell_changed,
    write_state,
)
from hiu_ros.training.step_loop import Pacing, Share, take_steps
from hiu_ros.training.stopping import leave_signals_to_the_parent


@dataclass(frozen=True)
class FinderSettings:
    """All of a finder's training."""

    folder: Path
    scenes: SceneOptions
    steps: int = 6000
    batch: int = 24
    rate: float = 1.5e-3
    warmup: int = 200  #: steps
    weight_decay: float = 0.02
    clip: float = 5.0  #: gradient norm
    ema: float = 0.998
    seed: int = 1
    threads: int = 0  #: of torch; 0: its choice
    workers: int = 0
    log_every: int = 25
    save_every: int = 200
    validate_every: int = 1000  #: steps; 0: never
    validate_with: int = 100  #: photographs of sets not trained on, and as many of the others
    start_from: str = ''  #: weights that a new run begins with
    optimiser: str = 'adamw'  #: one of `optimiser.OPTIMISERS`

    def __post_init__(self) -> None:
        for name, least in (('steps', 1), ('batch', 1), ('log_every', 1), ('save_every', 1),
                            ('seed', 0), ('threads', 0), ('workers', 0), ('validate_every', 0)):
            if getattr(self, name) < least:
                raise ValueError(f'{name} is {getattr(self, name)}, expected at least {least}')
        if not 0 < self.rate < math.inf:
            raise ValueError(f'rate is {self.rate}, expected a number above 0')
        if not (self.scenes.photos or self.scenes.renders):
            raise ValueError('nothing to train on: give photographs (--photos) or render banks '
                             '(--renders)')


def finder_loss(
    output: FinderOutput, batch: dict[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Focal loss of the centres (CenterNet), L1 of offset and size, cross entropy of the side.

    `batch` holds the maps of `finder_targets.centre_targets`. Returns total and terms.
    """
    heat, known = batch['centre'], batch['known']
    chance = output.centre.sigmoid().clamp(1e-4, 1 - 1e-4)
    hit = (heat > 0.999).float()
    focal = -(hit * (1 - chance)**2 * chance.log()
              + (1 - hit) * batch['care'] * (1 - heat)**4 * chance**2 * (1 - chance).log())
    hits = hit.sum().clamp_min(1)
    cells = known.sum().clamp_min(1)
    terms = {
        'centre': focal.sum() / hits,
        'offset': ((output.offset - batch['offset']).abs() * known[:, None]).sum() / cells,
        'size': ((output.log_size - batch['log_size']).abs() * known).sum() / cells,
        'side': (F.binary_cross_entropy_with_logits(output.side, batch['side'], reduction='none')
                 * known).sum() / cells,
    }
    total = terms['centre'] + 0.5 * terms['offset'] + terms['size'] + 0.3 * terms['side']
    return total, {name: term.detach() for name, term in terms.items()}


class FinderTrainer:
    """Trains the finder, from scratch or from where the folder's run stopped.

    The folder holds `state.safetensors` (to go on), `weights.safetensors` (averaged, to use) and
    `log.jsonl`.
    """

    def __init__(self, settings: FinderSettings, config: FinderConfig | None = None):
        s = self.settings = settings
        if s.threads:
            torch.set_num_threads(s.threads)
        cv2.setNumThreads(1)
        torch.manual_seed(s.seed)
        self.device = choose_device('auto')
        self.half = half_in_training(self.device)
        self.state = s.folder / 'state.safetensors'
        if self.state.exists():
            _, header = read_state(self.state)
            if 'config' in header:
                config = FinderConfig.from_dict(json.loads(header['config']))
        start = load_finder(s.start_from) if s.start_from and not self.state.exists() else None
        self.config = start.config if start else config or FinderConfig()
        self.model = (start or Finder(self.config)).to(
            self.device, memory_format=torch.channels_last)
        self.average = Average(self.model, s.ema)
        self.optimiser = make_optimiser(s.optimiser, self.model, s.rate, s.weight_decay)
        self.journal = Journal(s.folder)
        self.means = Means()
        self.step = 0
        if self.state.exists():
            self.resume()

    def rate(self, step: int) -> float:
        """Learning rate: a cosine to zero, with a linear warm-up laid over it."""
        s = self.settings
        return s.rate * min(1.0, (step + 1) / max(1, s.warmup)) * decay('cosine', step / s.steps)

    def run(self) -> None:
        """Train until the last step, Ctrl-C or SIGTERM; saves in each case."""
        s = self.settings
        if self.step >= s.steps:
            print(f'{s.folder} is at step {self.step} of {s.steps}, so there is nothing to do; '
                  'more steps, or another folder, train on')
            return
        s.folder.mkdir(parents=True, exist_ok=True)
        self.journal.cut(self.step)
        scenes = Scenes(s.scenes, self.config.long_side, s.seed, group=s.batch)
        loader = DataLoader(scenes, s.batch, sampler=Share(self.step, s.steps, s.batch),
                            num_workers=s.workers, worker_init_fn=leave_signals_to_the_parent)
        validation = FinderValidation(
            s.scenes.photos, s.validate_with, s.scenes.leave_out) if (
                s.scenes.photos and s.validate_every) else None
        pacing = Pacing(s.steps, s.batch, s.log_every, s.save_every,
                        s.validate_every if validation else 0)
        take_steps(self, loader, pacing, lambda batch: self.log(
            'validation', validation(self.average.module)))

    def train_step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step of the optimiser; returns the terms and their total."""
        s, batch = self.settings, {k: v.to(self.device) for k, v in batch.items()}
        for group in self.optimiser.param_groups:
            group['lr'] = self.rate(self.step)
        images = batch['images'].permute(0, 3, 1, 2).to(
            torch.bfloat16 if self.half else torch.float32).mul_(1 / 127.5).sub_(1)
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            output = self.model(images)
        total, terms = finder_loss(output, batch)
        check_finite(total, terms, self.step)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), s.clip)
        self.optimiser.step()
        self.average.update(self.model)
        return {**terms, 'total': total.detach()}

    def log(self, kind: str, figures: Mapping[str, float]) -> None:
        """One line of `log.jsonl`."""
        self.journal.write(self.step, kind, figures)

    def save(self) -> None:
        """Write averaged weights and state, each by renaming a whole file; the state last."""
        check_weights(self.model, self.step)
        save_finder(self.settings.folder / 'weights.safetensors', self.average.module,
                    {'step': self.step})
        write_state(self.state, {
            'model': self.model, 'average': self.average.module, 'moment': self.optimiser,
            'step': torch.tensor(self.step)},
            {'config': json.dumps(self.config.to_dict()), 'means': self.means.text(),
             'seed': str(self.settings.seed), 'batch': str(self.settings.batch),
             'optimiser': self.settings.optimiser})

    def resume(self) -> None:
        """Go on from the folder's state; StateError where it does not fit."""
        parts, header = read_state(self.state)
        s = self.settings
        check_optimiser(self.state, header, s.optimiser)
        tell_changed(s.folder, header, seed=s.seed, batch=s.batch)
        restore(self.model, parts['model'])
        restore(self.average.module, parts['average'])
        restore(self.optimiser, parts.get('moment', {}))
        self.means = Means(header.get('means', '{}'))
        self.step = self.average.updates = int(parts['step'][''])
