"""What a network costs: parameters and multiply-accumulates, module by module.

Counted on PyTorch's `meta` device: nothing is computed, no memory is taken, and a network of any
size is measured in a second. Only convolutions and matrix products count, as is usual.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hiu_ros.network.config import HIUConfig
from hiu_ros.network.finder import Finder, FinderConfig
from hiu_ros.network.hiu import HIU, Stage

#: Modules that are listed by their parts.
_CONTAINERS = (nn.ModuleList, Stage)


@dataclass(frozen=True)
class ModuleCost:
    """One row: `macs` are multiply-accumulates of one image, all calls of the module together."""

    name: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class Cost:
    """A network's total and its modules. `answer_macs`: without what only training needs."""

    input_shape: tuple[int, int]  #: height, width
    parameters: int
    macs: int
    answer_macs: int
    modules: tuple[ModuleCost, ...]


@lru_cache
def cost(config: HIUConfig | FinderConfig, height: int | None = None,
         fitted: tuple[str, ...] = ()) -> Cost:
    """Cost of one image of the configuration's size; `height` is for the finder's frames (px).

    The finder's default is a frame of 4 : 3. Raises ValueError for a height it cannot take.
    fitted: parts of a hand network beside those that are trained, as of `HIU.add_fitted`.
    """
    with torch.device('meta'):
        if isinstance(config, HIUConfig):
            model, shape = HIU(config), (config.input_size,) * 2
            model.add_fitted(fitted)
            model.eval()
        else:
            model = Finder(config).eval()
            shape = (height or config.long_side * 3 // 4 // 32 * 32, config.long_side)
        images = torch.zeros(1, 3, *shape)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(images)
        answer = counter
        if isinstance(model, HIU):
            with FlopCounterMode(display=False) as answer, torch.no_grad():
                model(images, last_only=True)
    flops = counter.get_flop_counts()
    root = type(model).__name__
    rows = tuple(
        ModuleCost(name, parameter_count(module),
                   sum(flops.get(f'{root}.{name}', {}).values()) // 2)
        for name, module in _listed(model)
    )
    return Cost(shape, parameter_count(model), counter.get_total_flops() // 2,
                answer.get_total_flops() // 2, rows)


def parameter_count(module: nn.Module) -> int:
    """Trained numbers of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def _listed(module: nn.Module, prefix: str = '') -> list[tuple[str, nn.Module]]:
    rows = []
    for name, child in module.named_children():
        if isinstance(child, _CONTAINERS):
            rows += _listed(child, f'{prefix}{name}.')
        else:
            rows.append((prefix + name, child))
    return rows
