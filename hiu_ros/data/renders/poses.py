"""Random hand poses: plausible joint angles without self-penetration, and wrist orientations."""

import numpy as np
import torch

from hiu_ros.data.renders.articulation import (
    ABDUCTION,
    ANGLE_COUNT,
    DIP,
    FINGERS,
    LIMITS,
    MCP,
    PIP,
    THUMB,
    axis_rotations,
    clamp,
    finger,
    joint_rotations,
)
from hiu_ros.data.renders.gestures import GESTURES, GRASPS
from hiu_ros.hand.model import HandModel

#: Axes of a right hand that shows its palm with the fingers up, in the camera's frame.
PALM_TO_CAMERA = np.array([[0., 0., 1.], [1., 0., 0.], [0., 1., 0.]])
#: Overlap (m) that is let pass.
TOLERANCE = 0.0005
#: Poses tried for one accepted pose.
CANDIDATES = 8

#: Capsules as pairs of keypoints, with the finger (0 thumb .. 4 pinky, 5 palm) and the radius (m).
_CAPSULES = (
    [(2, 3, 0, 0.0100), (3, 4, 0, 0.0090)]
    + [(4 * f + 1 + k, 4 * f + 2 + k, f, r)
       for f in range(1, 5) for k, r in enumerate((0.0085, 0.0078, 0.0070))]
    + [(0, 4 * f + 1, 5, 0.0110) for f in range(1, 5)]
)
_STEPS = np.linspace(0.1, 0.95, 4)
#: Flesh yields: axes may approach to this part of the sum of the radii, finger to finger and
#: finger to palm.
_YIELD = 0.62
_YIELD_PALM = 0.33


def capsule_points(keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spheres that fill fingers and palm: centres (N, P, 3), finger (P,) and radius (P,)."""
    start = keypoints[:, [c[0] for c in _CAPSULES], None]
    end = keypoints[:, [c[1] for c in _CAPSULES], None]
    centres = start + (end - start) * _STEPS[:, None]
    repeat = len(_STEPS)
    owner = np.repeat([c[2] for c in _CAPSULES], repeat)
    radius = np.repeat([c[3] for c in _CAPSULES], repeat)
    return centres.reshape(len(keypoints), -1, 3), owner, radius


def penetration(keypoints: np.ndarray) -> np.ndarray:
    """Worst overlap (N,) in metres between different fingers, or a finger and the palm.

    keypoints: (N, 21, 3) metres. Zero or less is fine.
    """
    centres, owner, radius = capsule_points(keypoints)
    square = (centres * centres).sum(-1)
    gap = square[:, :, None] + square[:, None] - 2 * centres @ centres.transpose(0, 2, 1)
    gap = np.sqrt(np.maximum(gap, 0))
    segment = np.repeat(np.arange(len(_CAPSULES)), len(_STEPS))
    proximal = np.isin(segment, [2, 5, 8, 11])
    palm = owner == 5
    soft = np.where(palm[:, None] | palm[None], _YIELD_PALM, _YIELD)
    allowed = soft * (radius[:, None] + radius[None])
    # Neighbouring roots and a finger's root in the palm belong together.
    joined = (proximal[:, None] & proximal[None]) | (proximal[:, None] & palm[None])
    joined |= joined.T
    joined |= (segment[:, None] == 0) & palm[None] | (segment[None] == 0) & palm[:, None]
    ignored = joined | (owner[:, None] == owner[None])
    return np.where(ignored, -1.0, allowed - gap).max((1, 2))


class PoseSampler:
    """Draws joint angles: gestures, blends of gestures, synergies and free poses."""

    def __init__(self, model: HandModel) -> None:
        """Take any hand model; its mean shape serves the penetration test."""
        self.model = model
        self.names = sorted(GESTURES)
        self.table = np.stack([GESTURES[name] for name in self.names])

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """Angles (21,) in degrees and the kind of pose they come from."""
        kind = rng.choice(['gesture', 'blend', 'synergy', 'free'], p=[0.36, 0.30, 0.22, 0.12])
        draw = {'gesture': self._gesture, 'blend': self._blend, 'synergy': self._synergy,
                'free': self._free}[kind]
        best, least = None, np.inf
        for _ in range(CANDIDATES):
            angles = clamp(draw(rng))
            depth = float(penetration(self.keypoints(angles))[0])
            if depth <= TOLERANCE:
                return angles, str(kind)
            if depth < least:
                best, least = angles, depth
        # The last resort: halfway back to a pose that is known to be good.
        calm = self.table[rng.integers(len(self.table))]
        return clamp((best + calm) / 2) if least > 0.003 else best, str(kind)

    def sample_grasp(self, rng: np.random.Generator) -> np.ndarray:
        """Angles (21,) in degrees of a hand around a thing."""
        grasp = GESTURES[str(rng.choice(GRASPS))]
        for _ in range(CANDIDATES):
            angles = clamp(self._jitter(rng, grasp.copy(), 0.4))
            if penetration(self.keypoints(angles))[0] <= TOLERANCE:
                return angles
        return grasp.copy()

    def keypoints(self, angles: np.ndarray) -> np.ndarray:
        """Keypoints (N, 21, 3) of the mean shape, metres, wrist at the origin."""
        rotations = torch.from_numpy(joint_rotations(angles)).float()
        return self.model.keypoints(rotations, torch.zeros(len(rotations), 10)).numpy()

    def _jitter(self, rng, angles, amount):
        noise = rng.normal(size=ANGLE_COUNT)
        scale = np.array([7, 8, 5, 3.5] * 4 + [5, 5, 4, 6, 7])
        together = np.array([6, 6, 4, 0] * 4 + [0] * 5) * rng.normal()
        angles = angles + amount * (noise * scale + together)
        for name in FINGERS:
            own = finger(name)
            # The tip joint follows the middle joint.
            angles[own][DIP] += 0.4 * amount * 8 * noise[own][PIP]
        return angles

    def _gesture(self, rng):
        chosen = self.table[rng.integers(len(self.table))]
        return self._jitter(rng, chosen.copy(), rng.uniform(0.2, 1.2))

    def _blend(self, rng):
        one, two = self.table[rng.integers(len(self.table), size=2)]
        if rng.random() < 0.5:
            weight = np.full(ANGLE_COUNT, rng.random())
        else:
            weight = np.empty(ANGLE_COUNT)
            for name in FINGERS:
                weight[finger(name)] = rng.random()
            weight[THUMB] = rng.random()
        return self._jitter(rng, one + weight * (two - one), rng.uniform(0.3, 1.2))

    def _synergy(self, rng):
        angles = np.zeros(ANGLE_COUNT)
        shared, slope = rng.beta(0.9, 1.1), rng.normal(0, 0.12)
        knuckle = rng.normal(0, 0.18)
        spread = rng.normal(0, 0.6)
        for k, name in enumerate(FINGERS):
            curl = np.clip(shared + slope * (k - 1.5) + rng.normal(0, 0.07), 0, 1)
            root = np.clip(curl + knuckle + rng.normal(0, 0.06), -0.25, 1.05)
            pip = 105 * curl + rng.normal(0, 4)
            abduction = spread * (8, 1, -6, -12)[k] + rng.normal(0, 2)
            angles[finger(name)] = (88 * root, pip, 0.62 * pip + rng.normal(0, 6), abduction)
        angles[THUMB] = self._free_thumb(rng)
        return angles

    def _free(self, rng):
        angles = np.zeros(ANGLE_COUNT)
        for name in FINGERS:
            own = finger(name)
            low, high = LIMITS[own].T
            values = low + (high - low) * rng.beta(1.1, 1.3, size=4)
            values[MCP] = np.clip(values[MCP], -18, 92)
            values[DIP] = 0.6 * max(values[PIP], 0) + rng.normal(0, 10)
            values[ABDUCTION] *= 0.8
            angles[own] = values
        # Ring and pinky, and ring and middle, share tendons.
        for left, right, pull in (('pinky', 'ring', 0.35), ('ring', 'middle', 0.25)):
            a, b = angles[finger(left)][:2].copy(), angles[finger(right)][:2].copy()
            angles[finger(left)][:2] += pull * (b - a)
            angles[finger(right)][:2] += pull * (a - b)
        angles[THUMB] = self._free_thumb(rng)
        return angles

    @staticmethod
    def _free_thumb(rng):
        low, high = LIMITS[THUMB].T
        values = low + (high - low) * rng.beta(1.4, 1.4, size=5)
        # A thumb across the palm turns its pad to the fingers.
        values[2] = 0.5 * values[2] + 0.35 * max(values[0], 0) + 0.35 * max(values[1], 0)
        return values


def uniform_rotation(rng: np.random.Generator) -> np.ndarray:
    """Random rotation (3, 3), uniform over SO(3) (Shoemake 1992)."""
    q = rng.normal(size=4)
    x, y, z, w = q / np.linalg.norm(q)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def _turn(axis: int, degrees: float) -> np.ndarray:
    return axis_rotations(np.eye(3)[axis], np.array([degrees]))[0]


def sample_orientation(rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """Rotation (3, 3) from the hand's frame to the camera's, and its kind.

    Uniform over SO(3) in part, the rest the views that cameras get: palm, back and edge of an
    upright hand, fingers towards and away from the camera.
    """
    kind = str(rng.choice(['uniform', 'palm', 'back', 'edge', 'towards', 'away'],
                          p=[0.42, 0.14, 0.14, 0.12, 0.08, 0.10]))
    if kind == 'uniform':
        return uniform_rotation(rng), kind
    yaw = {'palm': 0, 'back': 180, 'edge': rng.choice([-90, 90]), 'towards': 0,
           'away': 180}[kind]
    pitch = {'towards': rng.choice([-65, 65]), 'away': 60}.get(kind, 0)
    base = _turn(0, pitch) @ _turn(1, yaw + rng.normal(0, 22)) @ PALM_TO_CAMERA
    tilt = _turn(0, rng.normal(0, 20))
    roll = _turn(2, rng.normal(0, 40 if rng.random() < 0.7 else 110))
    return roll @ tilt @ base, kind


def sample_wrist(rng: np.random.Generator) -> np.ndarray:
    """Rotation (3, 3) of the forearm against the hand, in the hand's rest axes."""
    wide = rng.random() < 0.35
    bend = rng.normal(0, 32 if wide else 14)
    deviation = rng.normal(0, 11 if wide else 6)
    twist = rng.normal(0, 10)
    return (_turn(2, np.clip(bend, -62, 62)) @ _turn(1, np.clip(deviation, -24, 24))
            @ _turn(0, twist))
