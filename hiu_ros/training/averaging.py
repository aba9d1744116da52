"""Weights between those of two networks, and the moving average of one in training."""

import copy

import torch
from torch import nn


@torch.no_grad()
def move(module: nn.Module, target: nn.Module, share: float) -> None:
    """Move the floating tensors of `module`, batch norms' statistics among them, by `share` of the
    way (0..1) to those of `target`; the other ones are taken over. Both have the same tensors."""
    ours, theirs = module.state_dict(), target.state_dict()
    floats = [k for k in ours if ours[k].is_floating_point()]
    torch._foreach_lerp_([ours[k] for k in floats], [theirs[k] for k in floats], share)
    for key in ours.keys() - set(floats):
        ours[key].copy_(theirs[key])


class Average:
    """Keeps `module`, a copy whose floating tensors follow the trained ones slowly.

    The decay warms up, min(decay, (1 + t) / (10 + t)), so that early steps are forgotten.
    """

    def __init__(self, source: nn.Module, decay: float):
        self.decay = decay
        self.updates = 0
        self.module = copy.deepcopy(source).eval().requires_grad_(False)

    def update(self, source: nn.Module) -> None:
        """One step towards `source`."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        move(self.module, source, 1 - decay)
