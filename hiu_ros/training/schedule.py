"""How a number changes while a training goes on."""

import math

SCHEDULES = ('poly', 'cosine')
POLY_POWER = 0.9


def decay(kind: str, done: float) -> float:
    """Share of the peak rate when the part `done` (0..1) of the steps is over; 1 falling to 0.

    'poly' is (1 - done)^0.9, the paper's; 'cosine' half a period.
    """
    done = min(max(done, 0.0), 1.0)
    if kind == 'poly':
        return (1 - done) ** POLY_POWER
    if kind == 'cosine':
        return 0.5 * (1 + math.cos(math.pi * done))
    raise ValueError(f'schedule {kind!r}, expected one of {SCHEDULES}')


def learning_rate(step: int, steps: int, peak: float, kind: str, warmup: int = 0) -> float:
    """Rate of a step: linear warm-up over `warmup` steps, then `decay` to zero at `steps`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * decay(kind, (step - warmup) / max(1, steps - warmup))


def ramp(step: int, start: int, length: int) -> float:
    """0 before `start`, 1 from `start + length` on, linear between."""
    if step < start:
        return 0.0
    return 1.0 if length <= 0 else min(1.0, (step - start + 1) / length)


def narrowing(step: int, factor: float, steps: int) -> float:
    """What heat maps' width is multiplied by: `factor` at step 0, 1 from `steps` on, geometric."""
    return factor ** max(0.0, 1 - step / steps) if steps > 0 else 1.0
