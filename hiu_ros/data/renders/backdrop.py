"""A procedural background that drifts: walls, shelves and clutter made of noise and shapes."""

import cv2
import numpy as np

_SPARE = 0.18


def cloud(rng: np.random.Generator, height: int, width: int, octaves: int = 5) -> np.ndarray:
    """Smooth noise (height, width), mean 0, deviation about 1."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = 3 * 2 ** octave
        grid = rng.normal(size=(cells, cells)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 1.7 ** octave
    return total / total.std()


class Backdrop:
    """A large painted wall, seen through a window that moves slowly."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        """Paint a wall for frames of the given size."""
        self.width, self.height = width, height
        w, h = int(width * (1 + 2 * _SPARE)), int(height * (1 + 2 * _SPARE))
        base = rng.uniform(70, 180) + rng.normal(0, 14, 3)
        wall = np.empty((h, w, 3), np.float32)
        shade = cloud(rng, h, w, 4)
        for c in range(3):
            wall[..., c] = base[c] + 10 * shade + 4 * cloud(rng, h, w, 6)
        for _ in range(int(rng.integers(8, 26))):
            grey = rng.uniform(25, 225)
            colour = np.clip(grey + rng.normal(0, 28, 3), 5, 250).tolist()
            x, y = rng.uniform(0, w), rng.uniform(0, h)
            a, b = rng.uniform(0.02, 0.22, 2) * w
            kind = rng.random()
            if kind < 0.6:
                corners = cv2.boxPoints(((x, y), (a, b), rng.normal(0, 8)))
                cv2.fillPoly(wall, [corners.astype(np.int32)], colour, cv2.LINE_AA)
            elif kind < 0.85:
                cv2.ellipse(wall, (int(x), int(y)), (int(a / 2), int(b / 2)),
                            rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
            else:
                cv2.line(wall, (int(x), int(y)), (int(x + 4 * a), int(y + rng.normal(0, b))),
                         colour, int(rng.integers(2, 14)), cv2.LINE_AA)
        wall = cv2.GaussianBlur(wall, (0, 0), rng.uniform(0.8, 3.0))
        light = 1 + 0.18 * cloud(rng, h, w, 2)[..., None]
        self.wall = np.clip(wall * light + 2 * cloud(rng, h, w, 8)[..., None], 0, 255)
        self.rate = rng.uniform(0.15, 0.5, 2)
        self.phase = rng.uniform(0, 2 * np.pi, 2)

    def at(self, time: float) -> np.ndarray:
        """The background (height, width, 3) float32 BGR 0..255 at a time (s)."""
        spare = np.array([self.width, self.height]) * _SPARE
        offset = spare * (1 + 0.95 * np.sin(self.rate * time + self.phase))
        matrix = np.array([[1, 0, -offset[0]], [0, 1, -offset[1]]])
        return cv2.warpAffine(self.wall, matrix, (self.width, self.height),
                              flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
