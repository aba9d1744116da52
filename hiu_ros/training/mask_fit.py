"""Fit the `FineMask` of a network: masks as fine as the image shows them.

`python -m hiu_ros.training.mask_fit WEIGHTS OUT --folder RUN --photos CACHE --renders BANK ...`
trains it on the crops that the network is trained on, while all else stays as it is, so joints,
mesh, score and side are those of WEIGHTS. It stops on Ctrl-C with its state saved, and goes on
from there when called again; OUT is written in the end.

To be run for weights that will not change any more, rounded as they will ship: training and
blending leave it out. Where WEIGHTS were only nudged since it was fitted (`blending
--keep-fitted`), `--go-on-fitting` begins with what they have.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from hiu_ros.command_errors import in_one_line
from hiu_ros.network import checkpoint
from hiu_ros.output_file import check_output
from hiu_ros.perception.device import choose_device, half_in_training
from hiu_ros.perception.options import hand_weights
from hiu_ros.training.averaging import Average
from hiu_ros.training.batch import Batch, collate
from hiu_ros.training.journal import Journal, Means
from hiu_ros.training.losses import (
    check_finite,
    check_weights,
    mask_logits,
    mask_terms,
    outline_band,
    weighted_mean,
)
from hiu_ros.training.mix import HandMix
from hiu_ros.training.mix_options import MixOptions
from hiu_ros.training.optimiser import make_optimiser
from hiu_ros.training.schedule import decay
from hiu_ros.training.state import StateError, read_state, restore, tell_changed, write_state
from hiu_ros.training.step_loop import Pacing, Share, take_steps
from hiu_ros.training.stopping import leave_signals_to_the_parent

_WARMUP, _CLIP, _EMA, _DECAY = 100, 5.0, 0.995, 0.02
#: Masks of fewer pixels, of what is hardly in the crop, have no overlap to tell of.
_LEAST_PIXELS = 20
#: Crops as the shipped networks are trained on, and spoilt ones.
_DATA = MixOptions(
    negative_share=0.08, other_hand_share=0.35, one_skin_share=0.5, arm_share=0.1,
    aside_share=0.35, recolour_share=0.25, cutout_share=0.4, edge_share=0.25, harsh_share=0.15)


@dataclass(frozen=True)
class MaskFitSettings:
    """All of a fit."""

    weights: Path  #: of the network, which stays as it is
    folder: Path  #: state and log
    data: MixOptions
    steps: int = 4000
    batch: int = 32
    rate: float = 2e-3
    seed: int = 1
    threads: int = 0  #: of torch; 0: its choice
    workers: int = 1
    log_every: int = 50
    save_every: int = 250
    device: str = 'auto'
    go_on_fitting: bool = False  #: begin with the part that the weights have, not with a new one

    def __post_init__(self) -> None:
        for name, least in (('steps', 1), ('batch', 2), ('seed', 0), ('threads', 0),
                            ('workers', 0)):
            if getattr(self, name) < least:
                raise ValueError(f'{name} is {getattr(self, name)}, expected at least {least}')


class MaskFit:
    """Fits the part, a new one or from where the folder's run stopped.

    Raises StateError where the folder is of other weights or another beginning, or there is
    nothing to go on fitting.
    """

    def __init__(self, settings: MaskFitSettings):
        s = self.settings = settings
        if s.threads:
            torch.set_num_threads(s.threads)
        cv2.setNumThreads(1)
        torch.manual_seed(s.seed)
        self.device = choose_device(s.device)
        self.half = half_in_training(self.device)
        network = checkpoint.load(s.weights, self.device, fitted=s.go_on_fitting)
        if s.go_on_fitting and network.fine_mask is None:
            raise StateError(f'{s.weights} has no FineMask to go on fitting; fit a new one')
        # What is held is fused for speed, what is fitted is not.
        part = network.fine_mask if s.go_on_fitting else network.add_fine_mask()
        self.part, network.fine_mask = part, None
        network.fuse().requires_grad_(False).fine_mask = self.part
        self.network = network.to(memory_format=torch.channels_last)
        self.average = Average(self.part, _EMA)
        self.optimiser = make_optimiser('adamw', self.part, s.rate, _DECAY)
        self.journal, self.means, self.step = Journal(s.folder), Means(), 0
        self.state = s.folder / 'state.safetensors'
        self.fingerprint = checkpoint.fingerprint(s.weights)
        if self.state.exists():
            self.resume()

    def run(self) -> bool:
        """Fit until the last step, Ctrl-C or SIGTERM, saved in each case; tells whether it is
        done."""
        s = self.settings
        s.folder.mkdir(parents=True, exist_ok=True)
        self.journal.cut(self.step)
        mix = HandMix(s.data, self.network.config.input_size, s.seed)
        loader = DataLoader(mix, s.batch, sampler=Share(self.step, s.steps, s.batch),
                            num_workers=s.workers, collate_fn=collate,
                            worker_init_fn=leave_signals_to_the_parent)
        take_steps(self, loader, Pacing(s.steps, s.batch, s.log_every, s.save_every))
        return self.step >= s.steps

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the optimiser; the terms, those of the mask without it, and the total."""
        s, batch = self.settings, batch.to(self.device)
        for group in self.optimiser.param_groups:
            group['lr'] = s.rate * min(1.0, (self.step + 1) / _WARMUP) * decay(
                'cosine', self.step / s.steps)
        self.network.eval()
        self.part.train()
        images = batch.images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            output = self.network(images, last_only=True)[-1]
        terms = fit_terms(output.fine_mask, batch)
        total = sum(terms.values())
        check_finite(total, terms, self.step)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.part.parameters(), _CLIP)
        self.optimiser.step()
        self.average.update(self.part)
        with torch.no_grad():
            rough = fit_terms(output.mask, batch)
        return {**{name: term.detach() for name, term in terms.items()},
                **{f'rough_{name}': term for name, term in rough.items()},
                'total': total.detach()}

    def log(self, kind: str, figures: Mapping[str, float]) -> None:
        """One line of `log.jsonl`."""
        self.journal.write(self.step, kind, figures)

    def save(self) -> None:
        """Write the state by renaming a whole file."""
        check_weights(self.part, self.step)
        write_state(self.state, {
            'part': self.part, 'average': self.average.module, 'moment': self.optimiser},
            {'step': str(self.step), 'weights': self.fingerprint, 'means': self.means.text(),
             'seed': str(self.settings.seed), 'batch': str(self.settings.batch),
             'go_on_fitting': str(self.settings.go_on_fitting)})

    def resume(self) -> None:
        """Go on from the folder's state; StateError where it does not fit."""
        parts, header = read_state(self.state)
        s = self.settings
        if header.get('weights') != self.fingerprint:
            raise StateError(f'{self.state} was fitted to other weights than {s.weights}; give '
                             'another folder')
        # Older states do not name it.
        if header.get('go_on_fitting', str(s.go_on_fitting)) != str(s.go_on_fitting):
            raise StateError(f'{self.state} was begun with{"out" if s.go_on_fitting else ""} '
                             '--go-on-fitting; go on so, or give another folder')
        tell_changed(s.folder, header, seed=s.seed, batch=s.batch)
        restore(self.part, parts['part'])
        restore(self.average.module, parts['average'])
        restore(self.optimiser, parts.get('moment', {}))
        self.means = Means(header['means'])
        self.step = self.average.updates = int(header['step'])

    def write(self, out: Path, storage: str) -> None:
        """The weights with what is fitted, and with the `Legibility` that they may have."""
        network = checkpoint.load(self.settings.weights)
        network.add_fine_mask().load_state_dict(self.average.module.state_dict())
        notes = checkpoint.read_header(self.settings.weights).notes
        before = notes.get('mask_steps', 0) if self.settings.go_on_fitting else 0
        checkpoint.save(out, network, {**notes, 'mask_steps': before + self.step}, storage)


def fit_terms(mask: Tensor, batch: Batch) -> dict[str, Tensor]:
    """What masks (B, 1, m, m) lack: cross entropy over the crop, the same near the outline, and
    one less the intersection over union of the soft masks."""
    logits, truth = mask_logits(mask, batch), batch.masks
    said = logits.sigmoid()
    shared = (said * truth).sum((1, 2))
    either = (said + truth).sum((1, 2)) - shared
    counted = batch.mask_weights * (truth.sum((1, 2)) > _LEAST_PIXELS)
    return mask_terms(logits, batch, outline_band(truth)) | {
        'overlap': weighted_mean(1 - shared / either.clamp_min(1), counted)}


def main(arguments: list[str] | None = None) -> None:
    """Fit from the command line."""
    parser = argparse.ArgumentParser(prog='python -m hiu_ros.training.mask_fit',
                                     description=__doc__.splitlines()[0])
    parser.add_argument('weights', metavar='WEIGHTS', help="a file or 'hiu_lite'")
    parser.add_argument('out', type=Path, metavar='OUT', help='file to write')
    parser.add_argument('--folder', type=Path, required=True, help='state and log')
    parser.add_argument('--photos', default='', help='photo cache')
    parser.add_argument('--renders', nargs='*', default=[], help='render banks')
    parser.add_argument('--backgrounds', default='', help='.npy of background patches')
    parser.add_argument('--near-misses', default='', help='.npy of patches taken for hands')
    parser.add_argument('--leave-out', nargs='*', default=[], help='photo sets not trained on')
    parser.add_argument('--photo-share', type=float, default=0.25, metavar='SHARE',
                        help='the others are renders (default: %(default)s)')
    parser.add_argument('--go-on-fitting', action='store_true',
                        help='begin with the FineMask that WEIGHTS have, not with a new one')
    parser.add_argument('--storage', choices=checkpoint.STORAGE, default='bytes', help='of OUT')
    for name in ('steps', 'batch', 'rate', 'seed', 'threads', 'workers', 'device'):
        default = getattr(MaskFitSettings, name)
        parser.add_argument(f'--{name}', type=type(default), default=default,
                            help='default: %(default)s')
    a = parser.parse_args(arguments)
    if not 0 <= a.photo_share <= 1:
        parser.error(f'--photo-share is {a.photo_share}, expected 0 to 1')
    with in_one_line(parser):
        weights = hand_weights(a.weights)
        checkpoint.keep_inputs(a.out, weights)
        check_output(a.out)  # written after hours
        data = replace(_DATA, photos=a.photos, renders=tuple(a.renders),
                       backgrounds=a.backgrounds, near_misses=a.near_misses,
                       leave_out=tuple(a.leave_out), photo_share=a.photo_share,
                       render_share=1 - a.photo_share)
        fit = MaskFit(MaskFitSettings(
            Path(weights), a.folder, data, a.steps, a.batch, a.rate, a.seed, a.threads,
            a.workers, device=a.device, go_on_fitting=a.go_on_fitting))
        if fit.run():
            fit.write(a.out, a.storage)
            print(f'{a.out}: masks fitted in {fit.step} steps')


if __name__ == '__main__':
    main()
