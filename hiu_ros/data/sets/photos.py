"""The labelled photo sets (`data.photos` has their format) as samples: a hand of a photo each.

    labels.jsonl, and the images that it names, by paths relative to the folder
"""

from pathlib import Path

import numpy as np

from hiu_ros.data.photos import PhotoError, PhotoFolder
from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets.layout import DataSetError


class PhotoSet:
    """Labelled hands of one split; 3D relative to the hand's centre."""

    name = 'photos'
    splits = ('train', 'val')

    def __init__(
        self, root: str | Path, split: str = 'train', sets: tuple[str, ...] | None = None
    ) -> None:
        try:
            self.folder = PhotoFolder(root)
        except PhotoError as error:
            raise DataSetError(str(error)) from error
        self.hands = [
            (photo, hand) for photo in self.folder.select(split, sets) for hand in photo.hands
        ]

    def __len__(self) -> int:
        return len(self.hands)

    def __getitem__(self, index: int) -> Sample:
        photo, hand = self.hands[index]
        size = np.array([photo.width, photo.height])
        inside = ((hand.keypoints_px > -0.5) & (hand.keypoints_px < size - 0.5)).all(1)
        return Sample(
            f'photos/{photo.file}',
            lambda: self.folder.read_image(photo),
            side=hand.side,
            keypoints_px=hand.keypoints_px,
            visibility=np.where(inside, Visibility.VISIBLE, Visibility.OUTSIDE),
            keypoints_m=hand.keypoints_m,
            root_relative=True,
        )
