"""Masks and trust of labelled photos, from a photo cache or made on the spot."""

from pathlib import Path

import numpy as np

from hiu_ros.data.photo_cache import CROP_PIXELS, CROP_SCALE, SAME_PX, read_labels
from hiu_ros.data.photo_masks import hand_mask
from hiu_ros.data.photos import LabelledHand, Photo
from hiu_ros.geometry.crop import Crop

_LABELS = ('files', 'photo', 'hand', 'mask_ok', 'trust', 'crop_centre', 'crop_size')


def grabcut(photo: Photo, number: int, image: np.ndarray) -> tuple[Crop, np.ndarray] | None:
    """Make the mask of a photo's hand now (a tenth of a second); None where it is no good."""
    points = [hand.keypoints_px for hand in photo.hands]
    others = tuple(points[:number] + points[number + 1:])
    made = hand_mask(image, points[number], others)
    if not made.ok:
        return None
    crop = Crop.around_keypoints(points[number], CROP_SCALE, CROP_PIXELS)
    return crop, crop.extract(made.mask, nearest=True)


class PhotoCacheTruth:
    """Looks hands of photos up in a cache made by `python -m hiu_ros.data.photo_cache`."""

    def __init__(self, cache: str | Path) -> None:
        """Raises FileNotFoundError where the cache is missing, ValueError for another folder."""
        self.labels = read_labels(cache)
        missing = [name for name in _LABELS if name not in self.labels]
        if missing:
            raise ValueError(f'{cache} is no photo cache, its labels.npz lacks '
                             f'{", ".join(missing)}; give a folder that '
                             '`python -m hiu_ros.data.photo_cache` wrote')
        self.masks = np.load(Path(cache) / 'mask.npy', mmap_mode='r')
        files = self.labels['files'][self.labels['photo']]
        self._rows = {
            (str(file), int(hand)): row
            for row, (file, hand) in enumerate(zip(files, self.labels['hand']))
        }

    def row(self, photo: Photo, number: int) -> int:
        """Row of a photo's hand. Raises ValueError where the cache was made of other photos."""
        try:
            return self._rows[photo.file, number]
        except KeyError:
            raise ValueError(
                f'hand {number} of {photo.file} is not in the photo cache; build it again'
            ) from None

    def mask(
        self, photo: Photo, number: int, image: np.ndarray | None = None
    ) -> tuple[Crop, np.ndarray] | None:
        """Crop and mask (n, n), or None where the cache holds no good mask of the hand.

        Raises ValueError where the cache was made of other labels.
        """
        row = self.row(photo, number)
        if not self.labels['mask_ok'][row]:
            return None
        crop = Crop(
            tuple(self.labels['crop_centre'][row]), self.labels['crop_size'][row],
            resolution=self.masks.shape[-1],
        )
        now = Crop.around_keypoints(photo.hands[number].keypoints_px, CROP_SCALE)
        if np.abs(np.subtract((*crop.centre, crop.size), (*now.centre, now.size))).max() > SAME_PX:
            raise ValueError(f'hand {number} of {photo.file} has other joints in the photo cache; '
                             'build it again')
        return crop, np.asarray(self.masks[row])

    def trust(self, photo: Photo, number: int) -> float:
        """How far the label is to be believed, 0 to 1."""
        return float(self.labels['trust'][self.row(photo, number)])

    def trusted(self, least: float):
        """A filter for `photos.evaluate` that keeps hands of at least this trust."""

        def keep(photo: Photo, number: int, hand: LabelledHand) -> bool:
            return self.trust(photo, number) >= least

        return keep
