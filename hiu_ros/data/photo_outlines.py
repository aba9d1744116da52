"""Outlines of fitted hands, and photo masks held against them.

A fitted mesh knows where the gaps between fingers are, a colour mask where the edge of the hand
is: what a mask has far outside its mesh is cut off, and a mask that lacks much of it is refused.
"""

import cv2
import numpy as np
import torch

from hiu_ros.geometry.rotations import axis_angle_to_matrix
from hiu_ros.hand.model import HandModel
from hiu_ros.hand.skeleton import JOINT_COUNT, SHAPE_COUNT

#: Palm lengths from the mesh up to which a mask may be right; clean masks have 99.5 % within it.
REACH = 0.06
#: Shares of a mask cut off, and of a mesh left out by more than REACH, that still pass.
MOST_REMOVED = 0.16
MOST_MISSING = 0.08


def outline(
    model: HandModel, pose: np.ndarray, shape: np.ndarray, camera: np.ndarray, left: bool,
    pixels: int,
) -> tuple[np.ndarray, float]:
    """Silhouette (pixels, pixels) bool of one fitted hand, and its palm length in pixels.

    pose: (16, 3); shape: (10,); camera: (3,) s, tx, ty in crop units; left: the fit is that of
    the mirrored crop and its silhouette is mirrored back.
    """
    with torch.no_grad():
        hand = model(axis_angle_to_matrix(torch.as_tensor(pose).view(1, JOINT_COUNT, 3)),
                     torch.as_tensor(shape).view(1, SHAPE_COUNT))
    scale = camera[0] * pixels / 2
    points = (hand.vertices[0, :, :2].numpy() * camera[0] + camera[1:] + 1) * pixels / 2 - 0.5
    if left:
        points[:, 0] = (pixels - 1) - points[:, 0]
    picture = np.zeros((pixels, pixels), np.uint8)
    for triangle in np.round(points * 16).astype(np.int32)[model.faces.numpy()]:
        cv2.fillConvexPoly(picture, triangle, 1, cv2.LINE_8, 4)
    palm = float((hand.keypoints[0, 9] - hand.keypoints[0, 0]).norm() * scale)
    return picture.astype(bool), palm


def trim(
    mask: np.ndarray, silhouette: np.ndarray, palm: float
) -> tuple[np.ndarray, float, float]:
    """Cut a mask (n, n) uint8 0 / 255 to within REACH of a silhouette (n, n) bool.

    palm: pixels. Answers the mask, the share of it removed and the share of the silhouette that
    is farther than REACH from the mask.
    """
    hand = mask > 0
    if not hand.any() or not silhouette.any():
        return np.zeros_like(mask), 1.0, 1.0
    reach = REACH * palm
    near = cv2.distanceTransform((~silhouette).astype(np.uint8), cv2.DIST_L2, 3) <= reach
    kept = hand & near
    if not kept.any():
        return np.zeros_like(mask), 1.0, 1.0
    off = cv2.distanceTransform((~kept).astype(np.uint8), cv2.DIST_L2, 3) > reach
    return (np.where(kept, 255, 0).astype(np.uint8), float(1 - kept.sum() / hand.sum()),
            float((silhouette & off).sum() / silhouette.sum()))


def trim_fault(removed: float, missing: float) -> str:
    """What speaks against a trimmed mask: '', 'removed' or 'missing'."""
    if removed > MOST_REMOVED:
        return 'removed'
    return 'missing' if missing > MOST_MISSING else ''
