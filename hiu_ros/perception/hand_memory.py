"""What is remembered of a followed hand: its shape, and its length from depth images."""

from dataclasses import dataclass, field

import numpy as np

from hiu_ros.perception.smoothing import HandSmoother

#: Frames that the shape of a hand is averaged over.
_SHAPE_FRAMES = 60.0
#: One depth image tells the length of a hand to about this share; so many are averaged.
LENGTH_NOISE, _LENGTH_FRAMES = 0.04, 30.0


@dataclass
class HandMemory:
    """What is known of a followed hand from its frames so far; a hand does not grow."""

    smoother: HandSmoother | None = None
    shape: np.ndarray = field(default_factory=lambda: np.zeros(10))
    shape_weight: float = 0.0
    log_length: float = 0.0  #: of the hand, m, from depth images
    length_weight: float = 0.0

    def see_shape(self, shape: np.ndarray, weight: float) -> np.ndarray:
        """Average the shape (10,) over time; returns the average."""
        self.shape_weight = min(self.shape_weight + weight, _SHAPE_FRAMES)
        self.shape = self.shape + (shape - self.shape) * (weight / max(self.shape_weight, 1e-9))
        return self.shape

    def see_length(self, length: float) -> None:
        """Average the length (m) measured in a depth image."""
        self.length_weight = min(self.length_weight + 1.0, _LENGTH_FRAMES)
        self.log_length += (np.log(length) - self.log_length) / self.length_weight

    @property
    def length(self) -> float | None:
        """Measured length, m, None before the first measurement."""
        return float(np.exp(self.log_length)) if self.length_weight else None
