"""One region seen several times, turned and sized a little differently, and the average of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.crop import Crop
from hiu_ros.perception.reading import Reading

#: Turn in degrees of a right hand's crop and factor of its side; the first is the crop itself.
VIEWS: Final = ((0.0, 1.0), (0.0, 0.92), (8.0, 0.95), (-8.0, 0.95), (0.0, 0.86), (0.0, 1.08))


def views_of(crop: Crop, count: int, side: str = 'right') -> list[Crop]:
    """The first `count` views of a crop; ValueError for fewer than one or more than there are.

    Those for a left hand turn the other way, as its crops are shown mirrored.
    """
    if not 1 <= count <= len(VIEWS):
        raise ValueError(f'views is {count}, expected 1 to {len(VIEWS)}')
    way = -1.0 if side == 'left' else 1.0
    return [replace(crop, angle=crop.angle + way * np.radians(turn), size=crop.size * factor)
            for turn, factor in VIEWS[:count]]


def averaged(readings: Sequence[Reading], shares: Sequence[float] | None = None) -> Reading:
    """One reading, in the first one's crop, of several of the same region and side.

    shares: what each counts, all the same if not given. Keypoints weigh by their scores, too; the
    hand's rotation is brought into the first crop's camera before rotations are averaged (the
    nearest rotation to their mean); masks are laid over it. The average of masks has softer edges,
    so clarity is that of each by itself.
    """
    first = readings[0]
    if len(readings) == 1:
        return first
    share = np.ones(len(readings)) if shares is None else np.asarray(shares, dtype=np.float64)
    share = share / share.sum()

    def mean(values: Sequence) -> np.ndarray:
        return np.tensordot(share, np.stack(values), axes=1)

    scores = np.stack([r.keypoint_scores for r in readings])
    weights = share[:, None] * (scores + 1e-3)
    weights = weights / weights.sum(axis=0)
    points = (np.stack([r.keypoints_px for r in readings]) * weights[..., None]).sum(axis=0)
    left, _, right = np.linalg.svd(mean([_turned(r, first.crop) for r in readings]))
    flip = np.sign(np.linalg.det(left @ right))
    left[..., -1] *= flip[..., None]
    return replace(
        first, keypoints_px=points, keypoint_scores=mean(scores), rotations=left @ right,
        mask=mean([_laid_over(r, first.crop) for r in readings]).astype(np.float32),
        shape=mean([r.shape for r in readings]),
        presence=float(mean([r.presence for r in readings])),
        clarity=float(mean([r.clarity for r in readings])),
        right=float(mean([r.right for r in readings])),
        legible=None if first.legible is None else float(mean([r.legible for r in readings])),
    )


def _turned(reading: Reading, base: Crop) -> np.ndarray:
    """Rotations (16, 3, 3) of a reading as the camera of `base` sees them."""
    rotations = reading.rotations.copy()
    turn = Rotation.from_euler('z', base.angle - reading.crop.angle).as_matrix()
    rotations[0] = turn @ rotations[0]
    return rotations


def _laid_over(reading: Reading, base: Crop) -> np.ndarray:
    """The mask (n, n) of a reading in the pixels of `base`."""
    if reading.crop == base:
        return reading.mask
    to_image = np.vstack([reading.crop.inverse_matrix(), [0, 0, 1]])
    matrix = base.matrix() @ to_image
    n = base.resolution
    return cv2.warpAffine(reading.mask, matrix, (n, n), flags=cv2.INTER_LINEAR,
                          borderMode=cv2.BORDER_REPLICATE)
