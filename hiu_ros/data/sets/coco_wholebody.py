"""Hands of COCO-WholeBody: 2D keypoints of hands of people in everyday photographs.

    annotations/coco_wholebody_{train,val}_v1.0.json (or beside the images' folders)
    train2017/, val2017/ (or images/train2017/ ...)

Each person has `lefthand_valid`, `lefthand_box` [x, y, w, h] and `lefthand_kpts` (21 x [x, y, v],
v = 0 not labelled, 1 occluded, 2 visible; our order), and the same for the right hand.
"""

from pathlib import Path

import numpy as np

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets.layout import Layout, image_reader

ORIGIN = ('the COCO-WholeBody repository of jin-s13 for the labels and the COCO site for the '
          '2017 images')


class COCOWholeBody:
    """Hands of one split whose box is at least `least_size` pixels wide or high."""

    name = 'coco_wholebody'
    splits = ('train', 'val')

    def __init__(self, root: str | Path, split: str = 'train', least_size: float = 24.0) -> None:
        if split not in self.splits:
            raise ValueError(f'COCO-WholeBody has the splits {self.splits}, not {split!r}')
        layout = Layout('COCO-WholeBody', root, ORIGIN)
        file = f'coco_wholebody_{split}_v1.0.json'
        path = layout.first([f'annotations/{file}', file], 'the labels')
        labels = layout.json(str(path.relative_to(layout.root)), 'the labels')
        self.images = layout.first([f'{split}2017', f'images/{split}2017'], 'the images')
        if not isinstance(labels, dict) or not {'images', 'annotations'} <= set(labels):
            raise layout.wrong(f"{path.name} has no 'images' and 'annotations'")
        self.split = split
        self.files = {image['id']: image['file_name'] for image in labels['images']}
        self.hands: list[tuple[int, str, list, list]] = []
        for person in labels['annotations']:
            for side in ('left', 'right'):
                box = person.get(f'{side}hand_box')
                if person.get(f'{side}hand_valid') and max(box[2:]) >= least_size:
                    points = person[f'{side}hand_kpts']
                    self.hands.append((person['image_id'], side, box, points))

    def __len__(self) -> int:
        return len(self.hands)

    def __getitem__(self, index: int) -> Sample:
        image, side, box, values = self.hands[index]
        points = np.array(values, np.float64).reshape(21, 3)
        codes = np.where(points[:, 2] > 1, Visibility.VISIBLE, Visibility.OCCLUDED)
        return Sample(
            f'coco_wholebody/{self.split}/{image}/{index}',
            image_reader(self.images / Path(self.files[image]).name),
            side=side,
            box=box,
            keypoints_px=points[:, :2],
            visibility=np.where(points[:, 2] > 0, codes, Visibility.UNLABELLED),
        )
