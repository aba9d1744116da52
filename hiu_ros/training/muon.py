"""Muon: steps along the nearest orthogonal matrix of the momentum, for the weights of layers."""

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

#: Quintic iteration that drives all singular values towards one (Jordan et al. 2024, 'Muon').
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonal(matrix: Tensor, turns: int = 5) -> Tensor:
    """About the nearest (semi-)orthogonal matrix of (..., m, n): singular values 0.7 to 1.2.

    The iteration multiplies by polynomials of the matrix times its transpose. They are multiplied
    up on the shorter side, which for convolutions is a tenth of the longer one.
    """
    x = matrix / (matrix.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    wide = x.shape[-2] <= x.shape[-1]
    x = x if wide else x.mT
    gram = x @ x.mT
    one = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    whole = one
    for turn in range(turns):
        factor = _A * one + _B * gram + _C * (gram @ gram)
        whole = factor @ whole if turn else factor
        if turn + 1 < turns:
            gram = factor @ gram @ factor
    x = whole @ x
    return x if wide else x.mT


def orthogonal_all(matrices: Sequence[Tensor]) -> list[Tensor]:
    """`orthogonal` of each, those of one shape together: on a GPU every single call costs."""
    rows: dict[torch.Size, list[int]] = {}
    for row, matrix in enumerate(matrices):
        rows.setdefault(matrix.shape, []).append(row)
    answers = list(matrices)
    for alike in rows.values():
        for row, answer in zip(alike, orthogonal(torch.stack([matrices[r] for r in alike]))):
            answers[row] = answer
    return answers


def shared_out(costs: Sequence[float], count: int) -> list[int]:
    """Who of `count` does what: the most costly first, each to the one with the least so far."""
    loads, owners = [0.0] * count, [0] * len(costs)
    for index in sorted(range(len(costs)), key=lambda i: -costs[i]):
        owners[index] = loads.index(min(loads))
        loads[owners[index]] += costs[index]
    return owners


class Muon(torch.optim.Optimizer):
    """Muon for convolutions and linear layers, AdamW for heads, biases, norms and 1x1 branches.

    torch's own takes matrices only; here a convolution counts as the matrix (out, in * k * k).
    An orthogonal step of (m, n) is multiplied by 0.2 sqrt(max(m, n)), so that it is as long as
    AdamW's and one rate serves both (Liu et al. 2025, arXiv 2502.16982). Of several processes,
    each makes a share of the orthogonal steps and gets the others' from them.
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], rate: float,
                 weight_decay: float = 0.0, momentum: float = 0.95,
                 betas: tuple[float, float] = (0.9, 0.999)):
        named = list(named)
        layers = [p for name, p in named if _is_layer(name, p)]
        others = [p for name, p in named if not _is_layer(name, p)]
        super().__init__([{'params': layers, 'orthogonal': True},
                          {'params': others, 'orthogonal': False}],
                         {'lr': rate, 'weight_decay': weight_decay, 'momentum': momentum,
                          'betas': betas})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One step from the gradients that are there."""
        for group in self.param_groups:
            weights = [weight for weight in group['params'] if weight.grad is not None]
            if weights:
                make = self._muon if group['orthogonal'] else self._adam
                updates = make(weights, group)
                torch._foreach_mul_(weights, 1 - group['lr'] * group['weight_decay'])
                torch._foreach_add_(weights, updates, alpha=-group['lr'])

    def _muon(self, weights: list[Tensor], group: dict) -> list[Tensor]:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]['momentum'] = torch.zeros_like(weight)
        gradients = [weight.grad for weight in weights]
        moments = [self.state[weight]['momentum'] for weight in weights]
        torch._foreach_mul_(moments, group['momentum'])
        torch._foreach_add_(moments, gradients)
        ahead = torch._foreach_add(gradients, moments, alpha=group['momentum'])
        ahead = [one.flatten(1) for one in ahead]
        several = dist.is_initialized() and dist.get_world_size() > 1
        rank, count = (dist.get_rank(), dist.get_world_size()) if several else (0, 1)
        owners = shared_out([_cost(one) for one in ahead], count)
        ours = [one for one, owner in zip(ahead, owners) if owner == rank]
        made = orthogonal_all(ours)
        if ours:
            torch._foreach_mul_(made, [0.2 * max(one.shape) ** 0.5 for one in ours])
        if several:
            whose = iter(made)
            steps = torch.cat([(next(whose) if owner == rank else torch.zeros_like(one)).flatten()
                               for one, owner in zip(ahead, owners)])
            dist.all_reduce(steps)
            made = steps.split([one.numel() for one in ahead])
        return [one.view(weight.shape) for one, weight in zip(made, weights)]

    def _adam(self, weights: list[Tensor], group: dict) -> list[Tensor]:
        slow, slower = group['betas']
        for weight in weights:
            if not self.state[weight]:
                self.state[weight].update(step=torch.zeros(()), mean=torch.zeros_like(weight),
                                          square=torch.zeros_like(weight))
        states = [self.state[weight] for weight in weights]
        steps, means, squares = (
            [state[name] for state in states] for name in ('step', 'mean', 'square'))
        gradients = [weight.grad for weight in weights]
        torch._foreach_add_(steps, 1)
        torch._foreach_lerp_(means, gradients, 1 - slow)
        torch._foreach_mul_(squares, slower)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - slower)
        counts = [step.item() for step in steps]
        ahead = torch._foreach_div(means, [1 - slow ** count for count in counts])
        roots = torch._foreach_div(squares, [1 - slower ** count for count in counts])
        torch._foreach_sqrt_(roots)
        torch._foreach_add_(roots, 1e-8)
        torch._foreach_div_(ahead, roots)
        return ahead


def _cost(matrix: Tensor) -> float:
    """Multiplications of `orthogonal`, but for a factor: products on the shorter side."""
    short, long = sorted(matrix.shape)
    return short * short * (2 * long + 14 * short)


def _is_layer(name: str, weight: Tensor) -> bool:
    """Whether a weight is a layer's between the first and the heads. The 1x1 branches of `RepConv`
    are not: they are added to a kernel that is."""
    return (weight.ndim >= 2 and 'head' not in name and not name.endswith('.point')
            and min(weight.flatten(1).shape) > 1)
