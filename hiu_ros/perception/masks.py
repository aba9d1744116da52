"""The mask of a hand: from the probabilities of its crop to a region of the image."""

from dataclasses import replace

import cv2
import numpy as np

from hiu_ros.geometry.crop import Crop
from hiu_ros.perception.outline_filter import FINER, along_edges

#: Specks smaller than this share of the largest piece are no part of the hand.
_SPECK = 0.1
#: Pixels of an image for one of its crop from which fewer are looked at: all would take longer
#: than the rest.
_LARGE = 2


def seen_mask(
    probability: np.ndarray, crop: Crop, image: np.ndarray, threshold: float = 0.5,
) -> tuple[np.ndarray, tuple[int, int]]:
    """As `mask_region`, with the outline where the image (H, W, 3) uint8 BGR has it."""
    finer = replace(crop, resolution=FINER * crop.resolution)
    fine = along_edges(probability, _picture(finer, image))
    return mask_region(fine, finer, image.shape[1], image.shape[0], threshold)


def _picture(crop: Crop, image: np.ndarray) -> np.ndarray:
    """A crop of an image; of a large one it averages four pixels for each, not all of them."""
    if crop.size < _LARGE * crop.resolution:
        return crop.extract(image, border='replicate')
    some = replace(crop, resolution=2 * crop.resolution)
    return cv2.resize(some.extract(image, border='replicate', nearest=True),
                      (crop.resolution, crop.resolution), interpolation=cv2.INTER_AREA)


def mask_region(
    probability: np.ndarray, crop: Crop, width: int, height: int, threshold: float = 0.5,
) -> tuple[np.ndarray, tuple[int, int]]:
    """Mask of the hand in the smallest region of the image that holds it.

    probability: (n, n) in pixels of the crop. Returns (h, w) uint8 of 0 and 255, and the image
    pixel x, y of its first pixel. A hand without any pixel in the image gives one pixel of 0.
    """
    probability = _without_specks(np.asarray(probability, dtype=np.float32), threshold)
    rows, columns = np.nonzero(probability >= threshold)
    nothing = np.zeros((1, 1), np.uint8), _inside(crop.centre, width, height)
    if not len(rows):
        return nothing
    # A crop pixel covers half a pixel around its centre, and the edge lies beyond the last one.
    corners = np.array([
        [x, y] for x in (columns.min() - 1, columns.max() + 1)
        for y in (rows.min() - 1, rows.max() + 1)
    ])
    points = crop.to_image(corners)
    left, top = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, [width, height])
    if right <= left or bottom <= top:
        return nothing
    matrix = crop.matrix()
    matrix[:, 2] += matrix[:, :2] @ [left, top]
    warped = cv2.warpAffine(
        probability, matrix, (int(right - left), int(bottom - top)),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT,
    )
    mask = (warped >= threshold).astype(np.uint8) * 255
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return nothing
    tight = mask[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    return np.ascontiguousarray(tight), (int(left + columns[0]), int(top + rows[0]))


def full_mask(mask: np.ndarray, origin: tuple[int, int], width: int, height: int) -> np.ndarray:
    """(height, width) uint8 image of 0 with the region laid into it."""
    image = np.zeros((height, width), np.uint8)
    x, y = origin
    h, w = mask.shape
    part = image[max(y, 0):max(y + h, 0), max(x, 0):max(x + w, 0)]
    part[:] = mask[max(-y, 0):, max(-x, 0):][:part.shape[0], :part.shape[1]]
    return image


def _without_specks(probability: np.ndarray, threshold: float) -> np.ndarray:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (probability >= threshold).astype(np.uint8), connectivity=8)
    if count <= 2:
        return probability
    area = stats[:, cv2.CC_STAT_AREA].copy()
    area[0] = 0
    specks = np.flatnonzero(area < _SPECK * area.max())
    specks = specks[specks > 0]
    return np.where(np.isin(labels, specks), 0.0, probability) if len(specks) else probability


def _inside(point: tuple[float, float], width: int, height: int) -> tuple[int, int]:
    x, y = (int(round(value)) for value in point)
    return min(max(x, 0), width - 1), min(max(y, 0), height - 1)
