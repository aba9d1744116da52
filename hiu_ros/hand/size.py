"""How long a hand and its bones are, and the shapes that make them so long."""

import numpy as np

from hiu_ros.hand.skeleton import BONES, KEYPOINTS_FROM_JOINTS
from hiu_ros.hand.template import HandTemplate

#: Joints from the wrist to the last one of the middle finger; its tip follows.
_CHAIN = (0, 4, 5, 6)
_MIDDLE_TIP = 1 + 1  # thumb, index, middle
#: Lengths (m) that a human hand, child to giant, can have.
LENGTH_RANGE = (0.08, 0.30)
#: Joints of two hand models sit a little apart in the same bone, m.
_SAME_BONE = 0.002


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


def shape_of_other(
    learned: HandTemplate, shape: np.ndarray, template: HandTemplate
) -> np.ndarray:
    """The shape (10,) of a template whose bones are as long as those of another hand's shape.

    Coefficients mean something else in every hand model; what a network that learned one hand
    tells of a person, another one can show by the lengths of its bones. Of all shapes the
    likeliest one: lengths agree to `_SAME_BONE`, and shapes are in standard deviations.
    """
    wanted = np.linalg.norm(_all_bones(learned, shape)[0], axis=-1)
    other = np.zeros(len(template.joint_dirs))
    for _ in range(6):
        bones, directions = _all_bones(template, other)
        lengths = np.linalg.norm(bones, axis=-1)
        slope = np.einsum('bc,dbc->bd', bones / lengths[:, None], directions) / _SAME_BONE
        miss = (wanted - lengths) / _SAME_BONE + slope @ other
        other = np.linalg.solve(slope.T @ slope + np.eye(len(other)), slope.T @ miss)
    return other


def _all_bones(template: HandTemplate, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bones (20, 3) at rest, and how each shape changes them (10, 20, 3); m."""
    points = np.concatenate([template.joints, template.tips])[list(KEYPOINTS_FROM_JOINTS)]
    change = np.concatenate(
        [template.joint_dirs, template.tip_dirs], axis=1)[:, list(KEYPOINTS_FROM_JOINTS)]
    ends, starts = np.array(BONES).T
    directions = change[:, ends].astype(np.float64) - change[:, starts]
    rest = points[ends].astype(np.float64) - points[starts]
    return rest + np.tensordot(np.asarray(shape, np.float64), directions, 1), directions


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
