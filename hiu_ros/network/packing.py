"""Weights in fewer bytes: kernels as whole numbers of 8 bits, with a scale for each output.

Of a trained network the rounding is about a hundredth of each kernel (root mean square). Answers
move by it a little, so what ships is what has to be measured.
"""

import torch
from torch import Tensor

#: Tensors of fewer numbers, such as those of batch norms, stay in half precision.
LEAST = 4096
#: Largest weights of an output channel that are tried, as shares of its largest: what a few lose
#: by being cut the others may gain in steps.
_CUTS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
_STEPS = 127


def packable(tensor: Tensor) -> bool:
    """Whether a tensor is one of many weights for each output channel."""
    return tensor.is_floating_point() and tensor.ndim >= 2 and tensor.numel() >= LEAST


def pack(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """A kernel (C, ...) as int8 numbers (C, ...) and scales (C,) float32; their product is near.

    Each scale is the one, of a few, that leaves the least sum of squared errors.
    """
    rows = kernel.detach().float().flatten(1)
    largest = rows.abs().amax(1, keepdim=True).clamp_min(1e-12)
    best = torch.full_like(largest, torch.inf)
    scale = largest / _STEPS
    for cut in _CUTS:
        tried = cut * largest / _STEPS
        error = ((_rounded(rows, tried) * tried - rows) ** 2).sum(1, keepdim=True)
        scale = torch.where(error < best, tried, scale)
        best = torch.minimum(error, best)
    numbers = _rounded(rows, scale).to(torch.int8).reshape(kernel.shape)
    return numbers.contiguous(), scale[:, 0].contiguous()


def unpack(numbers: Tensor, scale: Tensor) -> Tensor:
    """The kernel (C, ...) float32 of what `pack` returned."""
    return numbers.float() * scale.float().reshape(-1, *[1] * (numbers.ndim - 1))


def _rounded(rows: Tensor, scale: Tensor) -> Tensor:
    return (rows / scale).round().clamp(-_STEPS, _STEPS)
