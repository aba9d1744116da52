"""Which reading of this frame is which hand of the last one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from hiu_ros.perception.colour import colour_difference
from hiu_ros.perception.reading import Reading

#: Mean distance of joints, in hand sizes, at which their similarity has fallen to 1 / e.
_NEAR = 0.3
#: Readings whose joints are nearer than this (hand sizes) are one hand, whatever their side.
_SAME = 0.18
#: The same for readings of one side.
_SAME_SIDE = 0.32
#: Where so much of one's mask lies in the other's, a reading of less than this share of the
#: other's quality is a part of that hand.
_SAME_MASK, _UNSURE = 0.7, 0.75
#: Shares of joints, overlap, side and of being asked for in the similarity of 0 to 1.
_JOINTS, _OVERLAP, _SIDE, _OWN = 0.45, 0.2, 0.25, 0.1
#: What another colour takes from the similarity at most, and the difference at which it takes two
#: thirds of that. A hand that was lost is not one whose colour differs by more than the last.
_COLOUR, _UNLIKE, _OTHER = 0.3, 5.0, 12.0
#: Hand sizes that a hand may be off its prediction at most, and where it is of its usual colour,
#: but for so much, and of its side.
_FAR, _FARTHEST, _ALIKE = 2.0, 4.0, 3.0
#: Cost of what cannot be.
_NEVER = 1e3
#: A hand in one frame is at most so many times larger or smaller than in the last. Where what its
#: own region showed is one with a larger reading, it may be larger still: it was lost in part.
_GROWTH, _GROWTH_OWN = 2.2, 8.0
#: Hand sizes that a hand may be less off its prediction in a region that is not its own.
_FOREIGN = 0.35
#: What a hand that was not announced yet has to fit better than one that was.
_NEWCOMER = 0.25

#: Mean change of the joints about their middle, in hand sizes, that a hand may show from one frame
#: to the next, and more with each second between them; and how much more makes it doubtful.
_STEADY, _STEADY_SECOND, _UNSTEADY = 0.12, 1.5, 0.1


@dataclass(frozen=True, eq=False)
class Awaited:
    """What a followed hand should look like in a frame, if it is seen.

    patience: how far, in hand sizes, it may be from there; less where another region than its own
    shows it, and never very far unless it has its usual colour. named: whether it was announced;
    newcomers come second. lost: whether it was missed although it had been followed for long
    enough that its colour is known.
    """

    keypoints: np.ndarray  #: (21, 2) px
    right: float  #: log odds that it is a right hand
    colour: np.ndarray  #: (3,) L*a*b*
    patience: float
    named: bool
    lost: bool


def joint_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance of joints (21, 2), in sizes of the larger hand."""
    size = max(float(np.ptp(a, axis=0).max()), float(np.ptp(b, axis=0).max()), 1.0)
    return float(np.linalg.norm(a - b, axis=1).mean() / size)


def steadiness(now: np.ndarray, before: np.ndarray, step: float) -> float:
    """0..1, how well joints (21, 2) agree with those of `step` seconds before about their middle.

    What is no hand, such as a fold of cloth, is read as another pose in every frame.
    """
    change = joint_distance(now - now.mean(axis=0), before - before.mean(axis=0))
    surplus = change - _STEADY - _STEADY_SECOND * max(step, 0.0)
    return float(np.exp(-(max(surplus, 0.0) / _UNSTEADY) ** 2))


def joint_box(points: np.ndarray) -> np.ndarray:
    """[x, y, w, h] around joints (21, 2)."""
    low, high = points.min(axis=0), points.max(axis=0)
    return np.array([*low, *(high - low)])


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes [x, y, w, h]."""
    low = np.maximum(a[:2], b[:2])
    high = np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    inner = float(np.prod(np.clip(high - low, 0.0, None)))
    union = float(a[2] * a[3] + b[2] * b[3]) - inner
    return inner / union if union > 0 else 0.0


def without_duplicates(readings: Sequence[Reading]) -> list[list[int]]:
    """Indices of readings, a group for each hand: its best reading first, best hand first."""
    order = sorted(range(len(readings)), key=lambda k: (-readings[k].quality, k))
    groups: list[list[int]] = []
    for k in order:
        same = [g for g in groups if _one_hand(readings[k], readings[g[0]])]
        if same:
            same[0].append(k)
        else:
            groups.append([k])
    return groups


def _one_hand(a: Reading, b: Reading) -> bool:
    """Whether two readings, the second of no less quality, are of one hand."""
    distance = joint_distance(a.keypoints_px, b.keypoints_px)
    if distance < (_SAME_SIDE if a.right * b.right > 0 else _SAME):
        return True
    # A sharp reading is believed even where the masks of two hands have run into one.
    unsure = a.quality < _UNSURE * b.quality
    near = overlap(joint_box(a.keypoints_px), joint_box(b.keypoints_px)) > 0
    return unsure and near and max(_shared_mask(a, b), _shared_mask(b, a)) > _SAME_MASK


def _shared_mask(a: Reading, b: Reading) -> float:
    """Share of the mask of one reading that lies in the mask of another, from a few hundred
    pixels."""
    rows, columns = np.nonzero(a.mask >= 0.5)
    if not len(rows):
        return 0.0
    step = max(1, len(rows) // 300)
    points = a.crop.to_image(np.stack([columns, rows], axis=1)[::step])
    n = b.crop.resolution
    x, y = np.rint(b.crop.to_crop(points)).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < n) & (y < n)
    return float((inside & (b.mask[y.clip(0, n - 1), x.clip(0, n - 1)] >= 0.5)).mean())


def assign(
    awaited: Sequence[Awaited], readings: Sequence[Reading], askers: Sequence[Collection[int]],
) -> list[tuple[int, int]]:
    """Pairs (hand, reading) of the best assignment; a hand or reading may stay alone.

    askers: the followed hands whose regions gave each reading.
    """
    if not awaited or not readings:
        return []
    cost = np.array([[_cost(hand, reading, i in whose) for reading, whose in zip(readings, askers)]
                     for i, hand in enumerate(awaited)])
    rows, columns = linear_sum_assignment(cost)
    return [(int(i), int(j)) for i, j in zip(rows, columns) if cost[i, j] < _NEVER]


def _cost(hand: Awaited, reading: Reading, own: bool) -> float:
    """1 - similarity of a hand and a reading; `_NEVER` where it cannot be the hand.

    own: whether the hand's own region gave the reading.
    """
    points = hand.keypoints
    ratio = reading.size / max(float(np.ptp(points, axis=0).max()), 1e-6)
    most = _GROWTH_OWN if own else _GROWTH
    unlike = colour_difference(hand.colour, reading.colour)
    reach = hand.patience
    if not known_again(hand, reading.keypoints_px, reading.right, reading.colour):
        reach = min(reach, _FAR)
    if not own:
        reach -= _FOREIGN
    if (_away(points, reading.keypoints_px) > reach or not 1 / _GROWTH < ratio < most
            or (hand.lost and unlike > _OTHER)):
        return _NEVER
    distance = joint_distance(points, reading.keypoints_px)
    agree = 1 / (1 + np.exp(-np.clip(hand.right * np.tanh(reading.right), -30, 30)))
    return 1.0 - (
        _JOINTS * np.exp(-(distance / _NEAR) ** 2)
        + _OVERLAP * overlap(joint_box(points), joint_box(reading.keypoints_px))
        + _SIDE * agree + _OWN * own - _NEWCOMER * (not hand.named)
        - _COLOUR * (1 - np.exp(-(np.nan_to_num(unlike) / _UNLIKE) ** 2))
    )


def known_again(
    hand: Awaited, keypoints: np.ndarray, right: float, colour: np.ndarray
) -> bool:
    """Whether what was found may be a lost hand further off, by its side and its usual colour.

    keypoints: (21, 2) px. right: log odds of a right hand. colour: (3,) L*a*b*.
    """
    return (hand.lost and hand.right * right > 0
            and colour_difference(hand.colour, colour) < _ALIKE
            and _away(hand.keypoints, keypoints) <= min(hand.patience, _FARTHEST))


def _away(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of the middles of joints (21, 2), in sizes of the larger hand."""
    size = max(float(np.ptp(a, axis=0).max()), float(np.ptp(b, axis=0).max()), 1e-6)
    return float(np.linalg.norm(a.mean(0) - b.mean(0)) / size)
