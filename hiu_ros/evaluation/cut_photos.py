"""Photos whose hand the edge of the image cuts off, to see what that does to the scores."""

from collections.abc import Iterable
from dataclasses import replace
from zlib import crc32

import numpy as np

from hiu_ros.data.photos import Photo, PhotoFolder
from hiu_ros.evaluation.photos import TruthMask, joint_box

#: Smaller hands and images, px, are left out.
LEAST_HAND, LEAST_SIDE = 60, 48


class CutPhotos:
    """Photos of one labelled hand, without what lies on the far side of a line through it.

    The line is a row or a column, always the same for a photo; a share of the joints lies beyond
    it. `photos` are the cut ones; `read_image` as of a `PhotoFolder`.
    """

    def __init__(self, folder: PhotoFolder, photos: Iterable[Photo], share: float) -> None:
        """Raises ValueError for a share that is not between 0 and 1."""
        if not 0 < share < 1:
            raise ValueError(f'the share of joints beyond the edge must be between 0 and 1, '
                             f'got {share}')
        self._folder = folder
        self._whole: dict[str, tuple[Photo, tuple[int, int]]] = {}
        self.photos: list[Photo] = []
        for photo in photos:
            window = _window(photo, share)
            if window is None:
                continue
            x, y, width, height = window
            hand = replace(photo.hands[0], keypoints_px=photo.hands[0].keypoints_px - [x, y])
            self._whole[photo.file] = photo, (x, y)
            self.photos.append(replace(photo, width=width, height=height, hands=(hand,)))

    def read_image(self, photo: Photo) -> np.ndarray:
        """What is left of the image of one of `photos`, (H, W, 3) uint8 BGR."""
        whole, (x, y) = self._whole[photo.file]
        image = self._folder.read_image(whole)
        return np.ascontiguousarray(image[y:y + photo.height, x:x + photo.width])

    def truth(self, truth_mask: TruthMask) -> TruthMask:
        """Masks of the whole photos, without what lies beyond the edge."""

        def cut_mask(photo: Photo, number: int, image: np.ndarray):
            whole, origin = self._whole[photo.file]
            found = truth_mask(whole, number, image)
            if found is None:
                return None
            crop = replace(found[0], centre=tuple(np.subtract(found[0].centre, origin)))
            shown = crop.extract(np.ones((photo.height, photo.width), np.uint8), nearest=True)
            return crop, found[1] * shown

        return cut_mask


def _window(photo: Photo, share: float) -> tuple[int, int, int, int] | None:
    """x, y, w, h px of what is left; None of photos that are not for this."""
    if len(photo.hands) != 1:
        return None
    points = photo.hands[0].keypoints_px
    if joint_box(points)[2:].max() < LEAST_HAND:
        return None
    axis, far = divmod(crc32(photo.file.encode()) % 4, 2)
    low, high = np.zeros(2, int), np.array([photo.width, photo.height])
    if far:
        high[axis] = min(high[axis], int(np.quantile(points[:, axis], 1 - share)))
    else:
        low[axis] = max(0, int(np.quantile(points[:, axis], share)))
    size = high - low
    return None if size.min() < LEAST_SIDE else (*low.tolist(), *size.tolist())
