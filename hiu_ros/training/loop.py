"""The training loop: one or more processes, exact resume, averaged weights, atomic checkpoints."""

import gc
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from hiu_ros.data.sets.layout import replace_text
from hiu_ros.hand.mano_file import load_mano
from hiu_ros.hand.model import HandModel, load_template
from hiu_ros.network.checkpoint import load_into, save
from hiu_ros.network.config import HIUConfig
from hiu_ros.network.hiu import HIU
from hiu_ros.training.averaging import Average
from hiu_ros.training.batch import Batch, collate
from hiu_ros.training.board import Board
from hiu_ros.training.journal import Journal, Means
from hiu_ros.training.losses import HandLoss, check_finite, check_weights
from hiu_ros.training.mix import HandMix
from hiu_ros.training.optimiser import make_optimiser
from hiu_ros.training.pictures import sheet
from hiu_ros.training.schedule import learning_rate
from hiu_ros.training.settings import Settings, as_yaml
from hiu_ros.training.state import (
    StateError,
    check_optimiser,
    read_state,
    restore,
    tell_changed,
    write_state,
)
from hiu_ros.training.step_loop import Pacing, Share, take_steps
from hiu_ros.training.stopping import leave_signals_to_the_parent
from hiu_ros.training.validation import check, validate

_HALVES = {'bfloat16': torch.bfloat16, 'float16': torch.float16}
#: Render bank of `data.made_renders`: one for all runs of a seed.
_MADE_SEED = 11


class Trainer:
    """Trains one network as `settings` say, from where the run stopped, or else anew.

    Anew is from scratch or from the weights of `start_from`. The run's folder holds
    `settings.yaml`, `state.safetensors` (to go on), `weights.safetensors` (averaged, to use),
    `log.jsonl` and `tensorboard/`. Raises StateError for a state that does not fit,
    CheckpointError for such weights, FloatingPointError where the loss is not finite.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        if settings.threads:
            torch.set_num_threads(settings.threads)
        # OpenCV's pool fights with torch's over the same cores; its jobs here are tiny.
        cv2.setNumThreads(1)
        cuda = torch.cuda.is_available()
        self.device = torch.device('cuda', int(os.environ.get('LOCAL_RANK', 0))) if cuda else (
            torch.device('cpu'))
        if settings.precision == 'float16' and not cuda:
            raise ValueError("precision 'float16' needs a GPU; use 'bfloat16' or 'float32'")
        self.template = load_mano(settings.hand) if settings.hand else load_template('fast')
        if self.template.side != 'right':
            raise ValueError(f'{settings.hand} is a left hand; the network is shown right ones')
        torch.manual_seed(settings.seed)
        self.config = settings.network_config()
        network = HIU(self.config).to(self.device, memory_format=torch.channels_last)
        self.network: nn.Module = network
        self.average = Average(network, settings.ema)
        self.hand = HandModel(self.template).to(self.device)
        self.loss = HandLoss(self.hand, settings.loss, self.config.heatmap_readout,
                             settings.sigmas, settings.stage_weights, settings.pof_variant,
                             (settings.sigma_factor, settings.sigma_steps),
                             settings.self_supervision)
        self.optimiser = make_optimiser(
            settings.optimiser, network, settings.rate, settings.weight_decay)
        self.scaler = torch.amp.GradScaler(self.device.type,
                                           enabled=settings.precision == 'float16')
        self.folder = Path(settings.run)
        self.journal = Journal(self.folder)
        self.board: Board | None = None
        self.means = Means()
        self.step = 0
        if not self.resume() and settings.start_from:
            load_into(network, settings.start_from)
            self.average = Average(network, settings.ema)
        self.check_company()
        self.wrapped: nn.Module = network
        if self.world > 1:
            ids = [self.device.index] if cuda else None
            if cuda:
                network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
            self.wrapped = DistributedDataParallel(network, device_ids=ids,
                                                   broadcast_buffers=True)
        if settings.compiled:
            self.wrapped = torch.compile(self.wrapped, dynamic=False)
            self.loss.compile()

    def check_company(self) -> None:
        """StateError where processes are at other steps: they do not see one run folder."""
        if self.world == 1:
            return
        ends = torch.tensor([self.step, -self.step], device=self.device)
        dist.all_reduce(ends, dist.ReduceOp.MAX)
        last, first = int(ends[0]), -int(ends[1])
        if first != last:
            raise StateError(f'some processes go on with {self.folder} at step {last} and others '
                             f'at step {first}; all machines must see the same state.safetensors '
                             'there: put it on a shared disk, or copy it to each of them')

    def batches(self) -> DataLoader:
        """The stream of batches from the current step on, this process's share of it."""
        s = self.settings
        data = replace(s.data, renders=(str(self.made_renders()),)) if (
            s.data.made_renders and not s.data.renders) else s.data
        mix = HandMix(data, self.config.input_size, s.seed, template=self.template,
                      mano=bool(s.hand))
        share = Share(self.step, s.steps, s.batch, self.rank, self.world)
        return DataLoader(mix, s.batch, sampler=share, num_workers=s.workers, collate_fn=collate,
                          pin_memory=self.device.type == 'cuda',
                          worker_init_fn=leave_signals_to_the_parent)

    def made_renders(self) -> Path:
        """The bank of renders that the run makes for itself, as far as it is not there yet.

        ValueError where the folder holds another number of them.
        """
        from hiu_ros.data.renders.bank import BankOptions, write_bank

        bank = self.folder / 'renders'
        if self.rank == 0:
            write_bank(bank, self.settings.data.made_renders, BankOptions(_MADE_SEED),
                       quiet=True)
        if self.world > 1:
            dist.barrier()
        return bank

    def run(self) -> None:
        """Train until the last step, Ctrl-C or SIGTERM; saves in each case."""
        s = self.settings
        if self.step >= s.steps:
            if self.rank == 0:
                print(f'{self.folder} is at step {self.step} of {s.steps}, so there is nothing to '
                      'do; more steps, or another run, train on')
            return
        if self.rank == 0:
            check(s.validation, self.hand, bool(s.hand))
        batches = self.batches()
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.rank == 0:
            replace_text(self.folder / 'settings.yaml', as_yaml(s))
            self.journal.cut(self.step)
            self.board = Board(self.folder, self.step) if s.tensorboard else None
        pacing = Pacing(
            s.steps, s.batch * self.world, s.log_every, s.save_every, s.validate_every)
        take_steps(self, batches, pacing, self.validate, self.agreed, quiet=self.rank != 0)
        if self.board:
            self.board.close()

    def rate(self, step: int) -> float:
        """Learning rate at a step."""
        s = self.settings
        return learning_rate(step, s.steps, s.rate, s.schedule, s.warmup)

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the optimiser; returns the terms of the last stage and the total."""
        s, batch = self.settings, batch.to(self.device)
        for group in self.optimiser.param_groups:
            group['lr'] = self.rate(self.step)
        self.wrapped.train()
        images = batch.images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, _HALVES.get(s.precision, torch.bfloat16),
                            enabled=s.precision in _HALVES):
            outputs = self.wrapped(images)
        total, terms = self.loss(outputs, batch, self.step)
        check_finite(total, terms, self.step)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()
        self.scaler.unscale_(self.optimiser)
        nn.utils.clip_grad_norm_(self.network.parameters(), s.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.average.update(self.network)
        return {**terms, 'total': total.detach()}

    def validate(self, batch: Batch) -> None:
        """Measure the averaged weights and draw some crops; only the first process does."""
        if self.rank:
            return
        model, s = self.average.module, self.settings
        bank = s.validation.renders
        if s.validation.training_renders:
            bank = s.data.renders[0] if s.data.renders else str(self.folder / 'renders')
        figures = validate(model, self.hand, replace(s.validation, renders=bank), bool(s.hand),
                           grey=s.data.grey and s.validation.training_renders,
                           scale=s.data.usual_scale)
        if figures:
            self.log('validation', figures)
            shown = '  '.join(f'{name} {value:.4f}' for name, value in figures.items())
            tqdm.write(f'step {self.step}: {shown}')
        if self.board and self.board.on and s.pictures:
            self.board.picture(self.step, 'crops', sheet(
                model, self.hand, batch.to(self.device), s.pictures))

    def log(self, kind: str, figures: Mapping[str, float]) -> None:
        """One line of `log.jsonl`, and the same for TensorBoard; of training with the rate."""
        if kind == 'train':
            figures = {**figures, 'rate': self.rate(self.step)}
        if self.rank == 0:
            self.journal.write(self.step, kind, figures)
            if self.board:
                self.board.scalars(self.step, kind, figures)

    def agreed(self, asked: bool) -> bool:
        """Whether any process was asked to stop; the same answer in all of them."""
        if self.world > 1:
            flag = torch.tensor([float(asked)], device=self.device)
            dist.all_reduce(flag, dist.ReduceOp.MAX)
            asked = bool(flag.item())
        return asked

    def save(self) -> None:
        """Write averaged weights and state, each by renaming a whole file.

        The state comes last: with a state of the last step there is nothing left to do.
        """
        if self.rank:
            return
        check_weights(self.network, self.step)
        save(self.folder / 'weights.safetensors', self.average.module,
             {'step': self.step, 'hand': self.template.name})
        write_state(
            self.folder / 'state.safetensors',
            {'network': self.network, 'average': self.average.module,
             'optimiser': self.optimiser},
            {'step': str(self.step), 'updates': str(self.average.updates),
             'config': json.dumps(self.config.to_dict()), 'means': self.means.text(),
             'seed': str(self.settings.seed), 'batch': str(self.settings.batch * self.world),
             'optimiser': self.settings.optimiser, 'mano': str(bool(self.settings.hand)),
             'scaler': json.dumps(self.scaler.state_dict())})

    def resume(self) -> bool:
        """Go on from the run's folder if it holds a state of this network; tells whether."""
        path = self.folder / 'state.safetensors'
        if not path.exists():
            return False
        parts, header = read_state(path)
        if HIUConfig.from_dict(json.loads(header['config'])) != self.config:
            raise StateError(f'{path} is the state of another network; give another run folder')
        check_optimiser(path, header, self.settings.optimiser)
        mano = str(bool(self.settings.hand))
        if header.get('mano', mano) != mano:  # older states do not say
            raise StateError(f'{path} is the state of another hand; go on '
                             f'{"without" if self.settings.hand else "with"} hand=MANO_RIGHT.pkl, '
                             'or give another run folder')
        if self.rank == 0:
            tell_changed(self.folder, header, seed=self.settings.seed,
                         batch=self.settings.batch * self.world)
        restore(self.network, parts['network'])
        restore(self.average.module, parts['average'])
        restore(self.optimiser, parts['optimiser'])
        self.average.updates = int(header['updates'])
        self.means = Means(header.get('means', '{}'))
        if self.scaler.is_enabled() and header.get('scaler', '{}') != '{}':
            self.scaler.load_state_dict(json.loads(header['scaler']))
        self.step = int(header['step'])
        return True


def train(settings: Settings) -> None:
    """Run a training; under `torchrun` one process of several (gloo on CPUs, NCCL on GPUs)."""
    several = int(os.environ.get('WORLD_SIZE', '1')) > 1
    if several:
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
        dist.init_process_group('nccl' if cuda else 'gloo')
    try:
        Trainer(settings).run()
        if several:
            # None takes the group down while another still sends; what holds on to it goes first.
            dist.barrier()
            gc.collect()
    finally:
        if several:
            dist.destroy_process_group()
