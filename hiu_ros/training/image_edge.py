"""Hands that their image cuts off, as those of people who reach into it from beside.

Beyond its image a crop is black, as `Crop.extract` makes it where hands are looked for.
"""

from dataclasses import dataclass

import numpy as np

from hiu_ros.geometry.crop import Crop

Rng = np.random.Generator
#: Shares of the points that lie beyond the first edge, and beyond a second one at a corner.
_CUT_OFF, _CUT_AT_CORNER = (0.03, 0.5), (0.03, 0.25)
_CORNER_CHANCE = 0.2
#: Crops about what is left of a hand alone, as a finder makes them, and points that takes.
_ABOUT_THE_REST = 0.4
_REST_LEAST = 5
_AXES = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


@dataclass(frozen=True, eq=False)
class ImageEdge:
    """Where an image ends, along its rows and columns.

    normals: (K, 2), limits: (K,) px; a point p of the image has p @ normal <= limit for each.
    """

    normals: np.ndarray
    limits: np.ndarray

    @classmethod
    def through(cls, points: np.ndarray, rng: Rng) -> 'ImageEdge':
        """An edge, or two that meet, that leave some of the points (N, 2) beyond the image."""
        first = rng.integers(4)
        chosen, shares = [first], [rng.uniform(*_CUT_OFF)]
        if rng.random() < _CORNER_CHANCE:
            chosen.append((first + rng.choice([1, 3])) % 4)
            shares.append(rng.uniform(*_CUT_AT_CORNER))
        normals = _AXES[chosen]
        limits = [np.quantile(points @ normal, 1 - share)
                  for normal, share in zip(normals, shares)]
        return cls(normals, np.array(limits))

    @classmethod
    def across(cls, resolution: int, rng: Rng) -> np.ndarray:
        """(n, n) bool, what lies beyond some edge in a crop of whatever."""
        crop = Crop((0.0, 0.0), float(resolution), rng.uniform(-np.pi, np.pi),
                    resolution=resolution)
        points = rng.uniform(-resolution / 2, resolution / 2, (64, 2))
        return cls.through(points, rng).in_crop(crop)

    def cuts_off(self, points: np.ndarray) -> np.ndarray:
        """(...) bool, which of points (..., 2) px lie beyond."""
        return (points @ self.normals.T > self.limits).any(-1)

    def in_crop(self, crop: Crop) -> np.ndarray:
        """(n, n) bool, which pixels of a crop lie beyond."""
        rows, columns = np.mgrid[:crop.resolution, :crop.resolution]
        return self.cuts_off(crop.to_image(np.stack([columns, rows], -1).astype(np.float64)))


def cut_off(outline: np.ndarray, rng: Rng) -> tuple[ImageEdge, np.ndarray]:
    """An edge through a hand of this outline (K, 2) px, and what of it a crop is to be about."""
    points = outline[np.isfinite(outline).all(1)]
    edge = ImageEdge.through(points, rng)
    rest = points[~edge.cuts_off(points)]
    about_rest = rng.random() < _ABOUT_THE_REST and len(rest) >= _REST_LEAST
    return edge, rest if about_rest else outline
