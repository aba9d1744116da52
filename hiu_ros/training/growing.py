"""A wider network that answers as a narrow one does, so that training goes on where that one was.

`python -m hiu_ros.training.growing NARROW hiu_medium OUT`. The old channels keep their weights and
hear nothing of the new ones, which are drawn at random and learn to be heard (after Net2Net, Chen
et al. 2016, arXiv 1511.05641, with silent new channels in place of copied ones).
"""

import argparse
import re

import numpy as np
import torch
from torch import Tensor

from hiu_ros.network import checkpoint
from hiu_ros.network.checkpoint import CheckpointError
from hiu_ros.network.config import ConfigError, HIUConfig, preset
from hiu_ros.network.hiu import HIU

#: Numbers of a configuration that may grow; the others must stay as they are.
_WIDTHS = ('stem_channels', 'encoder_channels', 'decoder_channels', 'attention_hidden',
           'regressor_channels', 'regressor_hidden')

#: Tensors one of whose axes holds several groups of channels, one after another.
_AFTER_STEM = re.compile(r'(stages\.[1-9]\d*\.encoder\.groups|regressor\.body)\.0\.0\.body\.0\.')
_TASKS_OUT = re.compile(r'.*\.attention\.perceptron\.[045]\.')
_TASKS_IN = re.compile(r'.*\.attention\.perceptron\.([01]\.0|5)\.')
_EVIDENCE = re.compile(r'regressor\.perceptron\.0\.0\.')


def grow(narrow: HIU, config: HIUConfig, seed: int = 0) -> HIU:
    """A network of `config` with the answers of `narrow`, in evaluation mode.

    Raises ValueError where `config` differs in more than widths, is narrower somewhere, has blocks
    other than 'rep', or other shortcuts.
    """
    before, after = narrow.config.to_dict(), config.to_dict()
    kept = [key for key in before if key not in _WIDTHS and key != 'name'
            and before[key] != after[key]]
    if kept or before['block'] != 'rep':
        raise ValueError(f"only widths of 'rep' networks can grow; {narrow.config.name} and "
                         f'{config.name} differ in {kept or "their blocks"}')
    for key in _WIDTHS:
        if np.less(after[key], before[key]).any():
            raise ValueError(f'{key} is {after[key]}, expected at least {before[key]}')
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        wide = HIU(config)
    target = wide.state_dict()
    unlike = target.keys() ^ narrow.state_dict().keys()
    if unlike:
        raise ValueError(f'{config.name} has or lacks {sorted(unlike)[0]}: where two widths of '
                         f'{narrow.config.name} are equal, those of {config.name} must be, too')
    for name, old in narrow.state_dict().items():
        new = target[name]
        places = [_places(few, many) for few, many in zip(
            _groups(name, narrow.config, old), _groups(name, config, new))]
        _copy(old, new, places)
    return wide.eval()


def _groups(name: str, config: HIUConfig, tensor: Tensor) -> list[list[int]]:
    """How the channels that a tensor of the network makes, and those that it hears, divide into
    groups; most are one group."""
    sizes = [[size] for size in tensor.shape[:2]]
    width = config.decoder_channels
    if _TASKS_OUT.match(name) and tensor.ndim:
        sizes[0] = [width] * 3
    if tensor.ndim > 1:
        if _TASKS_IN.match(name):
            sizes[1] = [width] * 3
        elif _AFTER_STEM.match(name):
            sizes[1] = [config.stem_channels[1], width]
        elif _EVIDENCE.match(name):
            features = config.regressor_channels[-1]
            sizes[1] = [features, tensor.shape[1] - features]
    return sizes


def _places(few: list[int], many: list[int]) -> Tensor:
    """Where the channels of the narrow network stand in the wide one: first in their group."""
    starts = [sum(many[:group]) for group in range(len(many))]
    return torch.cat([start + torch.arange(size) for start, size in zip(starts, few)])


def _copy(old: Tensor, new: Tensor, places: list[Tensor]) -> None:
    """Put `old` into `new`; where an old channel would hear a new one, put zeros."""
    if len(places) < 2:
        new[tuple(places) or ...] = old
        return
    rows, columns = places
    new[rows] = 0
    new[rows[:, None], columns] = old


def grow_file(narrow: str, network: str, out: str, seed: int = 0) -> None:
    """Write the weights of preset `network` that answer as those of the file `narrow` do.

    Raises CheckpointError, ConfigError, and ValueError as `grow`.
    """
    checkpoint.save(out, grow(checkpoint.load(narrow), preset(network), seed),
                    checkpoint.read_header(narrow).notes)


def main(arguments: list[str] | None = None) -> None:
    """Command line of growing."""
    parser = argparse.ArgumentParser(
        prog='python -m hiu_ros.training.growing',
        description='Weights of a wider network that answer as those of a narrow one do.')
    parser.add_argument('narrow', metavar='NARROW', help='weights file')
    parser.add_argument('network', metavar='NETWORK', help='preset, e.g. hiu_medium')
    parser.add_argument('out', metavar='OUT')
    parser.add_argument('--seed', type=int, default=0, help='of the new channels')
    a = parser.parse_args(arguments)
    try:
        grow_file(a.narrow, a.network, a.out, a.seed)
    except (CheckpointError, ConfigError, ValueError) as error:
        parser.exit(2, f'{parser.prog}: {error}\n')


if __name__ == '__main__':
    main()
