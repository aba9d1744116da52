"""Bring a predicted hand pose into line with the joints seen in the image.

The network answers twice: joints in the image, precise sideways, and a pose of the hand model,
which knows depth. The fit is the most probable pose between both: it minimises

    sum_i w_i huber(|project(P_i(R, t)) - ray_i| / noise) + sum_j |(log R_j R0_j^T) / sigma_j|^2

over the 16 joint rotations R and the place t of the wrist, by Gauss-Newton with analytic
derivatives. NumPy, batched over hands (B).
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.placement import huber
from hiu_ros.hand.skeleton import JOINT_COUNT, JOINT_PARENTS, KEYPOINTS_FROM_JOINTS

#: Joint that carries each tip: thumb, index, middle, ring, pinky.
_TIP_JOINTS = (15, 3, 6, 12, 9)
_ORDER = list(KEYPOINTS_FROM_JOINTS)


def _moved_by() -> np.ndarray:
    """(21, 16) bool: keypoint k moves when joint j turns."""
    above = np.eye(JOINT_COUNT, dtype=bool)
    for joint in range(1, JOINT_COUNT):
        above[joint] |= above[JOINT_PARENTS[joint]]
    place = above & ~np.eye(JOINT_COUNT, dtype=bool)
    return np.concatenate([place, above[list(_TIP_JOINTS)]])[_ORDER]


_MOVED_BY = _moved_by()


@dataclass(frozen=True)
class PoseDoubt:
    """Standard deviations (radians) of a predicted pose, by joint; the prior of the fit.

    Fingers bend about z of their rest axes and spread about y; the thumb has no such axes.
    """

    wrist: float = 0.15
    bend: float = 0.25
    spread: float = 0.12
    twist: float = 0.05
    thumb: float = 0.2

    def table(self) -> np.ndarray:
        """(16, 3) by joint and axis of the parent."""
        sigma = np.empty((JOINT_COUNT, 3))
        sigma[:] = [self.twist, self.twist, self.bend]
        sigma[[1, 4, 7, 10], 1] = self.spread
        sigma[0] = self.wrist
        sigma[13:] = self.thumb
        return sigma


@dataclass(frozen=True)
class PoseFit:
    """rotations (B, 16, 3, 3), translation (B, 3) m, depth_variance (B,) m^2, residual (B,)."""

    rotations: np.ndarray
    translation: np.ndarray
    depth_variance: np.ndarray
    residual: np.ndarray


def chain(
    rotations: np.ndarray, joints: np.ndarray, tips: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints (B, 21, 3), joints (B, 16, 3) and turns of the parents (B, 16, 3, 3).

    rotations: (B, 16, 3, 3) relative to the parent. joints (B, 16, 3), tips (B, 5, 3): rest pose.
    """
    turns = np.empty_like(rotations)
    parents = np.empty_like(rotations)
    places = np.empty_like(joints)
    parents[:, 0], turns[:, 0], places[:, 0] = np.eye(3), rotations[:, 0], joints[:, 0]
    # Index, middle, pinky, ring and thumb are walked side by side.
    for level in range(1, 4):
        js = np.arange(level, JOINT_COUNT, 3)
        ps = np.zeros_like(js) if level == 1 else js - 1
        parents[:, js] = turns[:, ps]
        turns[:, js] = parents[:, js] @ rotations[:, js]
        bone = (joints[:, js] - joints[:, ps])[..., None]
        places[:, js] = places[:, ps] + (parents[:, js] @ bone)[..., 0]
    last = list(_TIP_JOINTS)
    ends = places[:, last] + (turns[:, last] @ (tips - joints[:, last])[..., None])[..., 0]
    return np.concatenate([places, ends], axis=1)[:, _ORDER], places, parents


def fit_pose(
    rotations: np.ndarray,
    translation: np.ndarray,
    joints: np.ndarray,
    tips: np.ndarray,
    rays: np.ndarray,
    weights: np.ndarray,
    noise: np.ndarray,
    doubt: PoseDoubt = PoseDoubt(),
    steps: int = 4,
) -> PoseFit:
    """Refine poses and places; see the module.

    rotations (B, 16, 3, 3): prediction and start, row 0 to camera axes. translation (B, 3): a
    start, all z positive. joints (B, 16, 3), tips (B, 5, 3): rest pose in metres, wrist at 0.
    rays (B, 21, 2), weights (B, 21), noise (B,) as in `placement.place`.
    """
    start = np.asarray(rotations, dtype=np.float64)
    turned, place = start.copy(), np.asarray(translation, dtype=np.float64).copy()
    seen = np.isfinite(rays).all(axis=-1)
    weights = np.where(seen, np.asarray(weights, dtype=np.float64), 0.0)
    rays = np.where(seen[..., None], rays, 0.0)
    batch, size = len(start), 3 * JOINT_COUNT
    # The place has no prior; a trace of one keeps the system solvable without any joint.
    precision = np.full(size + 3, 1e-6)
    precision[:size] = doubt.table().reshape(-1) ** -2.0
    scale = 1 / np.asarray(noise, dtype=np.float64)[:, None]
    deviation = np.zeros((batch, size + 3))
    for _ in range(steps):
        jacobian, error = _linearise(turned, place, joints, tips, rays)
        robust = weights * huber(np.linalg.norm(error, axis=-1), 1 / scale) * scale ** 2
        flat = jacobian.reshape(batch, -1, size + 3)
        weighted = (flat * np.repeat(robust, 2, axis=1)[..., None]).swapaxes(1, 2)
        normal = weighted @ flat
        normal[:, range(size + 3), range(size + 3)] += precision
        gradient = weighted @ error.reshape(batch, -1, 1)
        step = np.linalg.solve(normal, gradient - (precision * deviation)[..., None])[..., 0]
        move, limit = step[:, size:], 0.3 * place[:, 2]
        length = np.linalg.norm(move, axis=1)
        place = place + move * np.minimum(1.0, limit / np.maximum(length, 1e-12))[:, None]
        turn = Rotation.from_rotvec(step[:, :size].reshape(-1, 3)).as_matrix()
        turned = turn.reshape(start.shape) @ turned
        away = (turned @ start.swapaxes(-1, -2)).reshape(-1, 3, 3)
        deviation[:, :size] = Rotation.from_matrix(away).as_rotvec().reshape(batch, size)
    error = np.linalg.norm(_linearise(turned, place, joints, tips, rays)[1], axis=-1)
    residual = (weights * error).sum(1) / np.maximum(weights.sum(1), 1e-12)
    variance = np.linalg.inv(normal)[:, -1, -1]
    return PoseFit(turned, place, variance, residual)


def _linearise(rotations, place, joints, tips, rays):
    """Jacobian (B, 21, 2, 51) of projections by joint turns and place; rays minus projections.

    A turn d of joint j, in the axes of its parent G, moves a point P below by (G d) x (P - J_j).
    """
    points, places, parents = chain(rotations, joints, tips)
    arm = (points[:, :, None] - places[:, None]) * _MOVED_BY[:, :, None]
    ax, ay, az = (parents[:, None, :, k] for k in range(3))
    px, py, pz = (arm[..., k, None] for k in range(3))
    spin = np.stack([ay * pz - az * py, az * px - ax * pz, ax * py - ay * px], axis=-1)
    spin = spin.reshape(*points.shape[:2], -1, 3)
    placed = points + place[:, None]
    inverse = 1 / np.maximum(placed[..., 2:], 1e-3)
    flat = placed[..., :2] * inverse
    count = spin.shape[2]
    jacobian = np.zeros((*flat.shape, count + 3))
    jacobian[..., :count] = (
        (spin[..., :2] - flat[:, :, None] * spin[..., 2:]) * inverse[..., None]
    ).swapaxes(-1, -2)
    jacobian[..., 0, count] = jacobian[..., 1, count + 1] = inverse[..., 0]
    jacobian[..., count + 2] = -flat * inverse
    return jacobian, rays - flat
