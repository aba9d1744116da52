"""How far to believe the labels of photographed hands: the gross errors of a labelling network.

Two figures a hand, 0 to 1: one for its image joints, one for its 3D joints, with the reason.
"""

import numpy as np

from hiu_ros.data.photo_fits import HandFits
from hiu_ros.hand.skeleton import BONES

#: Usual lengths of the bones of `labels`, in palm lengths (wrist to middle base).
_USUAL = np.array([
    0.40, 0.34, 0.36, 0.30, 1.03, 0.31, 0.23, 0.28, 1.00, 0.38, 0.29, 0.28,
    0.97, 0.32, 0.26, 0.25, 0.86, 0.24, 0.22, 0.20,
])
_CHILDREN = [child for child, _ in BONES]
_PARENTS = [parent for _, parent in BONES]

#: Mean |log| of bone lengths over usual ones from which a hand counts as misshapen.
MOST_MISSHAPEN = 0.40
#: Mean curl of the fingers, palm lengths, below which they bend backwards.
LEAST_CURL = -0.15
#: Mean distance of image joints from a scaled, shifted 3D hand seen from the front, palm lengths.
MOST_APART = 0.25
#: Fit residual (palm lengths) up to which image joints are believed fully, and not at all.
RESIDUAL_RANGE = (0.045, 0.07)
#: Mean angle (radians) between labelled and fitted bones up to which 3D is believed, and not.
BEND_RANGE = (0.40, 0.65)
#: Joints' box in image pixels below which a label is half believed.
SMALL_HAND = 24.0
#: Limits for a fit that may teach pose and shape.
FIT_RESIDUAL, FIT_BEND, FIT_STRAIN = 0.05, 0.60, 0.22


def misshape(keypoints_m: np.ndarray) -> np.ndarray:
    """(N,) mean |log| of the bone lengths of (N, 21, 3) over the usual ones."""
    bones = np.linalg.norm(keypoints_m[:, _CHILDREN] - keypoints_m[:, _PARENTS], axis=-1)
    palm = np.maximum(bones[:, 8:9], 1e-6)
    return np.abs(np.log(np.maximum(bones / palm, 1e-3) / _USUAL)).mean(axis=1)


def curl(keypoints_m: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(N,) how far the four finger tips lie on the palm's side of their bases, palm lengths.

    keypoints_m: (N, 21, 3) camera axes; right: (N,) bool. Clearly negative: the fingers bend
    backwards, so that depth or side is wrong.
    """
    wrist = keypoints_m[:, 0]
    palmward = np.cross(keypoints_m[:, 5] - wrist, keypoints_m[:, 17] - wrist)
    palmward /= np.maximum(np.linalg.norm(palmward, axis=1, keepdims=True), 1e-9)
    reach = (keypoints_m[:, [8, 12, 16, 20]] - keypoints_m[:, [5, 9, 13, 17]]).mean(axis=1)
    palm = np.maximum(np.linalg.norm(keypoints_m[:, 9] - wrist, axis=1), 1e-6)
    return np.where(right, 1, -1) * (reach * palmward).sum(axis=1) / palm


def apart(keypoints: np.ndarray, keypoints_m: np.ndarray) -> np.ndarray:
    """(N,) mean distance of image joints from the scaled 3D ones, in palm lengths."""
    flat = keypoints_m[..., :2] - keypoints_m[..., :2].mean(axis=1, keepdims=True)
    seen = keypoints - keypoints.mean(axis=1, keepdims=True)
    scale = (flat * seen).sum((1, 2)) / np.maximum((flat ** 2).sum((1, 2)), 1e-9)
    distance = np.linalg.norm(seen - scale[:, None, None] * flat, axis=-1).mean(axis=1)
    palm = np.linalg.norm(keypoints_m[:, 9] - keypoints_m[:, 0], axis=1)
    return distance / np.maximum(np.abs(scale) * palm, 1e-6)


def depth_faults(
    keypoints: np.ndarray, keypoints_m: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """(N,) '' or why the 3D joints contradict themselves: 'shape', 'backwards', 'apart'."""
    faults = np.full(len(keypoints), '', dtype='<U12')
    faults[apart(keypoints, keypoints_m) > MOST_APART] = 'apart'
    faults[curl(keypoints_m, right) < LEAST_CURL] = 'backwards'
    faults[misshape(keypoints_m) > MOST_MISSHAPEN] = 'shape'
    return faults


def judge(
    faults: np.ndarray, fits: HandFits, hand_pixels: np.ndarray
) -> dict[str, np.ndarray]:
    """Weigh labels and fits of N hands.

    faults: of `depth_faults`; fits: of the same labels; hand_pixels: (N,) larger side of the
    joints' box in the photo. Answers arrays of N: trust and trust_3d (0 to 1, float32),
    trust_reason ('', 'misfit' or 'small'), fit_ok.
    """
    trust = _ramp(fits.residual_px, *RESIDUAL_RANGE)
    reason = np.where(trust < 0.5, 'misfit', '').astype('<U12')
    small = (hand_pixels < SMALL_HAND) & (trust > 0.5)
    reason[small] = 'small'
    trust = np.where(small, 0.5, trust)
    trust_3d = np.where(faults == '', trust * _ramp(fits.bend_error, *BEND_RANGE), 0.0)
    bend = np.where(faults == '', fits.bend_error, 0.0)
    fit_ok = ((fits.residual_px <= FIT_RESIDUAL) & (bend <= FIT_BEND)
              & (fits.strain <= FIT_STRAIN))
    return {'trust': trust.astype(np.float32), 'trust_3d': trust_3d.astype(np.float32),
            'trust_reason': reason, 'fit_ok': fit_ok}


def _ramp(value: np.ndarray, full: float, none: float) -> np.ndarray:
    return np.clip((none - value) / (none - full), 0.0, 1.0)
