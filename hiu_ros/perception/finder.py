"""Hands in a whole image: the finder network around its NumPy side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hiu_ros.perception.association import overlap


@dataclass(frozen=True, eq=False)
class Detection:
    """Where a hand may be. box: (4,) x, y, w, h around its joints, px of the image; side_score
    and score 0..1; side is None where it is not known."""

    box: np.ndarray
    side: str | None = None
    side_score: float = 0.5
    score: float = 1.0


class Finder(Protocol):
    """What a pipeline needs of a finder."""

    def find(self, image: np.ndarray) -> Sequence[Detection]:
        """Hands of an image (H, W, 3) uint8 BGR, best first."""


def without_overlaps(detections: Sequence[Detection], limit: float = 0.45) -> list[Detection]:
    """The best detections of which no two overlap by more than `limit`, best first.

    A box that lies within another one for the most part counts as overlapping it.
    """
    kept: list[Detection] = []
    for detection in sorted(detections, key=lambda d: -d.score):
        if all(overlap(detection.box, k.box) <= limit and _within(detection.box, k.box) <= 0.8
               for k in kept):
            kept.append(detection)
    return kept


def _within(box: np.ndarray, other: np.ndarray) -> float:
    """Share of a box that lies within another."""
    low = np.maximum(box[:2], other[:2])
    high = np.minimum(box[:2] + box[2:], other[:2] + other[2:])
    inner = float(np.prod(np.clip(high - low, 0.0, None)))
    smaller = min(float(box[2] * box[3]), float(other[2] * other[3]))
    return inner / smaller if smaller > 0 else 0.0
