"""Rendered Handpose Dataset (RHD v2): rendered people, both hands labelled.

    {training,evaluation}/anno_{split}.pickle   index -> K (3, 3), uv_vis (42, 3), xyz (42, 3)
    {split}/color/%05d.png                      320 x 320
    {split}/mask/%05d.png                       0 background, 1 person, 2 to 17 parts of the left
                                                hand, 18 to 33 of the right hand

Keypoints 0 to 20 are the left hand's, 21 to 41 the right one's: wrist, then thumb to pinky, each
from tip to base. Metres in the camera frame.
"""

from pathlib import Path

import numpy as np

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets.array_pickle import read_arrays
from hiu_ros.data.sets.layout import Layout, image_reader, mask_reader

ORIGIN = 'the RHD page of the Computer Vision Group, University of Freiburg'
IMAGE_SIZE = 320
PARTS = {'left': (2, 17), 'right': (18, 33)}
#: Our keypoint k is row ORDER[k] of a hand.
ORDER = np.array([0, *(4 * finger + k for finger in range(5) for k in (4, 3, 2, 1))])


class RHD:
    """One split of RHD, a sample for each hand with at least `least_visible` visible keypoints."""

    name = 'rhd'
    splits = ('training', 'evaluation')

    def __init__(
        self, root: str | Path, split: str = 'training', least_visible: int = 11
    ) -> None:
        if split not in self.splits:
            raise ValueError(f'RHD has the splits {self.splits}, not {split!r}')
        layout = Layout('RHD', root, ORIGIN)
        self.split = split
        self.images = layout.path(f'{split}/color', 'the images')
        self.masks = layout.path(f'{split}/mask', 'the masks')
        labels = read_arrays(layout.path(f'{split}/anno_{split}.pickle', 'the labels'))
        self.labels = {}
        self.hands: list[tuple[int, str]] = []
        for number, label in labels.items():
            shapes = {key: np.shape(label.get(key)) for key in ('K', 'uv_vis', 'xyz')}
            if shapes != {'K': (3, 3), 'uv_vis': (42, 3), 'xyz': (42, 3)}:
                raise layout.wrong(f'label {number} holds {shapes}')
            self.labels[int(number)] = label
            for side, rows in (('left', slice(0, 21)), ('right', slice(21, 42))):
                if (label['uv_vis'][rows, 2] == 1).sum() >= least_visible:
                    self.hands.append((int(number), side))

    def __len__(self) -> int:
        return len(self.hands)

    def __getitem__(self, index: int) -> Sample:
        number, side = self.hands[index]
        label = self.labels[number]
        rows = ORDER + (21 if side == 'right' else 0)
        pixels, visible = label['uv_vis'][rows, :2], label['uv_vis'][rows, 2] == 1
        inside = ((pixels > -0.5) & (pixels < IMAGE_SIZE - 0.5)).all(1)
        codes = np.where(visible, Visibility.VISIBLE, Visibility.OCCLUDED)
        first, last = PARTS[side]
        return Sample(
            f'rhd/{self.split}/{number:05d}/{side}',
            image_reader(self.images / f'{number:05d}.png'),
            side=side,
            camera=label['K'],
            keypoints_px=pixels,
            visibility=np.where(inside, codes, Visibility.OUTSIDE),
            keypoints_m=label['xyz'][rows],
            mask=mask_reader(self.masks / f'{number:05d}.png',
                             lambda part: (part >= first) & (part <= last)),
        )
