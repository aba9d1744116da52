"""Whether the network agrees with itself about a hand: turned, resized, mirrored, as a mesh."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from hiu_ros.data.photo_cache import CROP_PIXELS, CROP_SCALE
from hiu_ros.data.photo_fits import fit_hands, mirror_labels
from hiu_ros.data.photo_outlines import outline
from hiu_ros.data.photo_trust import FIT_BEND, FIT_RESIDUAL, FIT_STRAIN, depth_faults
from hiu_ros.geometry.crop import Crop
from hiu_ros.hand.model import HandModel
from hiu_ros.hand.template import load_template
from hiu_ros.perception.estimator import HandEstimator, Region
from hiu_ros.perception.reading import Reading
from hiu_ros.perception.views import VIEWS, averaged, views_of

#: Least presence and mean score of the joints.
LEAST_PRESENCE, LEAST_SHARP = 0.8, 0.45
#: Most deviation of a joint's place over the views, mean over joints, palm lengths.
MOST_SPREAD = 0.06
#: Most mean distance of the joints read with the picture mirrored, palm lengths.
MOST_FLIPPED = 0.12
#: Least log odds of the side, in every view of the same sign.
LEAST_SIDE = 1.0
#: Least intersection over union of the network's mask and the fitted mesh's outline.
LEAST_OVERLAP = 0.8
#: Smallest hand, larger side of its joints' box in pixels of the photograph.
LEAST_SIZE = 32.0


@dataclass(frozen=True, eq=False)
class Opinion:
    """What the network says of one hand over all views, and how far it agrees with itself.

    keypoints_px: (21, 2) image pixels; keypoints_m: (21, 3) metres, origin at their mean, axes of
    the image. spread and flipped: palm lengths; fault: '' or what does not agree.
    """

    side: str
    side_score: float
    keypoints_px: np.ndarray
    keypoints_m: np.ndarray
    reading: Reading
    spread: float
    flipped: float
    fault: str


class Witness:
    """Asks the network for its opinions on regions of images."""

    def __init__(self, estimator: HandEstimator) -> None:
        self._estimator = estimator
        template = load_template('fast')
        self._models = {'right': HandModel(template), 'left': HandModel(template.mirrored())}

    def opinion(self, image: np.ndarray, box: np.ndarray) -> Opinion:
        """Of the hand about a box [x, y, w, h] px: one look, then all views around its joints."""
        first = Crop.around_box(box, 1.4, self._estimator.resolution)
        seen = self._estimator.look([Region(image, first, passes=1)])[0]
        crop = self._estimator.crop_around(seen.keypoints_px)
        views = self._estimator.look([Region(image, view) for view in views_of(crop, len(VIEWS))])
        side = 'right' if np.mean([view.right for view in views]) > 0 else 'left'
        own = [view.as_side(side) for view in views]
        # Each view was read both ways: the other reading is that of the mirrored picture.
        other = [view if view.side != side else view.other for view in views]
        return self._judge(side, own, [reading for reading in other if reading is not None])

    def _judge(self, side: str, own: Sequence[Reading], other: Sequence[Reading]) -> Opinion:
        whole = averaged(own)
        points = np.stack([reading.keypoints_px for reading in own])
        palm = max(float(np.linalg.norm(whole.keypoints_px[9] - whole.keypoints_px[0])),
                   whole.size / 4)
        deviation = np.linalg.norm(points - points.mean(axis=0), axis=-1)
        spread = float(np.sqrt((deviation ** 2).mean(axis=0)).mean()) / palm
        mirrored = np.mean([reading.keypoints_px for reading in other], axis=0)
        flipped = float(np.linalg.norm(mirrored - whole.keypoints_px, axis=-1).mean()) / palm
        odds = np.array([reading.right for reading in own])
        fault = _fault(whole, spread, flipped, odds)
        rotations = turned_to_image(whole)
        model = self._models[side]
        with torch.no_grad():
            joints = model.keypoints(torch.tensor(rotations[None], dtype=torch.float32),
                                     torch.tensor(whole.shape[None], dtype=torch.float32))
        joints = joints[0].numpy().astype(np.float64)
        return Opinion(side, float(1 / (1 + np.exp(-abs(odds.mean())))), whole.keypoints_px,
                       joints - joints.mean(axis=0), whole, spread, flipped, fault)


def _fault(whole: Reading, spread: float, flipped: float, odds: np.ndarray) -> str:
    if whole.size < LEAST_SIZE:
        return 'small'
    if whole.presence < LEAST_PRESENCE:
        return 'absent'
    if whole.keypoint_scores.mean() < LEAST_SHARP:
        return 'blurred'
    if spread > MOST_SPREAD:
        return 'views'
    if abs(odds.mean()) < LEAST_SIDE or (np.sign(odds) != np.sign(odds.mean())).any():
        return 'side'
    return 'mirrored' if flipped > MOST_FLIPPED else ''


def turned_to_image(reading: Reading) -> np.ndarray:
    """Rotations (16, 3, 3) of a reading with the first in the axes of the unturned image."""
    cos, sin = np.cos(-reading.crop.angle), np.sin(-reading.crop.angle)
    rotations = reading.rotations.copy()
    rotations[0] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ rotations[0]
    return rotations


def mesh_faults(opinions: Sequence[Opinion]) -> list[str]:
    """'' or why the hand model fitted to each opinion does not agree with it: 'fit' (the joints
    are no hand's) or 'mask' (its outline is not the mask's)."""
    if not opinions:
        return []
    crops = [Crop.around_keypoints(one.keypoints_px, CROP_SCALE, CROP_PIXELS) for one in opinions]
    keypoints = np.stack([crop.to_crop(one.keypoints_px) for crop, one in zip(crops, opinions)])
    keypoints_m = np.stack([one.keypoints_m for one in opinions])
    left = np.array([one.side == 'left' for one in opinions])
    faulty = depth_faults(keypoints, keypoints_m, ~left) != ''
    model = HandModel(load_template('fast'))
    fits = fit_hands(model, *mirror_labels(keypoints, keypoints_m, left, CROP_PIXELS), CROP_PIXELS,
                     use_depth=~faulty)
    answer = []
    for k, one in enumerate(opinions):
        if (faulty[k] or fits.residual_px[k] > FIT_RESIDUAL or fits.bend_error[k] > FIT_BEND
                or fits.strain[k] > FIT_STRAIN):
            answer.append('fit')
            continue
        drawn, _ = outline(model, fits.pose[k], fits.shape[k], fits.camera[k], bool(left[k]),
                           CROP_PIXELS)
        seen = mask_in(one.reading, crops[k]) > 0.5
        shared = (drawn & seen).sum() / max((drawn | seen).sum(), 1)
        answer.append('mask' if shared < LEAST_OVERLAP else '')
    return answer


def mask_in(reading: Reading, crop: Crop) -> np.ndarray:
    """The mask (n, n) of a reading in the pixels of another crop of the image."""
    back = np.vstack([reading.crop.inverse_matrix(), [0, 0, 1]])
    n = crop.resolution
    return cv2.warpAffine(reading.mask, crop.matrix() @ back, (n, n), flags=cv2.INTER_LINEAR)
