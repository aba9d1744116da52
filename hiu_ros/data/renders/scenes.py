"""One tile: everything that is drawn at random before rendering starts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hiu_ros.data.renders.appearance import (
    Light,
    Skin,
    sample_colour,
    sample_light,
    sample_skin,
)
from hiu_ros.data.renders.articulation import joint_rotations
from hiu_ros.data.renders.poses import (
    PoseSampler,
    capsule_points,
    sample_orientation,
    sample_wrist,
)
from hiu_ros.data.renders.things import Thing, front_thing, held_thing
from hiu_ros.hand.model import HandModel

#: Wrist to middle tip of a straight hand (m): mean, deviation, lowest, highest.
_LENGTH = (0.185, 0.014, 0.150, 0.220)


@dataclass
class Band:
    """Something worn round a segment: a watch, a bracelet, a ring."""

    centre: float
    half_width: float
    colour: np.ndarray
    gloss: float
    joint: int = 0  #: 0: the forearm, else the MANO joint of the finger segment


@dataclass
class Dress:
    """What is worn. Positions are metres at rest: x from the wrist towards the elbow."""

    sleeve: float  #: where the sleeve begins; beyond 1 there is none
    thickness: float
    pattern: int
    frequency: float
    one: np.ndarray
    two: np.ndarray
    turn: np.ndarray  #: (3, 3) lays the pattern on the cloth
    glove: bool
    glove_colour: np.ndarray
    watch: Band | None
    ring: Band | None


@dataclass
class HandPlan:
    """A posed hand. Rotations (16, 3, 3) with the global one in row 0; forearm (3, 3)."""

    rotations: np.ndarray
    shape: np.ndarray
    forearm: np.ndarray


@dataclass
class ScenePlan:
    """Everything a tile's picture depends on but its resolution."""

    hand: HandPlan
    second: HandPlan | None  #: the left hand, planned as a right one and mirrored in x
    second_offset: np.ndarray  #: wrist to wrist, camera axes, metres
    distance: float
    fill: float
    shift: np.ndarray  #: of the joints' box from the tile's centre, in tile sides
    skin: Skin
    light: Light
    dress: Dress
    held: Thing | None  #: in the hand's frame: wrist at 0, before the global rotation
    front: Thing | None  #: in camera axes from the hand's centre at `distance`
    kind: str


#: Share of hands that wear a glove.
GLOVES = 0.03
#: Share of hands that hold something, and of those behind something.
HELD, FRONT = 0.26, 0.08


class SceneSampler:
    """Draws scene plans; one generator gives one plan, whatever was drawn before."""

    def __init__(self, model: HandModel, brightness: Sequence[float] = (), second: float = 0.12,
                 held: float = HELD, front: float = FRONT, gloves: float = GLOVES) -> None:
        """Take the hand model, the skin pictures' brightness and the shares of disturbances."""
        self.model, self.brightness = model, brightness
        self.poses = PoseSampler(model)
        self.second, self.held, self.front, self.gloves = second, held, front, gloves
        zero = torch.zeros(1, 10)
        flat = torch.eye(3).expand(1, 16, 3, 3)
        basis = torch.eye(10)
        mean = model.keypoints(flat, zero)[0, 12]
        each = model.keypoints(flat.expand(10, -1, -1, -1), basis)[:, 12] - mean
        self._tip, self._tip_dirs = mean.numpy().astype(float), each.numpy().astype(float)

    def sample_shape(self, rng: np.random.Generator) -> np.ndarray:
        """Coefficients (10,): random form, and the first (size) so that the length is human."""
        shape = np.clip(rng.normal(size=10), -2.2, 2.2)
        mean, deviation, low, high = _LENGTH
        length = np.clip(rng.normal(mean, deviation), low, high)
        shape[0] = 0
        base = self._tip + shape @ self._tip_dirs
        # Length as a function of the first coefficient is linear but for a hair.
        for _ in range(3):
            now = np.linalg.norm(base + shape[0] * self._tip_dirs[0])
            slope = (base + shape[0] * self._tip_dirs[0]) @ self._tip_dirs[0] / now
            shape[0] += (length - now) / slope
        return shape

    def sample_hand(self, rng: np.random.Generator) -> tuple[HandPlan, str]:
        """Draw pose, shape, orientation and wrist of one hand."""
        angles, kind = self.poses.sample(rng)
        rotations = joint_rotations(angles)[0]
        for attempt in range(12):
            turn, view = sample_orientation(rng)
            forearm = sample_wrist(rng)
            towards_camera = (turn @ forearm)[2, 0]
            # An arm that reaches out from the lens hides the hand it belongs to.
            if towards_camera > -0.45 or attempt == 11 or rng.random() < 0.04:
                break
        rotations[0] = turn
        return HandPlan(rotations, self.sample_shape(rng), forearm), f'{kind}/{view}'

    def sample(self, rng: np.random.Generator) -> ScenePlan:
        """Draw a whole scene."""
        hand, kind = self.sample_hand(rng)
        keypoints = self._keypoints(hand)
        distance = float(np.exp(rng.uniform(np.log(0.28), np.log(1.5))))
        held = front = second = None
        offset = np.zeros(3)
        chance = rng.random(3)
        if chance[0] < self.held:
            free = keypoints @ hand.rotations[0]
            held = held_thing(free, rng)
        if chance[1] < self.front:
            target = keypoints[rng.integers(1, 21)] - keypoints.mean(0)
            front = front_thing(target + [0, 0, distance], rng)
        if chance[2] < self.second:
            second, offset = self._second(rng, keypoints)
        skin = sample_skin(rng, len(self.brightness))
        bright = skin.tone.mean() if skin.picture < 0 else self.brightness[skin.picture]
        return ScenePlan(
            hand, second, offset, distance, float(rng.uniform(0.50, 0.70)),
            np.clip(rng.normal(0, 0.035, 2), -0.09, 0.09), skin, sample_light(rng, bright),
            self._dress(rng), held, front, kind)

    def _keypoints(self, hand: HandPlan) -> np.ndarray:
        rotations = torch.from_numpy(hand.rotations[None]).float()
        shape = torch.from_numpy(hand.shape[None]).float()
        return self.model.keypoints(rotations, shape)[0].numpy().astype(float)

    def _second(self, rng, keypoints):
        """Draw a left hand near the right one without much of it inside the other."""
        plan, _ = self.sample_hand(rng)
        mirrored = self._keypoints(plan) * [-1, 1, 1]
        mine, _, radius = capsule_points(keypoints[None])
        other, _, _ = capsule_points(mirrored[None])
        best, best_offset = np.inf, np.zeros(3)
        for _ in range(16):
            direction = rng.normal(size=3)
            direction /= np.linalg.norm(direction)
            offset = keypoints.mean(0) - mirrored.mean(0) + direction * rng.uniform(0.02, 0.15)
            gap = np.linalg.norm(mine[0][:, None] - (other[0] + offset)[None], axis=-1)
            overlap = (0.9 * (radius[:, None] + radius[None]) - gap).max()
            score = overlap if overlap > 0.002 else -1 + np.linalg.norm(offset)
            if score < best:
                best, best_offset = score, offset
        return plan, best_offset

    def _dress(self, rng):
        sleeved, gloved = rng.random() < 0.5, rng.random() < self.gloves
        start = float(rng.uniform(0.0, 0.10)) if sleeved else 9.0
        if sleeved and rng.random() < 0.15:
            start = float(rng.uniform(-0.035, 0.0))
        watch = ring = None
        if rng.random() < 0.14:
            metal = rng.random() < 0.4
            colour = np.array([0.6, 0.55, 0.45]) if metal else sample_colour(rng)
            watch = Band(float(rng.uniform(0.022, 0.055)), float(rng.uniform(0.003, 0.013)),
                         colour, 0.7 if metal else 0.2)
        if rng.random() < 0.14:
            colour = np.array([[0.75, 0.55, 0.22], [0.62, 0.62, 0.62], [0.08, 0.08, 0.09]])
            ring = Band(float(rng.uniform(0.35, 0.6)), float(rng.uniform(0.0015, 0.004)),
                        colour[rng.integers(3)], 0.9, int(rng.choice([10, 10, 4, 1, 7])))
        glove = sample_colour(rng) if rng.random() < 0.7 else np.array([0.05, 0.25, 0.6])
        turn = sample_orientation(rng)[0]
        return Dress(start, float(rng.uniform(0.002, 0.009)), int(rng.integers(6)),
                     float(np.exp(rng.uniform(3.2, 5.2))), sample_colour(rng),
                     sample_colour(rng), turn, gloved, glove, watch, ring)
