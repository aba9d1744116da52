"""The optimisers that trainings can be run with, by name."""

from typing import Final

import torch
from torch import nn

from hiu_ros.training.muon import Muon

OPTIMISERS: Final = ('adam', 'adamw', 'muon')


def make_optimiser(
    name: str, network: nn.Module, rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """An optimiser of all weights of a network. Raises ValueError for an unknown name."""
    if name not in OPTIMISERS:
        raise ValueError(f'optimiser is {name!r}, expected one of {OPTIMISERS}')
    if name == 'muon':
        return Muon(network.named_parameters(), rate, weight_decay)
    kind = torch.optim.AdamW if name == 'adamw' else torch.optim.Adam
    return kind(network.parameters(), rate, weight_decay=weight_decay, fused=True)
