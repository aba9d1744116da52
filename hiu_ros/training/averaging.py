"""Exponential moving average of a network's weights."""

import copy

import torch
from torch import nn


class Average:
    """Keeps `module`, a copy whose floating tensors follow the trained ones slowly.

    The decay warms up, min(decay, (1 + t) / (10 + t)), so that early steps are forgotten.
    """

    def __init__(self, source: nn.Module, decay: float):
        self.decay = decay
        self.updates = 0
        self.module = copy.deepcopy(source).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, source: nn.Module) -> None:
        """One step towards `source`."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        ours, theirs = self.module.state_dict(), source.state_dict()
        floats = [k for k in ours if ours[k].is_floating_point()]
        torch._foreach_lerp_([ours[k] for k in floats], [theirs[k] for k in floats], 1 - decay)
        for key in ours.keys() - set(floats):
            ours[key].copy_(theirs[key])
