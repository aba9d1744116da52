"""One-euro filters for a followed hand: image points, place and pose; off unless asked for.

The filter (Casiez, Roussel and Vogel, CHI 2012) is a low pass whose cut-off rises with speed:
cutoff = min_cutoff + beta * |speed|. Moving steadily it lags by about 1 / (2 pi cutoff) seconds,
so a hand at rest is quiet and a fast hand is late by little. After a gap in time a filter starts
again from what it is given: it never sweeps across the gap.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

#: Seconds between frames of a usual camera, and those that come without a stamp.
FRAME = 1 / 30


@dataclass(frozen=True)
class OneEuro:
    """Settings of one filter. Cut-offs in Hz; beta in Hz per unit of speed.

    min_cutoff: for a value at rest; lower is quieter. beta: how fast the cut-off rises; higher
    lags less. speed_cutoff: of the low pass on the speed itself.
    """

    min_cutoff: float = 1.0
    beta: float = 10.0
    speed_cutoff: float = 2.0

    def __post_init__(self) -> None:
        for name in ('min_cutoff', 'speed_cutoff'):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0.0):
                raise ValueError(f'OneEuro.{name} is {getattr(self, name)}, expected Hz above 0')
        if not (math.isfinite(self.beta) and self.beta >= 0.0):
            raise ValueError(f'OneEuro.beta is {self.beta}, expected 0 or more')

    def lag(self, speed: float) -> float:
        """Seconds that a value moving steadily at this speed is late."""
        return 1 / (2 * math.pi * (self.min_cutoff + self.beta * abs(speed)))


@dataclass(frozen=True)
class Smoothing:
    """Filters of a hand; None leaves that part as it was measured.

    image: keypoints in pixels; speed in hand sizes per second. sideways: direction of the wrist
    (x / z, y / z), speed in 1 / s. depth: logarithm of its distance, speed in 1 / s. pose: joint
    rotations on SO(3), speed in rad / s. gap: seconds without the hand after which all restart.
    """

    image: OneEuro | None = None
    sideways: OneEuro | None = None
    depth: OneEuro | None = None
    pose: OneEuro | None = None
    gap: float = 0.25

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gap) and self.gap > 0.0):
            raise ValueError(f'Smoothing.gap is {self.gap}, expected seconds above 0')

    @classmethod
    def usual(cls) -> 'Smoothing':
        """All filters, set for hands at arm's length and 30 images a second."""
        return cls(
            image=OneEuro(1.5, 6.0), sideways=OneEuro(1.0, 30.0), depth=OneEuro(0.5, 24.0),
            pose=OneEuro(1.5, 4.0),
        )

    @property
    def any(self) -> bool:
        """Whether anything is smoothed."""
        return any((self.image, self.sideways, self.depth, self.pose))


class VectorFilter:
    """One-euro filter of vectors (..., C): each vector has one speed, the length of its own."""

    def __init__(self, settings: OneEuro, gap: float) -> None:
        self._settings, self._gap = settings, gap
        self._stamp: float | None = None
        self._value = self._raw = self._speed = np.zeros(0)

    def __call__(self, value: np.ndarray, stamp: float, unit: float = 1.0) -> np.ndarray:
        """The smoothed value at a time in seconds; restarts where time jumps or runs back.

        unit: what a speed of 1 is a second, of the value's own.
        """
        value = np.asarray(value, dtype=np.float64)
        step = _step(self._stamp, stamp, self._gap)
        if step is None or value.shape != self._value.shape:
            self._value, self._speed = value.copy(), np.zeros_like(value)
        else:
            speed = (value - self._raw) / (step * unit)
            self._speed = self._speed + _share(self._settings.speed_cutoff, step) * (
                speed - self._speed)
            pace = np.linalg.norm(self._speed, axis=-1, keepdims=True)
            cutoff = self._settings.min_cutoff + self._settings.beta * pace
            self._value = self._value + _share(cutoff, step) * (value - self._value)
        self._raw, self._stamp = value.copy(), stamp
        return self._value.copy()


class RotationFilter:
    """One-euro filter of rotations (N, 3, 3) along the geodesics of SO(3)."""

    def __init__(self, settings: OneEuro, gap: float) -> None:
        self._settings, self._gap = settings, gap
        self._stamp: float | None = None
        self._value = self._raw = self._speed = np.zeros(0)

    def __call__(self, value: np.ndarray, stamp: float) -> np.ndarray:
        """The smoothed rotations at a time in seconds; restarts as `VectorFilter` does."""
        value = np.asarray(value, dtype=np.float64)
        step = _step(self._stamp, stamp, self._gap)
        if step is None or value.shape != self._value.shape:
            self._value, self._speed = value.copy(), np.zeros(value.shape[:-1])
        else:
            away = Rotation.from_matrix(self._value.swapaxes(-1, -2) @ value).as_rotvec()
            moved = Rotation.from_matrix(self._raw.swapaxes(-1, -2) @ value).as_rotvec()
            self._speed = self._speed + _share(self._settings.speed_cutoff, step) * (
                moved / step - self._speed)
            pace = np.linalg.norm(self._speed, axis=-1, keepdims=True)
            cutoff = self._settings.min_cutoff + self._settings.beta * pace
            turn = Rotation.from_rotvec(_share(cutoff, step) * away).as_matrix()
            self._value = self._value @ turn
        self._raw, self._stamp = value.copy(), stamp
        return self._value.copy()


class HandSmoother:
    """The filters of one followed hand."""

    def __init__(self, settings: Smoothing) -> None:
        def vectors(option: OneEuro | None) -> VectorFilter | None:
            return None if option is None else VectorFilter(option, settings.gap)

        self._image = vectors(settings.image)
        self._sideways, self._depth = vectors(settings.sideways), vectors(settings.depth)
        pose = settings.pose
        self._pose = None if pose is None else RotationFilter(pose, settings.gap)

    def image_points(self, points: np.ndarray, size: float, stamp: float) -> np.ndarray:
        """Keypoints (21, 2) px of a hand `size` px large."""
        if self._image is None:
            return points
        return self._image(points, stamp, size) if size > 0 else points

    def place(self, translation: np.ndarray, stamp: float) -> np.ndarray:
        """Wrist (3,) in the camera frame, m, in front of the camera."""
        direction, depth = translation[:2] / translation[2], translation[2]
        if self._sideways is not None:
            direction = self._sideways(direction, stamp)
        if self._depth is not None:
            depth = math.exp(self._depth(np.array([math.log(depth)]), stamp)[0])
        return np.array([direction[0] * depth, direction[1] * depth, depth])

    def pose(self, rotations: np.ndarray, stamp: float) -> np.ndarray:
        """Joint rotations (16, 3, 3)."""
        return rotations if self._pose is None else self._pose(rotations, stamp)


def _step(before: float | None, now: float, gap: float) -> float | None:
    """Seconds since the last value, None where the filter has to start again.

    Where time stands still, as with a late image or a camera that stamps two alike, a frame.
    """
    if before is None or not 0.0 <= now - before <= gap:
        return None
    return now - before or min(FRAME, gap)


def _share(cutoff, step: float):
    """Weight of a new value in a low pass of this cut-off (Hz) after `step` seconds."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * step))
