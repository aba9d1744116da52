"""Smooth motion of rendered hands: joint angles, wrist orientation and place over time."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from hiu_ros.data.renders.articulation import joint_rotations
from hiu_ros.data.renders.poses import PALM_TO_CAMERA, PoseSampler, sample_wrist
from hiu_ros.data.renders.scenes import HandPlan


def ease(x: np.ndarray | float) -> np.ndarray:
    """Smooth step from 0 at x <= 0 to 1 at x >= 1, flat at both ends."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (x * (6 * x - 15) + 10)


def _upright(rng: np.random.Generator) -> Rotation:
    """An arm that comes from below, palm or back of the hand to the camera."""
    yaw = rng.choice([0.0, 180.0]) + rng.normal(0, 28)
    turn = Rotation.from_euler('yxz', [yaw, rng.normal(0, 18), rng.normal(0, 24)], degrees=True)
    return turn * Rotation.from_matrix(PALM_TO_CAMERA)


@dataclass(frozen=True)
class Moment:
    """A hand at one time, planned as a right hand. place: (3,) of its middle, metres."""

    plan: HandPlan
    place: np.ndarray


class HandMotion:
    """One hand's motion over `duration` seconds; it may enter late and leave early."""

    def __init__(self, rng: np.random.Generator, poses: PoseSampler, shape: np.ndarray,
                 duration: float, span: tuple[float, float], centre: np.ndarray,
                 reach: np.ndarray, grasp: np.ndarray | None = None) -> None:
        """span: seconds between which the hand is in view; centre, reach: (3,) metres.

        grasp: angles (21,) in degrees that the fingers keep all the time; None: they move.
        """
        self.shape, self.span = shape, span
        times, keys = [0.0], []
        while times[-1] < duration + 2:
            times.append(times[-1] + rng.uniform(0.7, 1.6))
        self.times = np.array(times)
        keys = [poses.sample(rng)[0] for _ in times]
        self.angles = np.stack(keys) if grasp is None else np.tile(grasp, (len(times), 1))
        turns = [_upright(rng)]
        for _ in times[1:]:
            # Mostly small turns of the wrist; at times the hand shows its other side.
            change = Rotation.from_rotvec(rng.normal(0, 0.22, 3))
            turns.append(_upright(rng) if rng.random() < 0.2 else change * turns[-1])
        self.turns = Slerp(self.times, Rotation.concatenate(turns))
        wrists = [Rotation.from_matrix(sample_wrist(rng)) for _ in times]
        self.wrists = Slerp(self.times, Rotation.concatenate(wrists))
        self.centre, self.reach = centre, reach
        self.rates = rng.uniform(0.6, 1.5, (2, 3))
        self.phases = rng.uniform(0, 2 * np.pi, (2, 3))

    def at(self, time: float) -> Moment | None:
        """The hand at a time (s), or None while it is out of view."""
        start, stop = self.span
        if not start - 0.05 <= time <= stop + 0.05:
            return None
        index = int(np.clip(np.searchsorted(self.times, time) - 1, 0, len(self.times) - 2))
        low, high = self.times[index:index + 2]
        # The fingers rest on a pose for a while before they go on.
        weight = ease(1.6 * (time - low) / (high - low) - 0.3)
        angles = self.angles[index] + weight * (self.angles[index + 1] - self.angles[index])
        turning = low + ease((time - low) / (high - low)) * (high - low)
        rotations = joint_rotations(angles)[0]
        rotations[0] = self.turns(turning).as_matrix()
        wave = np.sin(self.rates * time + self.phases)
        place = self.centre + self.reach * (0.7 * wave[0] + 0.3 * wave[1])
        hidden = 1 - ease((time - start) / 0.8) * ease((stop - time) / 0.8)
        place = place + np.array([0.0, 0.75 * place[2] * hidden, 0.0])
        return Moment(HandPlan(rotations, self.shape, self.wrists(turning).as_matrix()), place)
