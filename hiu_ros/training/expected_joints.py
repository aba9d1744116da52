"""Where a follower would expect a hand's joints: labels with a follower's errors.

A follower expects the joints where it read them a frame ago, moved on. Mostly they are off as its
readings are (a joint here and there, a finger taken for its neighbour) and as hands move (the
hand a little off, turned, larger; fingers bent further). But a hand may also have been lost in
part, or taken for two, and what was expected wrongly once must not be read again: so some are off
by far, and no less sure. The crop goes about the expected joints and not about the hand.
"""

import numpy as np

from hiu_ros.geometry.crop import NETWORK_SCALE, Crop

Rng = np.random.Generator
#: First joints of thumb to pinky.
_FIRST = (1, 5, 9, 13, 17)
#: Share of hands two of whose fingers are swapped.
_SWAPPED = 0.05
#: Least and most deviation of: how far fingers bend at each joint (degrees), where the hand is and
#: where single joints are (of its size). Each is drawn anew for each crop. Readings of rendered
#: videos, moved on, are off by 0.01 in the median and 0.1 in three of a hundred, and joints about
#: the hand's middle by 0.03 and 0.12.
_BENT, _AWAY, _ASTRAY = (1.0, 12.0), (0.003, 0.08), (0.004, 0.03)
#: Deviations of the hand's turn (degrees), of the logarithms of its size and of bones' lengths.
_TURNED, _GROWN, _LONGER = 3.0, 0.04, 0.05
#: Share of hands that are expected wrongly, and the same deviations of these.
_WRONG, _WRONG_BENT, _WRONG_AWAY = 0.35, (5.0, 40.0), (0.05, 0.3)
_WRONG_TURNED, _WRONG_GROWN = 20.0, 0.25
#: Of those: share that are expected in two places, and how far the second one is, of their size.
_TORN, _TORN_AWAY = 0.35, (0.2, 0.8)
#: Of hands that are expected beside the hand: share on its arm, deviation from the arm's direction
#: (degrees), how far in hand sizes, and how they are turned (radians).
_ON_ARM, _ARM_TURNED, _BESIDE, _ASTRAY_TURNED = 0.65, 20.0, (0.6, 1.4), 1.2
#: Share of unsure joints, of hands whose joints all are, and how far these are off at most, of the
#: hand's size. A heat map as wide as that gives the score `exp(-2 (spread / _SPREAD)^2)`.
_UNSURE, _BLURRED, _UNSURE_AWAY, _SPREAD = 0.12, 0.2, 0.13, 0.13


def expected_of(keypoints: np.ndarray, rng: Rng) -> np.ndarray:
    """(21, 3) x, y and how sure, of a hand whose joints are (21, 2), px; zeros where a joint has
    no label."""
    points = np.asarray(keypoints, dtype=np.float64)
    known = np.isfinite(points).all(axis=1)
    if known.sum() < 2:
        return np.zeros((len(points), 3))
    wrong = rng.random() < _WRONG
    points = _bent(points, _between(_WRONG_BENT if wrong else _BENT, rng), rng)
    size = float(np.ptp(points[known], axis=0).max())
    if rng.random() < _SWAPPED:
        finger = int(rng.integers(1, 4))
        a, b = (slice(_FIRST[k], _FIRST[k] + 4) for k in (finger, finger + 1))
        points[a], points[b] = points[b].copy(), points[a].copy()
        known &= np.isfinite(points).all(axis=1)
    if wrong and rng.random() < _TORN:
        points = _torn(points, size, rng)
    points = points + rng.normal(0, size * _between(_ASTRAY, rng), points.shape)
    spread = np.where(rng.random(len(points)) < _UNSURE,
                      rng.uniform(0, _UNSURE_AWAY, len(points)), 0.0)
    if rng.random() < _BLURRED:
        spread = np.maximum(spread, rng.uniform(0, _UNSURE_AWAY))
    points += spread[:, None] * size * rng.normal(0, 1, points.shape)
    sure = np.exp(-2 * (spread / _SPREAD) ** 2) * rng.uniform(0.75, 1, len(points))
    middle = (points[known].min(axis=0) + points[known].max(axis=0)) / 2
    turn = np.radians(rng.normal(0, _WRONG_TURNED if wrong else _TURNED))
    grow = np.exp(rng.normal(0, _WRONG_GROWN if wrong else _GROWN))
    away = rng.normal(0, size * _between(_WRONG_AWAY if wrong else _AWAY, rng), 2)
    points = _moved(points, middle, turn, grow) + away
    return np.where(known[:, None], np.column_stack([points, sure]), 0)


def expected_nowhere(keypoints: np.ndarray, side: int, rng: Rng) -> np.ndarray:
    """The same for a crop of `side` px that shows no hand: any hand's joints (21, 2), brought to
    its middle."""
    points = np.asarray(keypoints, dtype=np.float64)
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    scale = side / NETWORK_SCALE / max(float((high - low).max()), 1e-3) * rng.uniform(0.7, 1.1)
    middle = (low + high) / 2
    points = _moved(points, middle, rng.uniform(-np.pi, np.pi), scale) - middle
    return expected_of(points + (side - 1) / 2, rng).astype(np.float32)


def astray(expected: np.ndarray, rng: Rng) -> np.ndarray:
    """Joints (21, 3) as of `expected_of` of a hand that was lost: beside it, mostly on its arm."""
    points = expected[:, :2]
    known = points[expected[:, 2] > 0]
    if not len(known):
        return expected
    along = points[0] - points[9]
    if rng.random() > _ON_ARM or not along.any():
        along = rng.normal(size=2)
    angle = np.radians(rng.normal(0, _ARM_TURNED))
    cosine, sine = np.cos(angle), np.sin(angle)
    along = np.array([[cosine, -sine], [sine, cosine]]) @ along / np.linalg.norm(along)
    size = float(np.ptp(known, axis=0).max())
    middle = (known.min(axis=0) + known.max(axis=0)) / 2
    moved = _moved(points, middle, rng.normal(0, _ASTRAY_TURNED), np.exp(rng.normal(0, 0.2)))
    return np.column_stack([moved + size * rng.uniform(*_BESIDE) * along, expected[:, 2]])


def in_crop(expected: np.ndarray, crop: Crop) -> np.ndarray:
    """Joints (21, 3) as of `expected_of`, in pixels of a crop, float32."""
    return np.column_stack([crop.to_crop(expected[:, :2]), expected[:, 2]]).astype(np.float32)


def _moved(points: np.ndarray, middle: np.ndarray, turn: float, grow: float) -> np.ndarray:
    """Points (K, 2) turned (radians) and grown about their middle (2,)."""
    cosine, sine = grow * np.cos(turn), grow * np.sin(turn)
    return (points - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle


def _torn(points: np.ndarray, size: float, rng: Rng) -> np.ndarray:
    """Joints (21, 2) of which some fingers are elsewhere, as on another hand."""
    angle, far = rng.uniform(-np.pi, np.pi), size * rng.uniform(*_TORN_AWAY)
    elsewhere = points + far * np.array([np.cos(angle), np.sin(angle)])
    moved = np.zeros(len(points), bool)
    for finger in rng.permutation(5)[:rng.integers(1, 5)]:
        moved[_FIRST[finger]:_FIRST[finger] + 4] = True
    return np.where(moved[:, None], elsewhere, points)


def _bent(points: np.ndarray, degrees: float, rng: Rng) -> np.ndarray:
    """Joints (21, 2) with each finger turned and stretched a little at each of its joints."""
    turns = rng.normal(0, np.radians(degrees), (5, 3))
    stretch = np.exp(rng.normal(0, _LONGER, (5, 3)))
    bones = np.stack([points[k + 1:k + 4] - points[k:k + 3] for k in _FIRST])
    angles = turns.cumsum(axis=1)
    cosine, sine = stretch * np.cos(angles), stretch * np.sin(angles)
    turned = np.stack([cosine * bones[..., 0] - sine * bones[..., 1],
                       sine * bones[..., 0] + cosine * bones[..., 1]], axis=-1)
    bent = points.copy()
    for finger, first in enumerate(_FIRST):
        bent[first + 1:first + 4] = points[first] + turned[finger].cumsum(axis=0)
    # Bones of joints without a label would take their neighbours' with them.
    return np.where(np.isfinite(bent), bent, points)


def _between(span: tuple[float, float], rng: Rng) -> float:
    """Drawn evenly by its logarithm."""
    return float(np.exp(rng.uniform(*np.log(span))))
