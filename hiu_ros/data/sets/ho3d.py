"""HO3D v2 and v3: right hands that hold an object.

    train.txt, evaluation.txt           lines 'SEQUENCE/0000'
    {train,evaluation}/SEQUENCE/rgb/    0000.png (v2) or 0000.jpg (v3), 640 x 480
    {train,evaluation}/SEQUENCE/meta/   0000.pkl
    train/SEQUENCE/seg/                 0000.png or .jpg (v3): the hand in the blue channel
    [evaluation_xyz.json, evaluation_verts.json]   the truth of the challenge

Published in the OpenGL camera frame (y up, z backwards) and the MANO joint order with the five
tips last; samples are in our camera frame and order. Metres.
"""

from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets.array_pickle import read_arrays
from hiu_ros.data.sets.layout import DataSetError, Layout, image_reader, project
from hiu_ros.hand.skeleton import KEYPOINTS_FROM_JOINTS

ORIGIN = 'the HO-3D page of the Institute of Computer Graphics and Vision, TU Graz'
OPENGL = np.array([1.0, -1.0, -1.0])
WIDTH, HEIGHT = 640, 480


class HO3D:
    """One split of HO3D; the version shows in the files.

    Samples of `evaluation` have the box and, as root_m(index), the place of the wrist that the
    challenge gives; their joints only where the truth files lie in the root folder.
    """

    name = 'ho3d'
    splits = ('train', 'evaluation')

    def __init__(self, root: str | Path, split: str = 'train') -> None:
        if split not in self.splits:
            raise ValueError(f'HO3D has the splits {self.splits}, not {split!r}')
        self.layout = Layout('HO3D', root, ORIGIN)
        self.split = split
        lines = self.layout.path(f'{split}.txt', 'the list of images').read_text().split()
        self.items = [tuple(line.split('/')) for line in lines]
        wrong = [line for line, item in zip(lines, self.items) if len(item) != 2]
        if wrong:
            raise self.layout.wrong(f"{split}.txt has the line {wrong[0]!r}, not 'SEQUENCE/0000'")
        self.layout.path(split, 'the images')
        missing = sorted({s for s, _ in self.items if not self._folder(s).is_dir()})
        if missing:
            raise self.layout.wrong(
                f'the sequences {", ".join(missing[:5])} of {split}.txt are missing')
        self.points = self._truth('xyz', 21) if split == 'evaluation' else None
        self.vertices = self._truth('verts', 778) if split == 'evaluation' else None

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        sequence, number = self.items[index]
        meta = self._meta(index)
        camera = meta.get('camMat')
        labels = {}
        joints = meta.get('handJoints3D')
        if joints is not None and np.shape(joints) == (21, 3):
            labels |= _joints(np.asarray(joints, np.float64), camera)
        elif self.points is not None:
            labels |= _joints(np.array(self.points[index], np.float64), camera)
        if self.vertices is not None:
            labels['vertices_m'] = np.array(self.vertices[index]) * OPENGL
        if meta.get('handPose') is not None and meta.get('handBeta') is not None:
            labels |= {'pose': _pose(meta['handPose']), 'shape': meta['handBeta']}
        if meta.get('handBoundingBox') is not None:
            left, top, right, bottom = np.asarray(meta['handBoundingBox'], np.float64).reshape(4)
            labels['box'] = [left, top, right - left, bottom - top]
        mask = self._mask(sequence, number)
        return Sample(
            f'ho3d/{self.split}/{sequence}/{number}',
            image_reader(self._image(sequence, number)),
            side='right',
            camera=camera,
            mask=mask,
            model='mano',
            **labels,
        )

    def root_m(self, index: int) -> np.ndarray:
        """Wrist (3,) in our camera frame, as given with every image."""
        joints = np.asarray(self._meta(index)['handJoints3D'], np.float64)
        return joints.reshape(-1, 3)[0] * OPENGL

    def _folder(self, sequence: str) -> Path:
        return self.layout.root / self.split / sequence

    def _image(self, sequence: str, number: str) -> Path:
        return self.layout.first(
            [f'{self.split}/{sequence}/rgb/{number}.{end}' for end in ('png', 'jpg')], 'the image')

    def _meta(self, index: int) -> dict:
        sequence, number = self.items[index]
        meta = read_arrays(self._folder(sequence) / 'meta' / f'{number}.pkl')
        if not isinstance(meta, dict) or 'camMat' not in meta:
            raise self.layout.wrong(f'meta/{number}.pkl of {sequence} holds no camera matrix')
        return meta

    def _mask(self, sequence: str, number: str):
        for end in ('png', 'jpg'):
            path = self._folder(sequence) / 'seg' / f'{number}.{end}'
            if path.exists():
                return lambda: _hand_of(path)
        return None

    def _truth(self, part: str, count: int) -> list | None:
        relative = f'evaluation_{part}.json'
        if not (self.layout.root / relative).exists():
            return None
        values = self.layout.json(relative, 'the truth')
        if len(values) != len(self.items) or np.shape(values[0]) != (count, 3):
            raise self.layout.wrong(
                f'{relative} holds {len(values)} samples of shape {np.shape(values[0])}, expected '
                f'{len(self.items)} of ({count}, 3)')
        return values


def _joints(opengl: np.ndarray, camera: np.ndarray | None) -> dict[str, np.ndarray]:
    points = opengl[list(KEYPOINTS_FROM_JOINTS)] * OPENGL
    labels = {'keypoints_m': points}
    if camera is not None:
        pixels = project(points, camera)
        inside = ((pixels > -0.5) & (pixels < [WIDTH - 0.5, HEIGHT - 0.5])).all(1)
        labels['keypoints_px'] = pixels
        labels['visibility'] = np.where(inside, Visibility.VISIBLE, Visibility.OUTSIDE)
    return labels


def _pose(opengl: np.ndarray) -> np.ndarray:
    """A pose with its global rotation in our camera frame; finger joints turn with the hand."""
    pose = np.array(opengl, np.float64).reshape(48)
    turned = np.diag(OPENGL) @ Rotation.from_rotvec(pose[:3]).as_matrix()
    pose[:3] = Rotation.from_matrix(turned).as_rotvec()
    return pose


def _hand_of(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise DataSetError(f'cannot read the segmentation {path}; it is damaged')
    hand = (picture[..., 0] > 127).astype(np.uint8) * 255
    if hand.shape != (HEIGHT, WIDTH):
        hand = cv2.resize(hand, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return hand
