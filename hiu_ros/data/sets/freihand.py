"""FreiHAND v2: 32 560 hands on four backgrounds each, and 3960 for evaluation.

    training/rgb/%08d.jpg     image i + 32560 * background; 224 x 224
    training/mask/%08d.jpg    of the first background only; the others show the same hand
    training_K.json, training_xyz.json, training_mano.json [, training_verts.json]
    evaluation/rgb/%08d.jpg, evaluation_K.json, evaluation_scale.json
    [evaluation_xyz.json, evaluation_verts.json, evaluation_mano.json]

All right hands; metres in the camera frame; keypoints in our order.
"""

from pathlib import Path

import numpy as np

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets.layout import Layout, image_reader, mask_reader, project
from hiu_ros.hand.skeleton import POSE_COUNT, SHAPE_COUNT

BACKGROUNDS = ('gs', 'hom', 'sample', 'auto')
IMAGE_SIZE = 224
ORIGIN = 'the FreiHAND page of the Computer Vision Group, University of Freiburg'


class FreiHAND:
    """One split of FreiHAND.

    backgrounds: which of the four versions of the training images, by name; the default is all.
    mano_mean: (45,) mean finger pose of the user's own MANO file (`HandTemplate.pose_mean`). The
    poses of the data set are relative to it, so without it samples have no pose.
    """

    name = 'freihand'
    splits = ('training', 'evaluation')

    def __init__(
        self,
        root: str | Path,
        split: str = 'training',
        backgrounds: tuple[str, ...] = BACKGROUNDS,
        mano_mean: np.ndarray | None = None,
    ) -> None:
        if split not in self.splits:
            raise ValueError(f'FreiHAND has the splits {self.splits}, not {split!r}')
        unknown = sorted(set(backgrounds) - set(BACKGROUNDS))
        if unknown:
            raise ValueError(f'FreiHAND has the backgrounds {BACKGROUNDS}, not {unknown}')
        layout = Layout('FreiHAND', root, ORIGIN)
        self.split = split
        self.images = layout.path(f'{split}/rgb', 'the images')
        self.cameras = layout.json(f'{split}_K.json', 'the camera matrices')
        self.unique = len(self.cameras)
        self.points = self._labels(layout, 'xyz', 'the 3D joints', split == 'training')
        self.mano = self._labels(layout, 'mano', 'the MANO parameters', split == 'training')
        self.vertices = self._labels(layout, 'verts', 'the 3D vertices', False)
        self.masks = None
        self.versions = (0,)
        if split == 'training':
            self.masks = layout.path('training/mask', 'the masks')
            self.versions = tuple(BACKGROUNDS.index(name) for name in backgrounds)
            last = (max(self.versions) + 1) * self.unique - 1
            layout.path(f'training/rgb/{last:08d}.jpg',
                        f'the last of {last + 1} training images')
        self.mano_mean = None if mano_mean is None else np.asarray(mano_mean).reshape(45)

    def __len__(self) -> int:
        return self.unique * len(self.versions)

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f'FreiHAND sample {index} of {len(self)}')
        version, row = divmod(index % len(self), self.unique)
        number = row + self.unique * self.versions[version]
        camera = np.array(self.cameras[row])
        labels = {}
        if self.points is not None:
            points = np.array(self.points[row], np.float64)
            pixels = project(points, camera)
            inside = ((pixels > -0.5) & (pixels < IMAGE_SIZE - 0.5)).all(1)
            labels = {
                'keypoints_m': points,
                'keypoints_px': pixels,
                'visibility': np.where(inside, Visibility.VISIBLE, Visibility.OUTSIDE),
            }
        if self.vertices is not None:
            labels['vertices_m'] = np.array(self.vertices[row])
        if self.mano is not None:
            labels |= self._parameters(row)
        if self.masks is not None:
            labels['mask'] = mask_reader(self.masks / f'{row:08d}.jpg', _bright)
        return Sample(
            f'freihand/{self.split}/{number:08d}',
            image_reader(self.images / f'{number:08d}.jpg'),
            side='right',
            camera=camera,
            model='mano',
            **labels,
        )

    def _parameters(self, row: int) -> dict[str, np.ndarray]:
        values = np.array(self.mano[row], np.float64).reshape(-1)
        labels = {'shape': values[POSE_COUNT:POSE_COUNT + SHAPE_COUNT]}
        if self.mano_mean is not None:
            pose = values[:POSE_COUNT].copy()
            pose[3:] += self.mano_mean
            labels['pose'] = pose
        return labels

    def _labels(self, layout: Layout, part: str, what: str, needed: bool) -> list | None:
        relative = f'{self.split}_{part}.json'
        if not needed and not (layout.root / relative).exists():
            return None
        values = layout.json(relative, what)
        if len(values) != self.unique:
            raise layout.wrong(
                f'{relative} has {len(values)} entries, {self.split}_K.json {self.unique}')
        return values


def _bright(picture: np.ndarray) -> np.ndarray:
    return (picture if picture.ndim == 2 else picture.max(2)) > 127
