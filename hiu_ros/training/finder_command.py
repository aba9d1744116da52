"""`hiu train-finder`: train the network that finds hands in whole frames."""

import argparse
import json
import math
import os
import time
from pathlib import Path


def add_train_finder(subparsers: argparse._SubParsersAction) -> None:
    """Register `hiu train-finder`."""
    parser = subparsers.add_parser(
        'train-finder', help='train the hand finder',
        description='Train the finder on photographs and composed renders. Stops on Ctrl-C with '
                    'its state saved, and goes on from there when called again.')
    parser.add_argument('--folder', type=Path, required=True, help='checkpoints and log')
    parser.add_argument('--photos', default='', help='folder with labels.jsonl')
    parser.add_argument('--renders', nargs='*', default=[], help='render banks')
    parser.add_argument('--backgrounds', default='', help='.npy of background patches')
    parser.add_argument('--leave-out', nargs='*', default=[], help='photo sets not trained on')
    parser.add_argument('--steps', type=int, default=6000)
    parser.add_argument('--batch', type=int, default=24)
    parser.add_argument('--rate', type=float, default=1.5e-3)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--threads', type=int, default=0)
    parser.set_defaults(run=run)


def finder_loss(output, batch: dict):
    """Focal loss of the centres (CenterNet), L1 of offset and size, cross entropy of the side."""
    import torch
    import torch.nn.functional as F

    heat, known = batch['centre'], batch['known']
    chance = output.centre.sigmoid().clamp(1e-4, 1 - 1e-4)
    hit = (heat > 0.999).float()
    focal = -(hit * (1 - chance)**2 * chance.log()
              + (1 - hit) * (1 - heat)**4 * chance**2 * (1 - chance).log())
    hits = hit.sum().clamp_min(1)
    cells = known.sum().clamp_min(1)
    offset = ((output.offset - batch['offset']).abs() * known[:, None]).sum() / cells
    size = ((output.log_size - batch['log_size']).abs() * known).sum() / cells
    side = (F.binary_cross_entropy_with_logits(output.side, batch['side'], reduction='none')
            * known).sum() / cells
    terms = {'centre': focal.sum() / hits, 'offset': offset, 'size': size, 'side': side}
    total = terms['centre'] + 0.5 * offset + size + 0.3 * side
    return total, {k: float(v.detach()) for k, v in terms.items()} | {
        'total': float(torch.as_tensor(total).detach())}


def run(arguments: argparse.Namespace) -> int:
    """Train until the last step or a signal."""
    import signal

    import cv2
    import torch
    from safetensors.torch import load_file, save_file
    from torch.utils.data import DataLoader, Subset
    from tqdm import tqdm

    from hiu_ros.network.finder import Finder, FinderConfig, save_finder
    from hiu_ros.training.averaging import Average
    from hiu_ros.training.finder_scenes import SceneOptions, Scenes

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = FinderConfig()
    model = Finder(config).to(memory_format=torch.channels_last)
    average = Average(model, 0.998)
    optimiser = torch.optim.AdamW(model.parameters(), arguments.rate, weight_decay=0.02)
    step, state = 0, folder / 'state.safetensors'
    if state.exists():
        saved = load_file(state)
        step = int(saved['step'])
        average.updates = step
        model.load_state_dict({k[6:]: v for k, v in saved.items() if k.startswith('model.')})
        average.module.load_state_dict(
            {k[8:]: v for k, v in saved.items() if k.startswith('average.')})
        moments = optimiser.state_dict()
        slots: dict[int, dict] = {}
        for key, value in saved.items():
            if key.startswith('moment.'):
                _, index, name = key.split('.')
                slots.setdefault(int(index), {})[name] = value
        optimiser.load_state_dict({**moments, 'state': slots})
    options = SceneOptions(arguments.photos, tuple(arguments.renders), arguments.backgrounds,
                           leave_out=tuple(arguments.leave_out))
    scenes = Scenes(options, config.long_side, config.long_side, arguments.seed)
    order = range(step * arguments.batch, arguments.steps * arguments.batch)
    stopping = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.append(1))

    def store() -> None:
        tensors = {f'model.{k}': v for k, v in model.state_dict().items()}
        tensors |= {f'average.{k}': v for k, v in average.module.state_dict().items()}
        for index, slots in optimiser.state_dict()['state'].items():
            tensors |= {f'moment.{index}.{k}': v for k, v in slots.items()}
        tensors['step'] = torch.tensor(step)
        save_file({k: v.contiguous().clone() for k, v in tensors.items()}, folder / 'state.part')
        os.replace(folder / 'state.part', state)
        save_finder(folder / 'weights.safetensors', average.module, {'step': step})

    bar = tqdm(total=arguments.steps, initial=step, unit='step', mininterval=5)
    began, first = time.monotonic(), step
    for batch in DataLoader(Subset(scenes, order), arguments.batch):
        done = step / arguments.steps
        for group in optimiser.param_groups:
            group['lr'] = arguments.rate * min(1, (step + 1) / 200) * (
                0.5 * (1 + math.cos(math.pi * done)))
        images = batch.pop('images').permute(0, 3, 1, 2).float() / 127.5 - 1
        model.train()
        with torch.autocast('cpu', torch.bfloat16):
            output = model(images.contiguous(memory_format=torch.channels_last))
        total, terms = finder_loss(output, batch)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        average.update(model)
        step += 1
        bar.update()
        if step % 25 == 0:
            pace = (step - first) * arguments.batch / (time.monotonic() - began)
            bar.set_postfix(loss=f"{terms['total']:.3f}", pace=f'{pace:.0f}/s')
            with open(folder / 'log.jsonl', 'a') as file:
                file.write(json.dumps({'step': step, **terms, 'samples_per_s': pace}) + '\n')
        if stopping or step == arguments.steps or step % 200 == 0:
            store()
        if stopping or step == arguments.steps:
            break
    bar.close()
    return 0
