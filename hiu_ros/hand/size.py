"""How long a hand is, and the shape that makes it as long as it is known to be."""

import numpy as np

from hiu_ros.hand.template import HandTemplate

#: Joints from the wrist to the last one of the middle finger; its tip follows.
_CHAIN = (0, 4, 5, 6)
_MIDDLE_TIP = 1 + 1  # thumb, index, middle
#: Lengths (m) that a human hand, child to giant, can have.
LENGTH_RANGE = (0.08, 0.30)


def hand_length(template: HandTemplate, shape: np.ndarray) -> np.ndarray:
    """Length from the wrist joint to the tip of the middle finger along the bones, metres.

    shape: (..., 10). The pose does not change it.
    """
    return np.linalg.norm(_bones(template, shape), axis=-1).sum(-1)


def shape_for_length(
    template: HandTemplate, shape: np.ndarray, length: np.ndarray | float
) -> np.ndarray:
    """The shape (..., 10) nearest to the given one whose hand has this length (metres).

    Newton steps along the gradient of the length; shapes are in standard deviations, so the
    nearest one is also the likeliest change. Raises ValueError for a length that no hand has.
    """
    length = np.asarray(length, dtype=np.float64)
    low, high = LENGTH_RANGE
    if not (np.isfinite(length).all() and (length >= low).all() and (length <= high).all()):
        raise ValueError(
            f'hand length {length} m is not that of a hand; expected {low} to {high} m from the '
            'wrist joint to the tip of the middle finger along the bones'
        )
    shape = np.array(shape, dtype=np.float64)
    directions = _directions(template)
    for _ in range(4):
        bones = _bones(template, shape)
        lengths = np.linalg.norm(bones, axis=-1, keepdims=True)
        gradient = np.einsum('...kc,dkc->...d', bones / lengths, directions)
        missing = length - lengths[..., 0].sum(-1)
        shape = shape + gradient * (missing / (gradient ** 2).sum(-1))[..., None]
    return shape


def _directions(template: HandTemplate) -> np.ndarray:
    points = np.concatenate([
        template.joint_dirs[:, _CHAIN], template.tip_dirs[:, _MIDDLE_TIP:_MIDDLE_TIP + 1]], axis=1)
    return np.diff(points.astype(np.float64), axis=1)


def _bones(template: HandTemplate, shape: np.ndarray) -> np.ndarray:
    points = np.concatenate([
        template.joints[list(_CHAIN)], template.tips[_MIDDLE_TIP:_MIDDLE_TIP + 1]])
    rest = np.diff(points.astype(np.float64), axis=0)
    return rest + np.einsum('...d,dkc->...kc', np.asarray(shape, np.float64),
                            _directions(template))
