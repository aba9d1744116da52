"""Where held and occluding things are, and what they look like."""

from dataclasses import dataclass

import numpy as np

from hiu_ros.data.renders import primitives
from hiu_ros.data.renders.appearance import PATTERNS, sample_colour
from hiu_ros.data.renders.poses import uniform_rotation

_MCPS, _PIPS, _TIPS = [5, 9, 13, 17], [6, 10, 14, 18], [8, 12, 16, 20]
_ROUND = ('cylinder', 'bottle', 'cup', 'box')
#: Half of a finger's thickness (m).
_FLESH = 0.009


@dataclass
class Thing:
    """A thing in the frame its maker names; `local` are the coordinates its pattern lives in."""

    vertices: np.ndarray
    local: np.ndarray
    pattern: int
    frequency: float
    one: np.ndarray
    two: np.ndarray
    gloss: float


def _frame(axis: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotation (3, 3) that takes z to the axis, with a random turn about it."""
    z = axis / (np.linalg.norm(axis) + 1e-9)
    x = np.cross(rng.normal(size=3), z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], 1)


def _painted(kind: str, half: np.ndarray, rotation: np.ndarray, centre: np.ndarray,
             rng: np.random.Generator) -> Thing:
    local = primitives.build(kind, half, rng)
    one = sample_colour(rng)
    pattern = int(rng.integers(len(PATTERNS))) if rng.random() < 0.6 else 0
    return Thing(local @ rotation.T + centre, local, pattern, float(np.exp(rng.uniform(2.6, 4.6))),
                 one, sample_colour(rng), float(rng.beta(1, 2) * 0.6))


def _circle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and radius of the circle through three points (3,); radius inf if on a line."""
    u, v = b - a, c - a
    n = np.cross(u, v)
    square = n @ n
    if square < 1e-14:
        return b, np.inf
    offset = (np.cross(n, u) * (v @ v) + np.cross(v, n) * (u @ u)) / (2 * square)
    return a + offset, float(np.linalg.norm(offset))


def held_thing(keypoints: np.ndarray, rng: np.random.Generator) -> Thing:
    """Something in the grasp of a hand with these keypoints (21, 3), in the keypoints' frame."""
    across = keypoints[5] - keypoints[17]
    across = across / np.linalg.norm(across)
    palm = keypoints[_MCPS].mean(0)
    along = palm - keypoints[0]
    outwards = np.cross(along, across)
    outwards = outwards / np.linalg.norm(outwards)
    tips = keypoints[_TIPS].mean(0)
    pinch = keypoints[4] - keypoints[8]
    if np.linalg.norm(pinch) < 0.035 and rng.random() < 0.75:
        return _pinched(keypoints, rng)
    inside = palm - 0.012 * np.sign(outwards @ (palm - tips) + 1e-9) * outwards
    centre, radius = _circle(inside, keypoints[_PIPS].mean(0), tips)
    bend = np.linalg.norm(tips - palm)
    if radius < 0.055 and bend < 0.085:
        radius = np.clip(radius - _FLESH, 0.006, 0.046)
        axis = across + rng.normal(0, 0.12, 3)
        if rng.random() < 0.22:
            half = np.full(3, max(radius, 0.015)) * rng.uniform(0.9, 1.1, 3)
            return _painted(str(rng.choice(['ball', 'ellipsoid'])), half, uniform_rotation(rng),
                            centre, rng)
        kind = 'stick' if radius < 0.010 else str(rng.choice(_ROUND))
        length = rng.uniform(0.05, 0.13)
        half = np.array([radius, radius, length])
        return _painted(kind, half, _frame(axis * rng.choice([-1, 1]), rng),
                        centre + axis * rng.uniform(-0.4, 0.4) * length, rng)
    # A flat hand: something lies on the palm or the fingers' inner side.
    side = outwards if outwards @ (tips - palm) >= 0 else -outwards
    if abs(outwards @ (tips - palm)) < 0.015:
        side = np.cross(across, keypoints[9] - keypoints[0])
        side = side / np.linalg.norm(side)
    kind = str(rng.choice(['slab', 'slab', 'ball', 'box', 'cup']))
    if kind == 'slab':
        half = np.array([rng.uniform(0.024, 0.038), rng.uniform(0.003, 0.006),
                         rng.uniform(0.045, 0.080)])
        z = along / np.linalg.norm(along) + across * rng.normal(0, 0.3)
        z /= np.linalg.norm(z)
        x = np.cross(side, z)
        x /= np.linalg.norm(x)
        rotation = np.stack([x, np.cross(z, x), z], 1)
        return _painted(kind, half, rotation, palm + side * (0.013 + half[1]), rng)
    radius = rng.uniform(0.018, 0.045)
    half = np.array([radius, radius, radius * rng.uniform(0.9, 1.8)])
    return _painted(kind, half, _frame(side, rng), palm + side * (0.012 + half[2]), rng)


def _pinched(keypoints, rng):
    middle = (keypoints[4] + keypoints[8]) / 2
    away = middle - (0.6 * keypoints[5] + 0.4 * keypoints[2])
    kind = str(rng.choice(['stick', 'stick', 'slab', 'ball', 'box']))
    gap = np.linalg.norm(keypoints[4] - keypoints[8])
    if kind == 'stick':
        radius, length = rng.uniform(0.003, 0.006), rng.uniform(0.05, 0.09)
        axis = away / np.linalg.norm(away) + rng.normal(0, 0.35, 3)
        axis /= np.linalg.norm(axis)
        return _painted(kind, np.array([radius, radius, length]), _frame(axis, rng),
                        middle - axis * rng.uniform(-0.1, 0.5) * length, rng)
    if kind == 'slab':
        half = np.array([rng.uniform(0.02, 0.045), 0.0015, rng.uniform(0.03, 0.07)])
        z = away / np.linalg.norm(away)
        x = np.cross(keypoints[4] - keypoints[8], z)
        x /= np.linalg.norm(x) + 1e-9
        rotation = np.stack([x, np.cross(z, x), z], 1)
        return _painted(kind, half, rotation, middle + z * half[2] * 0.85, rng)
    half = np.full(3, max(gap / 2 - 0.004, 0.008)) * rng.uniform(0.9, 1.3, 3)
    return _painted(kind, half, uniform_rotation(rng), middle, rng)


def front_thing(target: np.ndarray, rng: np.random.Generator) -> Thing:
    """Something between the camera and a point (3,) of the hand, in the camera's frame."""
    nearer = rng.uniform(0.62, 0.90)
    radius = rng.uniform(0.010, 0.034) * nearer
    kind = str(rng.choice(primitives.KINDS))
    half = radius * np.array([1, rng.uniform(0.3, 1.2), rng.uniform(0.8, 4.0)])
    if kind == 'stick':
        half = np.array([0.004, 0.004, 0.15])
    centre = target * nearer + rng.normal(0, 0.02, 3)
    return _painted(kind, half, uniform_rotation(rng), centre, rng)
