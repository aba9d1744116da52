"""HIU-Data, the data set of the HIU-DMTL paper: 2D keypoints and masks.

    train.lst, val.lst                               one id a line
    <id>.jpg, <id>_mask.png (first channel), <id>.json

A label has `key_point_2ds`, whose first 21 rows are x, y, visibility (0 visible, else occluded)
in our order, and `left`.
"""

import json
from pathlib import Path

import numpy as np

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets.layout import DataSetError, Layout, image_reader, mask_reader

ORIGIN = 'the HIU-DMTL project page of MandyMo (the archive has a password from its author)'


class HIUData:
    """One split of HIU-Data."""

    name = 'hiu_data'
    splits = ('train', 'val')

    def __init__(self, root: str | Path, split: str = 'train') -> None:
        if split not in self.splits:
            raise ValueError(f'HIU-Data has the splits {self.splits}, not {split!r}')
        layout = Layout('HIU-Data', root, ORIGIN)
        self.root = layout.root
        self.ids = layout.path(f'{split}.lst', 'the list of ids').read_text().split()
        if not self.ids:
            raise layout.wrong(f'{split}.lst is empty')
        for end, what in (('.jpg', 'the images'), ('_mask.png', 'the masks'),
                          ('.json', 'the labels')):
            layout.path(f'{self.ids[0]}{end}', f'the first of {what}')

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        name = self.ids[index]
        path = self.root / f'{name}.json'
        try:
            label = json.loads(path.read_text())
            points = np.array(label['key_point_2ds'][:21], np.float64).reshape(21, 3)
            left = bool(label['left'])
        except (OSError, ValueError, KeyError) as error:
            raise DataSetError(
                f'HIU-Data: {path} holds no 21 key_point_2ds and left ({error!r})') from error
        return Sample(
            f'hiu_data/{name}',
            image_reader(self.root / f'{name}.jpg'),
            side='left' if left else 'right',
            keypoints_px=points[:, :2],
            visibility=np.where(points[:, 2] < 1, Visibility.VISIBLE, Visibility.OCCLUDED),
            mask=mask_reader(self.root / f'{name}_mask.png', _inside),
        )


def _inside(picture: np.ndarray) -> np.ndarray:
    first = picture if picture.ndim == 2 else picture[..., 0]
    return first > first.max() / 2 if first.any() else first > 0
