"""InterHand2.6M, its images of single hands.

    annotations/{split}/InterHand2.6M_{split}_data.json      COCO: images, annotations
    annotations/{split}/InterHand2.6M_{split}_camera.json    capture -> campos, camrot, focal,
                                                             princpt -> camera
    annotations/{split}/InterHand2.6M_{split}_joint_3d.json  capture -> frame -> world_coord
    images/{split}/Capture0/...

Joints 0 to 20 are the right hand's, 21 to 41 the left one's: thumb to pinky from tip to base,
then the wrist. Millimetres in the world; a camera sees R (X - campos).
"""

from pathlib import Path

import numpy as np

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets.layout import Layout, image_reader, project

ORIGIN = 'the InterHand2.6M page of Meta Reality Labs'
#: Our keypoint k is row ORDER[k] of a hand.
ORDER = np.array([20, *(4 * finger + k for finger in range(5) for k in (3, 2, 1, 0))])
FIRST = {'right': 0, 'left': 21}


class InterHand:
    """Single right or left hands of one split."""

    name = 'interhand'
    splits = ('train', 'val', 'test')

    def __init__(self, root: str | Path, split: str = 'train') -> None:
        if split not in self.splits:
            raise ValueError(f'InterHand2.6M has the splits {self.splits}, not {split!r}')
        layout = Layout('InterHand2.6M', root, ORIGIN)
        folder = f'annotations/{split}/InterHand2.6M_{split}'
        self.split = split
        self.layout = layout
        self.images = layout.path(f'images/{split}', 'the images')
        data = layout.json(f'{folder}_data.json', 'the list of images')
        self.cameras = layout.json(f'{folder}_camera.json', 'the cameras')
        self.joints = layout.json(f'{folder}_joint_3d.json', 'the 3D joints')
        frames = {frame['id']: frame for frame in data['images']}
        self.items = [
            (frames[label['image_id']], label) for label in data['annotations']
            if label['hand_type'] in FIRST
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        frame, label = self.items[index]
        side = label['hand_type']
        rows = ORDER + FIRST[side]
        capture, camera = str(frame['capture']), str(frame['camera'])
        try:
            seen = self.cameras[capture]
            place, turn = np.array(seen['campos'][camera]), np.array(seen['camrot'][camera])
            (fx, fy), (cx, cy) = seen['focal'][camera], seen['princpt'][camera]
            joints = np.array(self.joints[capture][str(frame['frame_idx'])]['world_coord'])
        except KeyError as error:
            raise self.layout.wrong(
                f'{frame["file_name"]} has no camera or joints (key {error})') from error
        intrinsic = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
        points = (joints[rows] - place) @ turn.T / 1000
        valid = np.array(label['joint_valid'], np.float64).reshape(-1)[rows] > 0.5
        points = np.where(valid[:, None], points, [0, 0, 1])
        pixels = project(points, intrinsic)
        size = np.array([frame['width'], frame['height']])
        inside = ((pixels > -0.5) & (pixels < size - 0.5)).all(1)
        codes = np.where(inside, Visibility.VISIBLE, Visibility.OUTSIDE)
        return Sample(
            f'interhand/{self.split}/{frame["file_name"]}',
            image_reader(self.images / frame['file_name']),
            side=side,
            camera=intrinsic,
            box=label['bbox'],
            keypoints_px=pixels,
            visibility=np.where(valid, codes, Visibility.UNLABELLED),
            keypoints_m=points,
            valid_m=valid,
        )
