"""Photos with a thing before the hand, to see what that does to the scores."""

from collections.abc import Iterable
from zlib import crc32

import cv2
import numpy as np

from hiu_ros.data.photos import Photo, PhotoFolder
from hiu_ros.evaluation.cut_photos import LEAST_HAND
from hiu_ros.evaluation.photos import TruthMask, joint_box
from hiu_ros.geometry.crop import Crop

#: The narrower side of a thing over the wider one, and steps in which it grows.
_NARROW, _STEPS = (0.35, 1.0), np.linspace(0.05, 2.0, 118)


class HiddenPhotos:
    """Photos of one labelled hand with a thing drawn over it that hides a share of its joints.

    The thing is a box or an oval of one or two colours in even light, always the same for a
    photo; `photos` are those it is drawn in, whose labels stay; `read_image` as of a
    `PhotoFolder`.
    """

    def __init__(self, folder: PhotoFolder, photos: Iterable[Photo], share: float) -> None:
        """Raises ValueError for a share that is not between 0 and 1."""
        if not 0 < share < 1:
            raise ValueError(f'the share of joints behind a thing must be between 0 and 1, got '
                             f'{share}')
        self._folder, self._share = folder, share
        self.photos = [photo for photo in photos if len(photo.hands) == 1
                       and joint_box(photo.hands[0].keypoints_px)[2:].max() >= LEAST_HAND]

    def read_image(self, photo: Photo) -> np.ndarray:
        """The image of one of `photos` with the thing in it, (H, W, 3) uint8 BGR."""
        image = self._folder.read_image(photo)
        corners, oval, rng = self._thing(photo)
        cover = drawn(corners, oval, image.shape[:2])[..., None].astype(np.float32) / 255
        colours = rng.uniform(20, 235, (2, 3))
        side = np.linalg.norm(corners[1] - corners[0])
        along = (corners[1] - corners[0]) / side
        rows, columns = np.indices(image.shape[:2], np.float32)
        place = (columns - corners[0, 0]) * along[0] + (rows - corners[0, 1]) * along[1]
        striped = (np.floor(place / side * rng.integers(2, 7)) % 2 if rng.random() < 0.5
                   else np.zeros_like(place))
        light = 1 + 0.25 * np.sin(place / side * np.pi * rng.uniform(0.5, 1.5))
        colour = np.where(striped[..., None] > 0, colours[1], colours[0]) * light[..., None]
        return np.clip(image * (1 - cover) + colour * cover, 0, 255).round().astype(np.uint8)

    def truth(self, truth_mask: TruthMask) -> TruthMask:
        """Masks of the photos as they are, without what the thing hides."""

        def shown_mask(photo: Photo, number: int, image: np.ndarray):
            found = truth_mask(photo, number, image)
            if found is None:
                return None
            crop: Crop = found[0]
            corners, oval, _ = self._thing(photo)
            cover = drawn(corners, oval, (photo.height, photo.width))
            return crop, np.where(crop.extract(cover, nearest=True) > 127, 0, found[1])

        return shown_mask

    def _thing(self, photo: Photo) -> tuple[np.ndarray, bool, np.random.Generator]:
        rng = np.random.default_rng(crc32(photo.file.encode()))
        return *thing(photo.hands[0].keypoints_px, self._share, rng), rng


def thing(points: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Corners (4, 2) px, in turn, of a rectangle about at least a share of the points (21, 2).

    And whether only the oval within it counts. It lies about one of the points, turned anyhow.
    """
    aim = points[rng.integers(len(points))]
    narrow, angle, oval = rng.uniform(*_NARROW), rng.uniform(0, np.pi), rng.random() < 0.5
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    half = np.array([1.0, narrow]) * joint_box(points)[2:].max()
    place = (points - aim) @ axes.T / half
    reach = np.sqrt((place ** 2).sum(1)) if oval else np.abs(place).max(1)
    size = next((s for s in _STEPS if (reach <= s).mean() >= share), _STEPS[-1])
    ring = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half * size
    return aim + ring @ axes, oval


def drawn(corners: np.ndarray, oval: bool, shape: tuple[int, int]) -> np.ndarray:
    """Where a thing of `thing` is in an image of this shape (H, W): (H, W) uint8, 0 to 255."""
    cover = np.zeros(shape, np.uint8)
    if oval:
        x, y = corners[1] - corners[0]
        size = np.linalg.norm([x, y]), np.linalg.norm(corners[3] - corners[0])
        cv2.ellipse(cover, (tuple(corners.mean(0)), size, float(np.degrees(np.arctan2(y, x)))),
                    255, -1, cv2.LINE_AA)
    else:
        cv2.fillConvexPoly(cover, corners.round().astype(np.int32), 255, cv2.LINE_AA)
    return cover
