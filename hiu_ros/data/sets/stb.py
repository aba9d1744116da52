"""Stereo Hand Pose Tracking Benchmark (STB): left hands of one person before six backgrounds.

    labels/B1Counting_BB.mat, B1Counting_SK.mat ...   handPara (3, 21, 1500), millimetres
    images/B1Counting/BB_left_0.png, SK_color_0.png ...   640 x 480

BB labels are in the frame of the left stereo camera, SK labels in that of the depth camera; the
colour camera of SK sees them after the published rotation and translation. Joint 0 is the palm's
centre, then pinky to thumb, each from base to tip. The wrist is twice as far from the base of the
middle finger as the palm (Zimmermann and Brox, ICCV 2017, take the palm halfway between both).
"""

from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.spatial.transform import Rotation

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets.layout import DataSetError, Layout, image_reader, project

ORIGIN = "the STB page of the authors of 'A Hand Pose Tracking Benchmark from Stereo Matching'"
SPLITS = {
    'training': tuple(f'B{n}{kind}' for n in range(2, 7) for kind in ('Counting', 'Random')),
    'evaluation': ('B1Counting', 'B1Random'),
}
WIDTH, HEIGHT = 640, 480
#: Our keypoint k is row ORDER[k]; row 0 is the palm.
ORDER = np.array([0, *range(17, 21), *range(13, 17), *range(9, 13), *range(5, 9), *range(1, 5)])
MIDDLE_BASE = 9

CAMERAS = {
    'BB': np.array([[822.79041, 0, 318.47345], [0, 822.79041, 250.31296], [0, 0, 1]]),
    'SK': np.array([[607.92271, 0, 314.78337], [0, 607.88192, 236.42484], [0, 0, 1]]),
}
IMAGES = {'BB': 'BB_left', 'SK': 'SK_color'}
#: Takes points of SK's colour camera to its depth camera.
SK_ROTATION = Rotation.from_rotvec([0.00531, -0.01196, 0.00301]).as_matrix()
SK_TRANSLATION_MM = np.array([-24.0381, -0.4563, -1.2326])


class STB:
    """One split of STB, of one or both cameras ('BB', 'SK')."""

    name = 'stb'
    splits = tuple(SPLITS)

    def __init__(
        self, root: str | Path, split: str = 'training', cameras: tuple[str, ...] = ('BB', 'SK')
    ) -> None:
        if split not in self.splits:
            raise ValueError(f'STB has the splits {self.splits}, not {split!r}')
        unknown = sorted(set(cameras) - set(CAMERAS))
        if unknown:
            raise ValueError(f'STB has the cameras {tuple(CAMERAS)}, not {unknown}')
        layout = Layout('STB', root, ORIGIN)
        self.split = split
        self.items: list[tuple[Path, str]] = []
        points = []
        for sequence in SPLITS[split]:
            for camera in cameras:
                path = layout.path(f'labels/{sequence}_{camera}.mat', f'the labels of {sequence}')
                folder = layout.path(f'images/{sequence}', f'the images of {sequence}')
                joints = _read(path, layout)
                points.append(to_camera(joints, camera))
                self.items += [(folder / f'{IMAGES[camera]}_{number}.png', camera)
                               for number in range(len(joints))]
        self.points = np.concatenate(points)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        path, camera = self.items[index]
        points = self.points[index]
        pixels = project(points, CAMERAS[camera])
        inside = ((pixels > -0.5) & (pixels < [WIDTH - 0.5, HEIGHT - 0.5])).all(1)
        return Sample(
            f'stb/{path.parent.name}/{path.stem}',
            image_reader(path),
            side='left',
            camera=CAMERAS[camera],
            keypoints_px=pixels,
            visibility=np.where(inside, Visibility.VISIBLE, Visibility.OUTSIDE),
            keypoints_m=points,
        )


def to_camera(joints_mm: np.ndarray, camera: str) -> np.ndarray:
    """Published joints (N, 21, 3) as our keypoints, metres in the frame of the colour camera."""
    if camera == 'SK':
        joints_mm = (joints_mm - SK_TRANSLATION_MM) @ SK_ROTATION
    points = joints_mm[:, ORDER] / 1000
    points[:, 0] = 2 * points[:, 0] - points[:, MIDDLE_BASE]
    return points


def _read(path: Path, layout: Layout) -> np.ndarray:
    try:
        joints = loadmat(path, variable_names=['handPara'])['handPara']
    except Exception as error:  # SciPy raises many kinds for damaged files
        raise DataSetError(f'STB: {path} holds no readable handPara ({error})') from error
    if joints.ndim != 3 or joints.shape[:2] != (3, 21):
        raise layout.wrong(f'{path.name} holds handPara of shape {joints.shape}, not (3, 21, N)')
    return joints.transpose(2, 1, 0).astype(np.float64)
