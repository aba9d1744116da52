"""A larger network that answers as a smaller one does, so that training goes on where that was.

`python -m hiu_ros.training.growing SMALL hiu_medium OUT`. The old channels keep their weights and
hear nothing of the new ones, which are drawn at random and learn to be heard (after Net2Net, Chen
et al. 2016, arXiv 1511.05641, with silent new channels in place of copied ones). New blocks add
nothing to their shortcuts at first: the gain of their last norm is zero (Goyal et al. 2017, arXiv
1706.02677).
"""

import argparse
import re
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from hiu_ros.command_errors import in_one_line
from hiu_ros.network import checkpoint
from hiu_ros.network.config import HIUConfig, preset
from hiu_ros.network.finder import Finder, FinderConfig, load_finder, save_finder
from hiu_ros.network.hiu import HIU

_Network = TypeVar('_Network', HIU, Finder)

#: Numbers of a configuration that may grow; the others must stay as they are.
_WIDTHS = ('stem_channels', 'encoder_channels', 'decoder_channels', 'attention_hidden',
           'regressor_channels', 'regressor_hidden')
_DEPTHS = ('encoder_blocks', 'regressor_blocks')

#: Tensors one of whose axes holds several groups of channels, one after another.
_AFTER_STEM = re.compile(r'(stages\.[1-9]\d*\.encoder\.groups|regressor\.body)\.0\.0\.body\.0\.')
_TASKS_OUT = re.compile(r'.*\.attention\.perceptron\.[045]\.')
_TASKS_IN = re.compile(r'.*\.attention\.perceptron\.([01]\.0|5)\.')
#: Level and number of a block that a tensor belongs to.
_BLOCK = re.compile(r'(?:stages\.\d+\.(encoder)\.groups|regressor\.body)\.(\d+)\.(\d+)\.')
_EVIDENCE = re.compile(r'regressor\.perceptron\.0\.0\.')


def grow(small: HIU, config: HIUConfig, seed: int = 0) -> HIU:
    """A network of `config` with the answers of `small`, in evaluation mode.

    Raises ValueError where `config` differs in more than widths and numbers of blocks, is smaller
    somewhere, has blocks other than 'rep', or other shortcuts.
    """
    before, after = small.config.to_dict(), config.to_dict()
    kept = [key for key in before if key not in (*_WIDTHS, *_DEPTHS, 'name')
            and before[key] != after[key]]
    if kept or before['block'] != 'rep':
        raise ValueError("only widths and numbers of blocks of 'rep' networks can grow; "
                         f'{small.config.name} and {config.name} differ in '
                         f'{kept or "their blocks"}')
    for key in (*_WIDTHS, *_DEPTHS):
        if (np.shape(after[key]) != np.shape(before[key])
                or np.less(after[key], before[key]).any()):
            raise ValueError(f'{key} is {after[key]}, expected at least {before[key]}')
    large = _drawn(HIU, config, seed)
    target = large.state_dict()
    new = {name for name in target if _is_new_block(name, small.config)}
    for name in new:
        if name.endswith('.body.1.norm.weight'):
            target[name].zero_()
    unlike = sorted((target.keys() - new) ^ small.state_dict().keys())
    if unlike:
        raise ValueError(f'{config.name} has or lacks {unlike[0]}: where two widths of '
                         f'{small.config.name} are equal, those of {config.name} must be, too')
    for name, old in small.state_dict().items():
        places = [_places(few, many) for few, many in zip(
            _groups(name, small.config, old), _groups(name, config, target[name]))]
        _copy(old, target[name], places)
    return large.eval()


def grow_finder(small: Finder, config: FinderConfig, seed: int = 0) -> Finder:
    """A finder of `config` with the answers of `small`, in evaluation mode.

    Raises ValueError where `config` is narrower somewhere.
    """
    if np.less(config.channels, small.config.channels).any():
        raise ValueError(f'channels are {config.channels}, expected at least '
                         f'{small.config.channels}')
    large = _drawn(Finder, config, seed)
    target = large.state_dict()
    for name, old in small.state_dict().items():
        _copy(old, target[name], [torch.arange(size) for size in old.shape[:2]])
    return large.eval()


def _drawn(kind: type[_Network], config: HIUConfig | FinderConfig, seed: int) -> _Network:
    """A new network whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(config)


def _is_new_block(name: str, small: HIUConfig) -> bool:
    """Whether a tensor is one of a block that a network of `small` does not have."""
    block = _BLOCK.match(name)
    if not block:
        return False
    blocks = small.encoder_blocks if block[1] else small.regressor_blocks
    return int(block[3]) >= blocks[int(block[2])]


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
    """Where the channels of the small network stand in the large one: first in their group."""
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


def grow_file(small: str, network: str, out: str, seed: int = 0) -> None:
    """Write the weights of preset `network` that answer as those of the file `small` do.

    'finder' is the shipped finder's configuration. Raises CheckpointError, ConfigError, and
    ValueError as `grow`.
    """
    checkpoint.keep_inputs(out, small)
    notes = checkpoint.read_header(small).notes
    if network == 'finder':
        save_finder(out, grow_finder(load_finder(small), FinderConfig(), seed), notes)
    else:
        checkpoint.save(out, grow(checkpoint.load(small, fitted=False), preset(network),
                                  seed), notes)


def main(arguments: list[str] | None = None) -> None:
    """Command line of growing."""
    parser = argparse.ArgumentParser(
        prog='python -m hiu_ros.training.growing',
        description='Weights of a larger network that answer as those of a smaller one do.')
    parser.add_argument('small', metavar='SMALL', help='weights file')
    parser.add_argument('network', metavar='NETWORK', help='preset, e.g. hiu_medium, or finder')
    parser.add_argument('out', metavar='OUT')
    parser.add_argument('--seed', type=int, default=0, help='of the new channels')
    a = parser.parse_args(arguments)
    with in_one_line(parser):
        grow_file(a.small, a.network, a.out, a.seed)


if __name__ == '__main__':
    main()
