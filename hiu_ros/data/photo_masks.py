"""Hand masks of photographs: GrabCut started from the 21 joints, and whether to believe it.

The mask is the hand alone, as in the renders: it ends at the wrist. Lengths below are in palm
lengths (wrist to the base of the middle finger, seen from the front).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from hiu_ros.geometry.crop import Crop
from hiu_ros.hand.skeleton import BONES

WORK_PIXELS = 128
WORK_SCALE = 1.6
ITERATIONS = 4

#: Radii about the bones of fingers and of the palm.
SURE = (0.045, 0.0)
LIKELY = (0.07, 0.13)
BAND = (0.11, 0.26)
NOMINAL = (0.085, 0.11)
#: How far behind the wrist joint the hand ends.
WRIST_CUT = 0.08
FOREARM_RADIUS = 0.6

AREA_RANGE = (0.7, 1.45)
LEAST_OVERLAP = 0.62
MOST_SPILL = 0.145
LEAST_COVER = 0.75

_PALM = (0, 1, 5, 9, 13, 17)
_FINGER_BONES = tuple((child, parent) for child, parent in BONES if parent > 1)
_PALM_BONES = ((1, 0), (2, 1), (5, 0), (17, 0), (9, 5), (13, 9), (17, 13), (5, 1))


@dataclass(frozen=True)
class PhotoMask:
    """A mask (H, W) uint8 0 / 255 of the image it was made for, and whether it can be believed.

    area: relative to the capsules of the joints; overlap: intersection over union with them;
    spill: share of the mask far from every bone; cover: share of the capsules in the mask.
    """

    mask: np.ndarray
    area: float = 0.0
    overlap: float = 0.0
    spill: float = 1.0
    cover: float = 0.0

    @property
    def quality(self) -> tuple[float, float, float, float]:
        """(area, overlap, spill, cover), what `mask_fault` judges."""
        return self.area, self.overlap, self.spill, self.cover

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against the mask."""
        return not mask_fault(*self.quality)


def mask_fault(area: float, overlap: float, spill: float, cover: float) -> str:
    """What speaks against a mask of this quality: '', 'area', 'spill', 'cover' or 'overlap'."""
    if not AREA_RANGE[0] <= area <= AREA_RANGE[1]:
        return 'area'
    if spill > MOST_SPILL:
        return 'spill'
    if cover < LEAST_COVER:
        return 'cover'
    return 'overlap' if overlap < LEAST_OVERLAP else ''


def palm_length(keypoints: np.ndarray) -> float:
    """Pixels that the palm of these (21, 2) joints would be long seen from the front.

    The largest of several lengths of the hand, each divided by its usual share of the palm:
    foreshortening makes some of them short, seldom all.
    """
    def length(*chain: int) -> float:
        return float(np.linalg.norm(np.diff(keypoints[list(chain)], axis=0), axis=1).sum())

    return max(
        length(0, 5) / 1.02, length(0, 9), length(0, 13) / 0.97, length(0, 17) / 0.95,
        length(5, 17) / 0.68, length(5, 6, 7, 8) / 0.92, length(9, 10, 11, 12) / 1.02,
        length(13, 14, 15, 16) / 0.95,
    )


def capsules(keypoints: np.ndarray, radii: tuple[float, float], pixels: int) -> np.ndarray:
    """Draw (21, 2) joints as capsules about the fingers' bones and a palm: (pixels, pixels) bool.

    radii: about the bones of the fingers and about the palm, palm lengths; without a palm where
    its radius is 0.
    """
    scale = palm_length(keypoints)
    finger, palm = (max(1, round(2 * radius * scale)) for radius in radii)
    picture = np.zeros((pixels, pixels), np.uint8)
    points = np.round(np.clip(keypoints, -8 * pixels, 8 * pixels) * 16).astype(np.int32)

    def line(start: np.ndarray, end: np.ndarray, thickness: int) -> None:
        cv2.line(picture, start.tolist(), end.tolist(), 1, thickness, cv2.LINE_8, 4)

    for child, parent in _FINGER_BONES:
        line(points[child], points[parent], finger)
    if radii[1] > 0:
        axis = keypoints[9] - keypoints[0]
        axis = axis / max(float(np.linalg.norm(axis)), 1e-6)
        width = max(0.34 * float(np.linalg.norm(keypoints[5] - keypoints[17])), 0.14 * scale)
        ends = keypoints[0] + np.outer([-width, width], [-axis[1], axis[0]])
        ends = np.round(ends * 16).astype(np.int32)
        outline = cv2.convexHull(np.concatenate([points[list(_PALM)], ends]))
        cv2.fillConvexPoly(picture, outline, 1, cv2.LINE_8, 4)
        line(ends[0], ends[1], palm)
        for child, parent in _PALM_BONES:
            line(points[child], points[parent], palm)
    return picture.astype(bool)


def hand_mask(
    image: np.ndarray, keypoints: np.ndarray, others: tuple[np.ndarray, ...] = ()
) -> PhotoMask:
    """Mask of the hand with these (21, 2) joints in an image (H, W, 3) uint8 BGR.

    others: the joints of the image's other hands, which are kept out of the mask. Always the
    same answer for the same input.
    """
    crop = Crop.around_keypoints(keypoints, WORK_SCALE, WORK_PIXELS)
    picture = crop.extract(image, border='replicate')
    inside = crop.extract(np.ones(image.shape[:2], np.uint8), nearest=True).astype(bool)
    answer = _segment(picture, inside, crop.to_crop(keypoints),
                      [crop.to_crop(points) for points in others])
    smooth = cv2.GaussianBlur(answer.mask, (0, 0), 0.8)
    full = crop.paste(smooth, image.shape[0], image.shape[1])
    mask = np.where(full > 127, 255, 0).astype(np.uint8)
    return PhotoMask(mask, *answer.quality)


def _segment(
    picture: np.ndarray, inside: np.ndarray, keypoints: np.ndarray, others: list[np.ndarray]
) -> PhotoMask:
    size = WORK_PIXELS
    sure = _eroded_palm(keypoints) | capsules(keypoints, SURE, size)
    likely = capsules(keypoints, LIKELY, size)
    band = capsules(keypoints, BAND, size)
    fingers = capsules(keypoints, (LIKELY[0], 0.0), size)
    behind, forearm = _behind_wrist(keypoints, fingers)
    foreign = np.zeros((size, size), bool)
    near = np.zeros((size, size), bool)
    for points in others:
        foreign |= capsules(points, LIKELY, size)
        near |= capsules(points, BAND, size)
    foreign &= ~likely
    near &= ~likely

    labels = np.full((size, size), cv2.GC_BGD, np.uint8)
    labels[band] = cv2.GC_PR_BGD
    labels[likely] = cv2.GC_PR_FGD
    labels[sure] = cv2.GC_FGD
    banned = behind | foreign | ~inside
    labels[banned] = cv2.GC_BGD
    picture = _hide_skin(picture, labels, forearm | near | ~inside)
    if not (labels == cv2.GC_FGD).any() or not (labels == cv2.GC_BGD).any():
        return PhotoMask(np.zeros((size, size), np.uint8))
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(picture, labels, None, background, foreground, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    mask = _tidy(np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)), sure,
                 palm_length(keypoints))
    nominal = capsules(keypoints, NOMINAL, size) & ~banned
    return _measure(mask, nominal, likely)


def _eroded_palm(keypoints: np.ndarray) -> np.ndarray:
    picture = np.zeros((WORK_PIXELS, WORK_PIXELS), np.uint8)
    palm = keypoints[list(_PALM)]
    shrunk = palm.mean(axis=0) + 0.8 * (palm - palm.mean(axis=0))
    points = cv2.convexHull(np.round(shrunk * 16).astype(np.int32))
    return cv2.fillConvexPoly(picture, points, 1, cv2.LINE_8, 4).astype(bool)


def _behind_wrist(keypoints: np.ndarray, fingers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels behind the wrist that no finger covers, and those of them on the forearm."""
    scale = palm_length(keypoints)
    axis = keypoints[9] - keypoints[0]
    seen = float(np.linalg.norm(axis))
    axis = axis / max(seen, 1e-6)
    rows, columns = np.mgrid[:WORK_PIXELS, :WORK_PIXELS]
    x, y = columns - keypoints[0, 0], rows - keypoints[0, 1]
    along = x * axis[0] + y * axis[1]
    across = np.abs(x * axis[1] - y * axis[0])
    if seen < 0.3 * scale:
        return np.zeros_like(fingers), np.zeros_like(fingers)
    behind = (along < -WRIST_CUT * scale) & ~fingers
    return behind, behind & (across < FOREARM_RADIUS * scale)


def _hide_skin(picture: np.ndarray, labels: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Paint hidden background with colours of the rest of it, so that skin there misleads not."""
    plain = (labels == cv2.GC_BGD) & ~hidden
    hidden = hidden & (labels == cv2.GC_BGD)
    if plain.sum() < 100 or not hidden.any():
        return picture
    picture = picture.copy()
    source = picture[plain]
    picture[hidden] = source[np.random.default_rng(0).integers(0, len(source), hidden.sum())]
    return picture


def _tidy(mask: np.ndarray, sure: np.ndarray, scale: float) -> np.ndarray:
    """Keep the parts that hold sure pixels, fill pinholes; 0 / 255."""
    mask = mask.astype(np.uint8)
    _, parts = cv2.connectedComponents(mask, connectivity=4)
    kept = np.unique(parts[sure & (mask > 0)])
    mask = np.isin(parts, kept[kept > 0]).astype(np.uint8)
    count, holes, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    for index in range(1, count):
        if stats[index, cv2.CC_STAT_AREA] < (0.1 * scale) ** 2:
            mask[holes == index] = 1
    return mask * 255


def _measure(mask: np.ndarray, nominal: np.ndarray, likely: np.ndarray) -> PhotoMask:
    hand = mask > 0
    union = max(int((hand | nominal).sum()), 1)
    return PhotoMask(
        mask,
        area=float(hand.sum() / max(int(nominal.sum()), 1)),
        overlap=float((hand & nominal).sum() / union),
        spill=float((hand & ~likely).sum() / max(int(hand.sum()), 1)),
        cover=float((hand & nominal).sum() / max(int(nominal.sum()), 1)),
    )
