"""What a network and a finder would say that make mistakes of a known kind and number.

With these in place of the networks, a bench tells the faults of following from those of seeing:
a hand is read off the truth of the frame, with noise, misses and confusions as told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.camera import Camera
from hiu_ros.geometry.crop import NETWORK_SCALE, Crop
from hiu_ros.geometry.placement import crop_to_camera
from hiu_ros.perception.estimator import Region
from hiu_ros.perception.finder import Detection
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.reading import Reading

_MIRROR = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Faults:
    """How an oracle errs; shares are of readings.

    joints: deviation of joints, of the hand's size. missed: reads no hand. wrong_side: says the
    other side, for `spell` frames together. other_hand: of a hand that overlaps another one, reads
    the other one. ghost: says that a crop without a hand has one. unseen: the finder misses a
    hand. hidden: visible share below which a hand is not seen at all.
    """

    joints: float = 0.02
    missed: float = 0.0
    wrong_side: float = 0.0
    other_hand: float = 0.0
    ghost: float = 0.0
    unseen: float = 0.0
    spell: int = 4
    hidden: float = 0.25


class Oracle:
    """Estimator and finder of a `Pipeline` that read the truth; `show` each frame first."""

    def __init__(self, camera: Camera, faults: Faults = Faults(), resolution: int = 64,
                 crop_scale: float = NETWORK_SCALE, seed: int = 0) -> None:
        self.camera, self.faults, self.resolution = camera, faults, resolution
        self._crop_scale = crop_scale
        self._rng = np.random.default_rng(seed)
        self._frame: Any = None
        self._number = -1
        self.looks = 0  #: crops that a network would have read
        self.searches = 0

    def pipeline(self, options: PipelineOptions) -> Pipeline:
        """A pipeline that asks this oracle where it would ask its networks."""
        return Pipeline(options, finder=self, estimator=self)

    def show(self, frame: Any) -> None:
        """Take a frame of a rendered video as the one that is looked at."""
        self._frame, self._number = frame, self._number + 1

    def find(self, image: np.ndarray) -> list[Detection]:
        """As `HandFinder.find`."""
        self.searches += 1
        found = []
        for hand in self._seen():
            if self._rng.random() < self.faults.unseen:
                continue
            low, high = hand.keypoints_px.min(0), hand.keypoints_px.max(0)
            middle, size = (low + high) / 2, float((high - low).max())
            middle = middle + self._rng.normal(0, 0.05 * size, 2)
            side = size * float(np.exp(self._rng.normal(0, 0.08)))
            found.append(Detection(np.array([*(middle - side / 2), side, side]), None, 0.5, 0.9))
        return found

    def crop_around(self, keypoints: np.ndarray, margin: float = 1.0) -> Crop:
        """As `HandEstimator.crop_around`."""
        return Crop.around_keypoints(
            keypoints, self._crop_scale * margin, resolution=self.resolution)

    def look(self, regions: Sequence[Region]) -> list[Reading]:
        """As `HandEstimator.look`, one look at each region."""
        return [self._read(region) for region in regions]

    def _seen(self) -> list[Any]:
        size = np.array(self._frame.image.shape[1::-1])
        return [hand for hand in self._frame.hands if hand.visible >= self.faults.hidden and bool(
            (np.abs(hand.keypoints_px.mean(0) / size - 0.5) < 0.5).all())]

    def _read(self, region: Region) -> Reading:
        self.looks += 1 if region.side else 2
        crop, faults, rng = region.crop, self.faults, self._rng
        centre, half = np.array(crop.centre), crop.size / 2

        def away(hand: Any) -> float:
            middle = (hand.keypoints_px.min(0) + hand.keypoints_px.max(0)) / 2
            return float(np.abs(middle - centre).max() / half)

        near = sorted((h for h in self._seen() if away(h) < 0.7), key=away)
        near = [h for h in near if 0.15 < np.ptp(h.keypoints_px, axis=0).max() / crop.size < 1.6]
        if not near or rng.random() < faults.missed:
            return self._nothing(crop, region.side or 'right', rng.random() < faults.ghost)
        hand = near[1] if len(near) > 1 and rng.random() < faults.other_hand else near[0]
        return self._reading(crop, hand, region)

    def _reading(self, crop: Crop, hand: Any, region: Region) -> Reading:
        rng = self._rng
        size = float(np.ptp(hand.keypoints_px, axis=0).max())
        points = hand.keypoints_px + rng.normal(0, self.faults.joints * size, (21, 2)) / 2 ** 0.5
        turned = np.random.default_rng(
            [hand.id, self._number // self.faults.spell]).random() < self.faults.wrong_side
        right = rng.normal(3.0, 0.7) * (1 if (hand.side == 'right') != turned else -1)
        side = region.side or ('right' if right > 0 else 'left')
        rotations = Rotation.from_rotvec(hand.pose.reshape(16, 3)).as_matrix()
        ray = self.camera.rays(np.asarray(crop.centre))
        rotations[0] = crop_to_camera(ray, crop.angle).T @ rotations[0]
        if side != hand.side:
            rotations = _MIRROR @ rotations @ _MIRROR
        n = crop.resolution
        mask = cv2.warpAffine(
            hand.mask, replace(crop, mirrored=side == 'left').matrix(), (n, n)) / 255.0
        visible = float(np.clip((hand.visible - 0.15) / 0.3, 0.0, 1.0))
        reading = Reading(
            crop=replace(crop, mirrored=side == 'left'), side=side, keypoints_px=points,
            keypoint_scores=np.full(21, 0.3 + 0.6 * visible), mask=mask.astype(np.float32),
            rotations=rotations, shape=hand.shape.astype(np.float64),
            presence=0.5 + 0.47 * visible, clarity=1.0, right=float(right))
        if region.side is None:
            other = replace(
                reading, side='left' if side == 'right' else 'right',
                rotations=_MIRROR @ rotations @ _MIRROR)
            reading = replace(reading, other=other)
        return reading

    def _nothing(self, crop: Crop, side: str, ghost: bool) -> Reading:
        n = crop.resolution
        points = np.array(crop.centre) + self._rng.normal(0, crop.size / 6, (21, 2))
        presence, clear, score = (0.8, 1.0, 0.3) if ghost else (0.05, 0.0, 0.1)
        return Reading(
            crop=replace(crop, mirrored=side == 'left'), side=side, keypoints_px=points,
            keypoint_scores=np.full(21, score), mask=np.zeros((n, n), np.float32),
            rotations=np.tile(np.eye(3), (16, 1, 1)), shape=np.zeros(10), presence=presence,
            clarity=clear, right=float(self._rng.normal()))
