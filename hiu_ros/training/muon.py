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
            make = self._muon if group['orthogonal'] else self._adam
            for weight, update in zip(weights, make(weights, group)):
                weight.mul_(1 - group['lr'] * group['weight_decay'])
                weight.add_(update, alpha=-group['lr'])

    def _muon(self, weights: list[Tensor], group: dict) -> list[Tensor]:
        if not weights:
            return []
        ahead = []
        for weight in weights:
            state = self.state[weight]
            if not state:
                state['momentum'] = torch.zeros_like(weight)
            moment = state['momentum'].mul_(group['momentum']).add_(weight.grad)
            ahead.append(weight.grad.add(moment, alpha=group['momentum']).flatten(1))
        several = dist.is_initialized() and dist.get_world_size() > 1
        rank, count = (dist.get_rank(), dist.get_world_size()) if several else (0, 1)
        owners = shared_out([_cost(one) for one in ahead], count)
        ours = iter(orthogonal_all(
            [one for one, owner in zip(ahead, owners) if owner == rank]))
        steps = torch.cat([
            next(ours).mul(0.2 * max(one.shape) ** 0.5).flatten() if owner == rank
            else one.new_zeros(one.numel()) for one, owner in zip(ahead, owners)])
        if several:
            dist.all_reduce(steps)
        parts = steps.split([one.numel() for one in ahead])
        return [part.view(weight.shape) for part, weight in zip(parts, weights)]

    def _adam(self, weights: list[Tensor], group: dict) -> list[Tensor]:
        return [self._adam_step(weight, group) for weight in weights]

    def _adam_step(self, weight: Tensor, group: dict) -> Tensor:
        state, (slow, slower) = self.state[weight], group['betas']
        if not state:
            state['step'] = torch.zeros(())
            state['mean'], state['square'] = torch.zeros_like(weight), torch.zeros_like(weight)
        state['step'] += 1
        state['mean'].lerp_(weight.grad, 1 - slow)
        state['square'].mul_(slower).addcmul_(weight.grad, weight.grad, value=1 - slower)
        mean = state['mean'] / (1 - slow ** state['step'].item())
        square = state['square'] / (1 - slower ** state['step'].item())
        return mean / (square.sqrt() + 1e-8)


def _cost(matrix: Tensor) -> float:
    """Multiplications of `orthogonal`, but for a factor: products on the shorter side."""
    short, long = sorted(matrix.shape)
    return short * short * (2 * long + 14 * short)


def _is_layer(name: str, weight: Tensor) -> bool:
    """Whether a weight is a layer's between the first and the heads. The 1x1 branches of `RepConv`
    are not: they are added to a kernel that is."""
    return (weight.ndim >= 2 and 'head' not in name and not name.endswith('.point')
            and min(weight.flatten(1).shape) > 1)
