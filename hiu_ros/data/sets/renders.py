"""A bank of rendered hands with exact labels, as the project's renderer writes it.

    bgra.npy    (N, S, S, 4) uint8, blue, green, red and straight alpha of everything rendered
    mask.npy    (N, S, S) uint8 0..255, the visible hand without forearm and sleeve
    labels.npz  keypoints_px (N, 21, 2), keypoints_m (N, 21, 3), K (N, 3, 3), pose (N, 16, 3),
                shape (N, 10), visibility (N, 21) bool
"""

from pathlib import Path

import numpy as np

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets.layout import Layout, map_array, read_archive

ORIGIN = 'the project itself: `python -m hiu_ros.data.renders.bank` renders one'
_SHAPES = {
    'keypoints_px': (21, 2), 'keypoints_m': (21, 3), 'K': (3, 3), 'pose': (16, 3),
    'shape': (10,), 'visibility': (21,),
}


class RenderBank:
    """All hands of a bank; right hands, each in a square tile of S pixels.

    Raises DataSetError where a file is missing or does not fit the others. The pictures are mapped
    into memory, so that many processes can read one bank.
    """

    name = 'renders'

    def __init__(self, root: str | Path) -> None:
        layout = Layout('render bank', root, ORIGIN)
        again = 'remove the bank and render it again'
        self.bgra = map_array(layout.path('bgra.npy', 'the rendered pictures'), again)
        self.mask = map_array(layout.path('mask.npy', 'the masks'), again)
        labels = read_archive(layout.path('labels.npz', 'the labels'), again)
        missing = sorted(set(_SHAPES) - set(labels))
        if missing:
            raise layout.wrong(f'labels.npz lacks {", ".join(missing)}')
        count = len(labels['pose'])
        for name, shape in _SHAPES.items():
            if labels[name].shape != (count, *shape):
                raise layout.wrong(
                    f'{name} has shape {labels[name].shape}, expected {(count, *shape)}')
        if self.bgra.ndim != 4 or self.bgra.shape[3] != 4 or len(self.bgra) < count:
            raise layout.wrong(f'bgra.npy has shape {self.bgra.shape} for {count} labels')
        if self.mask.shape != self.bgra.shape[:3]:
            raise layout.wrong(f'mask.npy has shape {self.mask.shape}, bgra.npy {self.bgra.shape}')
        self.root = layout.root
        self.size = self.bgra.shape[1]
        self.keypoints_px, self.keypoints_m = labels['keypoints_px'], labels['keypoints_m']
        self.camera, self.pose, self.shape = labels['K'], labels['pose'], labels['shape']
        self.visible = labels['visibility'].astype(bool)

    def __len__(self) -> int:
        return len(self.pose)

    def compose(
        self, row: int, background: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One tile over a background (S, S, 3): image, mask (S, S) 0..255, keypoints (21, 2)."""
        picture = np.asarray(self.bgra[row])
        alpha = picture[..., 3:].astype(np.float32) / 255
        image = picture[..., :3] * alpha + background * (1 - alpha)
        return (image + 0.5).astype(np.uint8), np.asarray(self.mask[row]), self.keypoints_px[row]

    def __getitem__(self, row: int) -> Sample:
        """A sample over plain grey."""
        if not -len(self) <= row < len(self):
            raise IndexError(f'render {row} of {len(self)}')
        grey = np.full((self.size, self.size, 3), 128, np.uint8)
        points = self.keypoints_px[row]
        inside = ((points > -0.5) & (points < self.size - 0.5)).all(1)
        codes = np.where(self.visible[row], Visibility.VISIBLE, Visibility.OCCLUDED)
        return Sample(
            f'{self.root.name}/{row}',
            lambda: self.compose(row, grey)[0],
            side='right',
            camera=self.camera[row],
            keypoints_px=points,
            visibility=np.where(inside, codes, Visibility.OUTSIDE),
            keypoints_m=self.keypoints_m[row],
            mask=lambda: (np.asarray(self.mask[row]) > 127).astype(np.uint8) * 255,
            pose=self.pose[row].reshape(-1),
            shape=self.shape[row],
            model='hiu',
        )
