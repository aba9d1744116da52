"""Where a hand is in metres: from its shape, its pose and the pixels that its joints are seen at.

Everything is batched over hands (B) and in NumPy: a frame holds a few hands, and the systems
solved are three numbers large. Rays are normalised image points (x / z, y / z).
"""

from dataclasses import dataclass

import numpy as np

#: Fewest joints with a weight that place a hand.
MIN_POINTS = 4
#: Least distance, m, of a wrist before the camera.
NEAREST_M = 1e-3
#: Residuals beyond this many times the expected noise count linearly (Huber 1964).
_HUBER = 2.0
_STEPS = 5


@dataclass(frozen=True)
class Placement:
    """Wrist positions in the camera frame; rows are NaN where a hand could not be placed.

    translation: (B, 3) m. covariance: (B, 3, 3) m^2, from the noise of the joints alone.
    residual: (B,) weighted mean distance of seen and projected joints, in normalised units.
    """

    translation: np.ndarray
    covariance: np.ndarray
    residual: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """(B,) bool, True where the hand has a place."""
        return np.isfinite(self.translation).all(axis=1)


def rotation_to_ray(ray: np.ndarray) -> np.ndarray:
    """Smallest rotations (..., 3, 3) that take the z axis to unit rays (..., 3).

    Rodrigues' formula with axis z x ray: R = I + K + K^2 / (1 + cos). Rays must not point
    backwards.
    """
    ray = np.asarray(ray, dtype=np.float64)
    x, y, z = ray[..., 0], ray[..., 1], ray[..., 2]
    zero = np.zeros_like(x)
    cross = np.stack([
        np.stack([zero, zero, x], -1),
        np.stack([zero, zero, y], -1),
        np.stack([-x, -y, zero], -1),
    ], -2)
    return np.eye(3) + cross + cross @ cross / (1 + z)[..., None, None]


def crop_to_camera(ray: np.ndarray, angle: float) -> np.ndarray:
    """(3, 3) rotation from the virtual camera of a crop to the real camera.

    ray: unit vector from the real camera through the crop's centre. angle: the crop's turn in
    the image. The virtual camera stands at the same place, looks along the ray, and is turned
    about it by the crop's angle; a mirrored crop must have been mirrored back before.
    """
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return rotation_to_ray(ray) @ turn


def place(
    points: np.ndarray, rays: np.ndarray, weights: np.ndarray, noise: np.ndarray,
) -> Placement:
    """Translation that puts points on their rays.

    points: (B, N, 3) m, relative to the wrist, camera axes. rays: (B, N, 2). weights: (B, N) at
    least 0; points whose ray is not finite are left out. noise: (B,) expected distance of seen
    and true joints in normalised units (pixels / focal length).

    Closed form first: x_i (Z_i + t_z) = X_i + t_x, and the same in y, is linear in t. Its error
    grows with depth, so Gauss-Newton steps on the projection error follow, with Huber weights.
    """
    points = np.asarray(points, dtype=np.float64)
    rays = np.asarray(rays, dtype=np.float64)
    seen = np.isfinite(rays).all(axis=-1)
    weights = np.where(seen, np.asarray(weights, dtype=np.float64), 0.0)
    rays = np.where(seen[..., None], rays, 0.0)
    enough = (weights > 0).sum(axis=1) >= MIN_POINTS
    noise = np.asarray(noise, dtype=np.float64)

    translation = _closed_form(points, rays, weights)
    middle = points[..., 2].mean(axis=1)
    enough &= translation[:, 2] + middle > 1e-3
    translation[~enough] = [0.0, 0.0, 1.0]
    for _ in range(_STEPS):
        jacobian, error = _linearise(points, rays, translation)
        robust = weights * huber(np.linalg.norm(error, axis=-1), noise[:, None])
        normal = np.einsum('bnki,bn,bnkj->bij', jacobian, robust, jacobian)
        gradient = np.einsum('bnki,bn,bnk->bi', jacobian, robust, error)
        step = _solve(normal, gradient)
        # At most a third of the way to the hand's middle at once keeps that before the camera. The
        # wrist may start behind it.
        limit = 0.3 * (translation[:, 2] + middle)
        length = np.linalg.norm(step, axis=1)
        step *= np.minimum(1.0, limit / np.maximum(length, 1e-12))[:, None]
        translation = translation + step
    error = np.linalg.norm(_linearise(points, rays, translation)[1], axis=-1)
    residual = (weights * error).sum(1) / np.maximum(weights.sum(1), 1e-12)
    spread = np.maximum(noise, residual)
    covariance = np.linalg.pinv(normal, hermitian=True) * (spread ** 2)[:, None, None]
    good = enough & (translation[:, 2] > NEAREST_M) & np.isfinite(translation).all(axis=1)
    translation[~good], covariance[~good], residual[~good] = np.nan, np.nan, np.nan
    return Placement(translation, covariance, residual)


def huber(distance: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Weights of distances under the Huber loss; 1 up to a few times the noise."""
    return np.minimum(1.0, _HUBER * noise / np.maximum(distance, 1e-12))


def _closed_form(points: np.ndarray, rays: np.ndarray, weights: np.ndarray) -> np.ndarray:
    x, y = rays[..., 0], rays[..., 1]
    w = weights
    normal = np.zeros((len(points), 3, 3))
    normal[:, 0, 0] = normal[:, 1, 1] = w.sum(1)
    normal[:, 0, 2] = normal[:, 2, 0] = -(w * x).sum(1)
    normal[:, 1, 2] = normal[:, 2, 1] = -(w * y).sum(1)
    normal[:, 2, 2] = (w * (x * x + y * y)).sum(1)
    ex = x * points[..., 2] - points[..., 0]
    ey = y * points[..., 2] - points[..., 1]
    right = np.stack([(w * ex).sum(1), (w * ey).sum(1), -(w * (x * ex + y * ey)).sum(1)], 1)
    return _solve(normal, right)


def _linearise(
    points: np.ndarray, rays: np.ndarray, translation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Jacobian (B, N, 2, 3) of the projection by translation, and rays minus projections."""
    placed = points + translation[:, None]
    inverse = 1 / np.maximum(placed[..., 2], 1e-3)
    flat = placed[..., :2] * inverse[..., None]
    jacobian = np.zeros((*flat.shape, 3))
    jacobian[..., 0, 0] = jacobian[..., 1, 1] = inverse
    jacobian[..., 2] = -flat * inverse[..., None]
    return jacobian, rays - flat


def _solve(normal: np.ndarray, right: np.ndarray) -> np.ndarray:
    ridge = 1e-12 * (1.0 + np.trace(normal, axis1=1, axis2=2))
    return np.linalg.solve(normal + ridge[:, None, None] * np.eye(3), right[..., None])[..., 0]
