"""CMU Panoptic hand database: hands with 2D keypoints.

    hand_labels/manual_train/*.json, manual_test/*.json   beside images of the same name (.jpg)
    hand_labels_synth/synth1 .. synth4                    of the same layout
    hand143_panopticdb/hands_v143_14817.json, imgs/       hands from the Panoptic studio

A label has `hand_pts` (21 x [x, y, labelled]) and `is_left`; the studio's file has a list `root`
of `img_paths` and `joint_self`, all shown as right hands. Keypoints are in our order.
"""

import json
from pathlib import Path

import numpy as np

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets.layout import DataSetError, Layout, image_reader

ORIGIN = 'the CMU Panoptic Dataset, hand keypoints page'
FOLDERS = {
    'manual_train': 'hand_labels/manual_train',
    'manual_test': 'hand_labels/manual_test',
    'synth': 'hand_labels_synth',
}
STUDIO = 'hand143_panopticdb'
STUDIO_LABELS = f'{STUDIO}/hands_v143_14817.json'


class Panoptic:
    """One part: 'manual_train', 'synth', 'studio' or 'manual_test'."""

    name = 'panoptic'
    # The first is trained on and the last evaluated on where none is named.
    splits = ('manual_train', 'synth', 'studio', 'manual_test')

    def __init__(self, root: str | Path, split: str = 'manual_train') -> None:
        if split not in self.splits:
            raise ValueError(f'Panoptic hands have the splits {self.splits}, not {split!r}')
        layout = Layout('CMU Panoptic hands', root, ORIGIN)
        self.layout = layout
        if split == 'studio':
            labels = layout.json(STUDIO_LABELS, 'the labels of the studio')
            entries = labels.get('root') if isinstance(labels, dict) else None
            if not isinstance(entries, list):
                raise layout.wrong(f"{STUDIO_LABELS} has no list 'root'")
            layout.path(f'{STUDIO}/imgs', 'the images of the studio')
            self.items = [(layout.root / STUDIO / entry['img_paths'], entry['joint_self'],
                           bool(entry.get('is_left', False))) for entry in entries]
        else:
            folder = layout.path(FOLDERS[split], f'the part {split}')
            self.items = [(path.with_suffix('.jpg'), None, False)
                          for path in sorted(folder.rglob('*.json'))]
            if not self.items:
                raise layout.wrong(f'{FOLDERS[split]} holds no .json labels')
        self.split = split

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        path, points, is_left = self.items[index]
        if points is None:
            points, is_left = self._label(path.with_suffix('.json'))
        points = np.array(points, np.float64)
        if points.shape != (21, 3):
            raise self.layout.wrong(f'{path.name} has points of shape {points.shape}, not (21, 3)')
        labelled = points[:, 2] > 0.5
        return Sample(
            f'panoptic/{self.split}/{path.stem}',
            image_reader(path),
            side='left' if is_left else 'right',
            keypoints_px=points[:, :2],
            visibility=np.where(labelled, Visibility.VISIBLE, Visibility.UNLABELLED),
        )

    def _label(self, path: Path) -> tuple[list, bool]:
        try:
            label = json.loads(path.read_text())
            return label['hand_pts'], bool(label['is_left'])
        except (OSError, ValueError, KeyError) as error:
            raise DataSetError(
                f'CMU Panoptic hands: {path} holds no hand_pts and is_left ({error!r})') from error
