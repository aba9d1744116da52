"""The training loop: one or more processes, exact resume, averaged weights, atomic checkpoints."""

import json
import math
import os
import signal
import time
from pathlib import Path

import cv2
import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from hiu_ros.hand.model import HandModel, load_template
from hiu_ros.network.checkpoint import save
from hiu_ros.network.hiu import HIU
from hiu_ros.training.averaging import Average
from hiu_ros.training.batch import collate
from hiu_ros.training.losses import HandLoss
from hiu_ros.training.mix import HandMix
from hiu_ros.training.settings import Settings, as_yaml
from hiu_ros.training.validation import validate_photos, validate_renders


class Trainer:
    """Trains one network as `settings` say, from scratch or from where the run stopped.

    The run's folder holds `settings.yaml`, `state.safetensors` and `state.json` (to go on),
    `weights.safetensors` (averaged, to use) and `log.jsonl`.
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
        torch.manual_seed(settings.seed)
        self.config = settings.network_config()
        network = HIU(self.config).to(self.device, memory_format=torch.channels_last)
        self.network: nn.Module = network
        self.average = Average(network, settings.ema)
        self.hand = HandModel(load_template('fast')).to(self.device)
        self.loss = HandLoss(self.hand, settings.loss, self.config.heatmap_readout,
                             settings.sigmas, settings.stage_weights, settings.pof_variant)
        kind = torch.optim.AdamW if settings.optimiser == 'adamw' else torch.optim.Adam
        self.optimiser = kind(network.parameters(), settings.rate,
                              weight_decay=settings.weight_decay)
        self.folder = Path(settings.run)
        self.step = 0
        self.stop = False
        self.resume()
        self.wrapped: nn.Module = network
        if self.world > 1:
            ids = [self.device.index] if cuda else None
            if cuda:
                network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
            self.wrapped = DistributedDataParallel(network, device_ids=ids,
                                                   broadcast_buffers=True)

    def rate(self, step: int) -> float:
        """Learning rate at a step: linear warm-up, then poly (power 0.9) or cosine to zero."""
        s = self.settings
        if step < s.warmup:
            return s.rate * (step + 1) / s.warmup
        done = min(1.0, (step - s.warmup) / max(1, s.steps - s.warmup))
        if s.schedule == 'poly':
            return s.rate * (1 - done) ** 0.9
        return s.rate * 0.5 * (1 + math.cos(math.pi * done))

    def batches(self) -> DataLoader:
        """The stream of batches from the current step on, this process's share of it."""
        s = self.settings
        mix = HandMix(s.data, self.config.input_size, s.seed)
        first = (self.step * self.world + self.rank) * s.batch
        stride = self.world * s.batch
        order = [first + k * stride + i for k in range(s.steps - self.step)
                 for i in range(s.batch)]
        return DataLoader(Subset(mix, order), s.batch, num_workers=s.workers, collate_fn=collate,
                          pin_memory=self.device.type == 'cuda')

    def run(self) -> None:
        """Train until the last step, Ctrl-C or SIGTERM; saves in each case."""
        s = self.settings
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask_to_stop)
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.rank == 0:
            (self.folder / 'settings.yaml').write_text(as_yaml(s))
        bar = tqdm(total=s.steps, initial=self.step, disable=self.rank != 0, unit='step',
                   smoothing=0.05, mininterval=5)
        started, seen = time.monotonic(), 0
        sums: dict[str, float] = {}
        for batch in self.batches() if self.step < s.steps else ():
            terms = self.train_step(batch.to(self.device))
            seen += s.batch * self.world
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + float(value)
            self.step += 1
            bar.update()
            if self.step % s.log_every == 0:
                means = {k: v / s.log_every for k, v in sums.items()}
                pace = seen / (time.monotonic() - started)
                self.log('train', {**means, 'samples_per_s': pace,
                                   'rate': self.rate(self.step)})
                bar.set_postfix(loss=f'{means["total"]:.3f}', pace=f'{pace:.0f}/s')
                sums = {}
            last = self.step == s.steps
            if self.step % s.validate_every == 0 or last:
                self.validate()
            if self.asked_to_stop() or last or self.step % s.save_every == 0:
                self.save()
            if self.stop:
                break
        bar.close()

    def train_step(self, batch) -> dict[str, torch.Tensor]:
        """One step of the optimiser; returns the terms of the last stage and the total."""
        s = self.settings
        for group in self.optimiser.param_groups:
            group['lr'] = self.rate(self.step)
        self.wrapped.train()
        images = batch.images.contiguous(memory_format=torch.channels_last)
        half = s.precision == 'bfloat16'
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            outputs = self.wrapped(images)
        total, terms = self.loss(outputs, batch)
        if not torch.isfinite(total):
            raise FloatingPointError(f'loss is {total} at step {self.step}: {terms}')
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), s.clip)
        self.optimiser.step()
        self.average.update(self.network)
        return {**terms, 'total': total.detach()}

    def validate(self) -> None:
        """Measure the averaged weights; only the first process does."""
        v = self.settings.validation
        if self.rank or not (v.photos or v.renders):
            return
        model = self.average.module
        figures = {}
        with torch.inference_mode():
            if v.photos:
                figures.update(validate_photos(model, v.photos, v.hands))
            if v.renders:
                figures.update(validate_renders(model, self.hand, v.renders, v.hands))
        self.log('validation', figures)
        shown = '  '.join(f'{name} {value:.4f}' for name, value in figures.items())
        tqdm.write(f'step {self.step}: {shown}')

    def log(self, kind: str, values: dict[str, float]) -> None:
        """One line of `log.jsonl`."""
        if self.rank == 0:
            with open(self.folder / 'log.jsonl', 'a') as file:
                file.write(json.dumps({'step': self.step, 'kind': kind, **values}) + '\n')

    def asked_to_stop(self) -> bool:
        """Whether any process got a signal; the same answer in all of them."""
        if self.world > 1:
            flag = torch.tensor([float(self.stop)], device=self.device)
            dist.all_reduce(flag, dist.ReduceOp.MAX)
            self.stop = bool(flag.item())
        return self.stop

    def _ask_to_stop(self, number: int, frame: object) -> None:
        self.stop = True

    def save(self) -> None:
        """Write state and averaged weights, each by renaming a whole file."""
        if self.rank:
            return
        tensors = {f'network.{k}': v for k, v in self.network.state_dict().items()}
        tensors |= {f'average.{k}': v for k, v in self.average.module.state_dict().items()}
        state = self.optimiser.state_dict()
        for index, slots in state['state'].items():
            tensors |= {f'optimiser.{index}.{k}': v for k, v in slots.items()}
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        part = self.folder / 'state.part'
        save_file(tensors, part, metadata={
            'step': str(self.step), 'updates': str(self.average.updates),
            'config': json.dumps(self.config.to_dict())})
        os.replace(part, self.folder / 'state.safetensors')
        save(self.folder / 'weights.safetensors', self.average.module, {'step': self.step})

    def resume(self) -> None:
        """Go on from the run's folder if it holds a state of this network."""
        path = self.folder / 'state.safetensors'
        if not path.exists():
            return
        with safe_open(path, 'pt') as file:
            header = file.metadata()
        if json.loads(header['config']) != json.loads(json.dumps(self.config.to_dict())):
            raise ValueError(f'{path} is the state of another network; give another run folder')
        tensors = load_file(path)
        part = {name: {} for name in ('network', 'average', 'optimiser')}
        for key, tensor in tensors.items():
            kind, _, rest = key.partition('.')
            part[kind][rest] = tensor
        self.network.load_state_dict(part['network'])
        self.average.module.load_state_dict(part['average'])
        self.average.updates = int(header['updates'])
        state = self.optimiser.state_dict()
        slots: dict[int, dict] = {}
        for key, tensor in part['optimiser'].items():
            index, _, name = key.partition('.')
            slots.setdefault(int(index), {})[name] = tensor
        state['state'] = slots
        self.optimiser.load_state_dict(state)
        self.step = int(header['step'])


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
    finally:
        if several:
            dist.destroy_process_group()
