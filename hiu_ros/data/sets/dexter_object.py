"""Dexter+Object: a left hand that handles a cuboid; only fingertips are labelled.

    data/{Grasp1,Grasp2,Occlusion,Pinch,Rigid,Rotate}/color/*.png           640 x 480
    data/Grasp1/annotations/Grasp13D.txt

A line has eight 'x,y,z' parts, separated by ';': tips of thumb, index, middle, ring and pinky,
then three corners of the object. Millimetres in the frame of the depth camera with x to the left
and y upwards; z = 32001 marks a tip that is not labelled.
"""

from pathlib import Path

import numpy as np

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets.layout import Layout, image_reader
from hiu_ros.hand.skeleton import KEYPOINT_COUNT, TIP_KEYPOINTS

ORIGIN = 'the Dexter+Object page of the Max Planck Institute for Informatics'
SEQUENCES = ('Grasp1', 'Grasp2', 'Occlusion', 'Pinch', 'Rigid', 'Rotate')
WIDTH, HEIGHT = 640, 480
UNLABELLED_Z = 32001
#: Colour camera, and the way from the depth camera's frame to its frame, millimetres.
CAMERA = np.array([[587.45209, 0, 325], [0, 600.67456, 249], [0, 0, 1]])
ROTATION = np.array([
    [0.9999, 0.0034, 0.0161],
    [-0.0033, 1.0000, -0.0079],
    [-0.0162, 0.0079, 0.9998],
])
TRANSLATION_MM = np.array([19.0473, -1.8514, -4.7501])


class DexterObject:
    """All sequences; there is one split, for evaluation."""

    name = 'dexter_object'
    splits = ('evaluation',)

    def __init__(self, root: str | Path, split: str = 'evaluation') -> None:
        if split not in self.splits:
            raise ValueError(f'Dexter+Object has the splits {self.splits}, not {split!r}')
        layout = Layout('Dexter+Object', root, ORIGIN)
        self.items: list[Path] = []
        points = []
        for name in SEQUENCES:
            folder = layout.path(f'data/{name}/color', f'the images of {name}')
            images = sorted(folder.glob('*.png'))
            label = layout.path(
                f'data/{name}/annotations/{name}3D.txt', f'the labels of {name}')
            tips = _read(label, layout)
            if len(tips) != len(images):
                raise layout.wrong(
                    f'{name} has {len(images)} images, but labels of {len(tips)}')
            self.items += images
            points.append(tips)
        self.tips_mm = np.concatenate(points)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        path, tips = self.items[index], self.tips_mm[index]
        points = np.zeros((KEYPOINT_COUNT, 3))
        valid = np.zeros(KEYPOINT_COUNT, bool)
        tip_rows = list(TIP_KEYPOINTS)
        valid[tip_rows] = tips[:, 2] != UNLABELLED_Z
        points[tip_rows] = to_camera(tips)
        pixels = np.zeros((KEYPOINT_COUNT, 2))
        image = points[valid] @ CAMERA.T
        pixels[valid] = image[:, :2] / image[:, 2:]
        inside = ((pixels > -0.5) & (pixels < [WIDTH - 0.5, HEIGHT - 0.5])).all(1)
        codes = np.where(inside, Visibility.VISIBLE, Visibility.OUTSIDE)
        return Sample(
            f'dexter_object/{path.parent.parent.name}/{path.stem}',
            image_reader(path),
            side='left',
            camera=CAMERA,
            keypoints_px=pixels,
            visibility=np.where(valid, codes, Visibility.UNLABELLED),
            keypoints_m=points,
            valid_m=valid,
        )


def to_camera(tips_mm: np.ndarray) -> np.ndarray:
    """Published points (..., 3) in the frame of the colour camera, metres."""
    return (tips_mm * [-1, -1, 1] @ ROTATION.T + TRANSLATION_MM) / 1000


def _read(path: Path, layout: Layout) -> np.ndarray:
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            parts = [part for part in line.split(';') if part.strip()]
            tips = [[float(value) for value in part.split(',')] for part in parts[:5]]
            rows.append(np.array(tips).reshape(5, 3))
        except ValueError as error:
            raise layout.wrong(f'line {number} of {path.name} is malformed ({error})') from error
    return np.array(rows).reshape(-1, 5, 3)
