"""Meshes of things that hands hold: one topology (rings of a lathe) for every kind."""

import numpy as np

RINGS = 12
SEGMENTS = 24
VERTEX_COUNT = RINGS * SEGMENTS
KINDS = ('cylinder', 'bottle', 'cup', 'cone', 'ball', 'ellipsoid', 'box', 'slab', 'stick')


def faces() -> np.ndarray:
    """Triangles (F, 3), counter-clockwise seen from outside."""
    ring, segment = np.meshgrid(np.arange(RINGS - 1), np.arange(SEGMENTS), indexing='ij')
    a = ring * SEGMENTS + segment
    b = ring * SEGMENTS + (segment + 1) % SEGMENTS
    c, d = a + SEGMENTS, b + SEGMENTS
    return np.stack([np.stack([a, b, d], -1), np.stack([a, d, c], -1)], 2).reshape(-1, 3)


def _cap(points: list[tuple[float, float]]) -> np.ndarray:
    """Profile with closed ends, padded to RINGS by repeating its last point."""
    rows = [(0.0, points[0][1]), *points, (0.0, points[-1][1])]
    rows += [rows[-1]] * (RINGS - len(rows))
    return np.array(rows[:RINGS])


def _profile(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """(radius, height) rows with radius up to 1 and height -1..1, and the section's exponent."""
    if kind in ('cylinder', 'stick'):
        return _cap([(0.94, -1), (1, -0.97), (1, -0.5), (1, 0), (1, 0.5), (1, 0.97), (0.94, 1)]), 2
    if kind == 'bottle':
        neck = rng.uniform(0.25, 0.5)
        return _cap([(0.9, -1), (1, -0.94), (1, -0.2), (1, 0.2), (0.9, 0.4), (neck, 0.65),
                     (neck, 0.85), (1.15 * neck, 0.87), (1.15 * neck, 1)]), 2
    if kind == 'cup':
        foot = rng.uniform(0.6, 0.9)
        return _cap([(foot, -1), (foot + 0.03, -0.97), (0.5 * foot + 0.5, 0), (1, 0.95), (1, 1),
                     (0.92, 1), (0.9, 0.9)]), 2
    if kind == 'cone':
        return _cap([(1, -1), (1, -0.97), (0.7, -0.4), (0.4, 0.2), (0.1, 0.8), (0.02, 1)]), 2
    if kind in ('ball', 'ellipsoid'):
        angle = np.linspace(-np.pi / 2, np.pi / 2, RINGS)
        return np.stack([np.cos(angle), np.sin(angle)], 1), 2
    return _cap([(0.93, -1), (1, -0.96), (1, -0.5), (1, 0), (1, 0.5), (1, 0.96), (0.93, 1)]), \
        float(rng.uniform(6, 16))


def build(kind: str, half_size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vertices (VERTEX_COUNT, 3) of a thing centred at 0 with its axis along z.

    half_size: (3,) metres; the thing fills -half_size..half_size. ValueError on an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f'unknown kind of object {kind!r}; choose one of {", ".join(KINDS)}')
    profile, power = _profile(kind, rng)
    angle = np.arange(SEGMENTS) * 2 * np.pi / SEGMENTS
    x, y = np.cos(angle), np.sin(angle)
    reach = (np.abs(x) ** power + np.abs(y) ** power) ** (-1 / power)
    section = np.stack([x * reach, y * reach], 1)
    flat = profile[:, None, :1] * section[None]
    height = np.broadcast_to(profile[:, None, 1:], (RINGS, SEGMENTS, 1))
    return np.concatenate([flat, height], 2).reshape(-1, 3) * half_size
