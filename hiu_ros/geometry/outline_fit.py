"""How much nearer and where a hand is, from the outline of its mask against that of its mesh.

Joints lie within the hand, and a read-out that is not sure of them pulls them to its middle: the
hand then seems farther than it is. The outline has no such pull. Each point of it asks the mesh's
outline to move along its normal, and a scale and a shift answer all of them,

    s n_i . (p_i - c) + n_i . t = d_i

solved with weights that leave out points far from the mesh: where something is in front of the
hand, or the mask has run into another thing.
"""

from dataclasses import dataclass

import cv2
import numpy as np

#: Fewest points of an outline, and the share of them that must be near the mesh.
MIN_POINTS, MIN_SHARE = 40, 0.4
#: Tukey's limit: a point farther away than this share of the hand's size does not count.
_FAR = 0.09
_STEPS = 7
#: Error of an outline over the hand's size. Neighbours on it share their errors: so many of its
#: points count.
_NOISE, _INDEPENDENT = 0.02, 24
#: A mask's outermost pixels lie half a pixel within its edge; and pixels that a drawn triangle
#: only touches are filled, too, which makes a quarter of a pixel.
_WITHIN = 0.5 + 0.25
#: Sub-pixel bits of OpenCV's drawing.
_SHIFT = 4


@dataclass(frozen=True)
class OutlineFit:
    """scale: by which the mesh should grow about `centre`. shift: (2,) px that it should move.
    share: of the outline that agreed."""

    scale: float
    shift: np.ndarray
    centre: np.ndarray
    share: float


def silhouette(points: np.ndarray, faces: np.ndarray, size: int, mirrored: bool) -> np.ndarray:
    """(size, size) uint8, 255 where a mesh is.

    points: (V, 2) pixels of the picture. faces: (F, 3), counter-clockwise seen from outside.
    mirrored: the picture is; only faces that look at the camera are drawn.
    """
    corners = points[faces]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    # Image rows run down, so a face that looks at the camera turns clockwise in numbers.
    ahead = area > 0 if mirrored else area < 0
    scaled = np.rint(np.clip(corners[ahead], -999, 9999) * (1 << _SHIFT)).astype(np.int32)
    picture = np.zeros((size, size), np.uint8)
    for triangle in scaled:
        cv2.fillConvexPoly(picture, triangle, 255, cv2.LINE_8, _SHIFT)
    return picture


def fit_outline(
    mask: np.ndarray, mesh: np.ndarray, usable: np.ndarray | None = None,
    scale_doubt: float = 0.1, shift_doubt: float = 0.03,
) -> OutlineFit | None:
    """Scale and shift that bring the outline of a mesh onto that of a mask; None for too little.

    mask, mesh: (n, n) bool or uint8, of the same picture. usable: (n, n) bool, False where the
    mask's outline is none of the hand (edge of the image, another hand). scale_doubt,
    shift_doubt: prior deviations of the mesh's size, and of its place over its size.
    """
    outline, _ = cv2.findContours(
        (np.asarray(mask) > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    inside = (np.asarray(mesh) > 0).astype(np.uint8)
    # A mesh that fills the picture has no outline in it.
    if not outline or not inside.any() or inside.all():
        return None
    points = np.concatenate(outline)[:, 0]
    n = inside.shape[0]
    # The frame of the picture is no outline.
    good = (points > 1).all(axis=1) & (points < n - 2).all(axis=1)
    if usable is not None:
        good &= usable[points[:, 1], points[:, 0]]
    points = points[good]
    if len(points) < MIN_POINTS:
        return None
    away = np.where(inside > 0, 0.5 - cv2.distanceTransform(inside, cv2.DIST_L2, 5),
                    cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5) - 0.5).astype(np.float32)
    smooth = cv2.GaussianBlur(away, (0, 0), 1.5)
    slope = np.stack(
        [cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)], -1)
    rows, columns = np.nonzero(inside)
    centre, size = np.array([columns.mean(), rows.mean()]), float(np.sqrt(len(rows)))
    prior = np.array([scale_doubt, shift_doubt, shift_doubt]) ** -2.0
    noise = _NOISE * size * np.sqrt(len(points) / _INDEPENDENT)
    answer = np.zeros(3)
    for step in range(_STEPS):
        # The outline is taken back to where the mesh was drawn.
        moved = (points - centre - answer[1:] * size) / (1 + answer[0]) + centre
        x, y = np.clip(np.rint(moved).astype(int), 0, n - 1).T
        normal = slope[y, x] / np.maximum(np.linalg.norm(slope[y, x], axis=1, keepdims=True), 1e-6)
        left = away[y, x] + _WITHIN + ((moved - np.stack([x, y], 1)) * normal).sum(1)
        system = np.concatenate(
            [(normal * (moved - centre)).sum(1, keepdims=True), normal * size], axis=1)
        # From a wide limit to a narrow one, so that a wrong scale does not hide its own evidence.
        reach = _FAR * size * max(0.8, 1.6 - 0.2 * step)
        weight = np.clip(1 - (left / reach) ** 2, 0, None) ** 2
        weighted = system * (weight / noise ** 2)[:, None]
        change = np.linalg.solve(weighted.T @ system + np.diag(prior),
                                 weighted.T @ left - prior * answer)
        answer = answer + np.clip(change, -0.2, 0.2)
        answer[0] = np.clip(answer[0], -0.4, 0.6)
    share = float((weight > 0.25).mean())
    if share < MIN_SHARE:
        return None
    return OutlineFit(1.0 + float(answer[0]), answer[1:] * size, centre, share)
