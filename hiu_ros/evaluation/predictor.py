"""The network of a weights file as a function from images and boxes to hands."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from hiu_ros.geometry.crop import Crop
from hiu_ros.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from hiu_ros.hand.model import HandModel, load_template
from hiu_ros.network import checkpoint
from hiu_ros.network.hiu import HIU
from hiu_ros.perception.result import Hand

#: One hand for each (image, box [x, y, w, h]); every evaluation takes such a function.
Predict = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], list[Hand]]
_FLIP = np.array([-1.0, 1.0, 1.0], np.float32)
CROP_SCALE = 1.5


class CropPredictor:
    """Runs a HIU network on the square around each given box; no finder, no camera.

    A crop is shown as it is first; where the network says that it shows a left hand, it is shown
    mirrored and that answer, mirrored back, counts. 3D is in the axes of the crop's own camera.
    """

    def __init__(
        self, model: HIU, device: str | torch.device = 'cpu', crop_scale: float = CROP_SCALE
    ) -> None:
        self.model = model.to(device).eval()
        self.device = torch.device(device)
        self.hand = HandModel(load_template('fast')).to(device)
        self.crop_scale = crop_scale

    @classmethod
    def from_file(cls, weights: str | Path, device: str | torch.device = 'cpu') -> 'CropPredictor':
        """Load weights; raises CheckpointError where they are missing or damaged."""
        return cls(checkpoint.load(weights, device), device)

    def __call__(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[Hand]:
        """Hands of the boxes [x, y, w, h], box i in image i (uint8 BGR), as one batch."""
        size = self.model.config.input_size
        crops = [Crop.around_box(box, self.crop_scale, size) for box in boxes]
        pixels = np.stack([crop.extract(image) for crop, image in zip(crops, images)])
        reading = self._read(pixels)
        sides = reading['side'].copy()
        left = np.flatnonzero(sides < 0.5)
        if len(left):
            mirrored = self._read(np.ascontiguousarray(pixels[left, :, ::-1]))
            for name, values in mirrored.items():
                if name != 'side':
                    reading[name][left] = _mirror(name, values, size)
        return [
            self._hand(f'{index}', {name: values[index] for name, values in reading.items()},
                       float(sides[index]), crop, image)
            for index, (crop, image) in enumerate(zip(crops, images))
        ]

    @torch.inference_mode()
    def _read(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        batch = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        reading = self.model.predict(batch)
        geometry = self.hand(reading.rotations.float(), reading.shape.float())
        found = {
            'keypoints_px': reading.keypoints_px, 'keypoint_scores': reading.keypoint_scores,
            'mask': reading.mask, 'pose': matrix_to_axis_angle(reading.rotations),
            'shape': reading.shape, 'presence': reading.presence, 'side': reading.side,
            'keypoints_m': geometry.keypoints, 'vertices_m': geometry.vertices,
        }
        return {name: value.float().cpu().numpy() for name, value in found.items()}

    def _hand(self, name: str, read: dict, right: float, crop: Crop, image: np.ndarray) -> Hand:
        height, width = image.shape[:2]
        points = crop.to_image(read['keypoints_px'])
        low, high = points.min(0), points.max(0)
        rotation = axis_angle_to_matrix(torch.from_numpy(read['pose'][0])).numpy()
        return Hand(
            id=name,
            side='right' if right >= 0.5 else 'left',
            side_score=max(right, 1 - right),
            score=float(read['presence']),
            box=np.array([*low, *(high - low)]),
            keypoints_px=points,
            keypoint_scores=read['keypoint_scores'],
            keypoints_valid=np.ones(len(points), bool),
            keypoints_m=read['keypoints_m'],
            vertices_m=read['vertices_m'],
            pose=read['pose'].reshape(-1),
            shape=read['shape'],
            wrist_rotation=rotation,
            mask=((crop.paste(read['mask'], height, width) > 0.5) * 255).astype(np.uint8),
        )


def _mirror(name: str, values: np.ndarray, size: int) -> np.ndarray:
    if name == 'keypoints_px':
        return np.stack([size - 1 - values[..., 0], values[..., 1]], -1)
    if name == 'mask':
        return values[..., ::-1]
    if name in ('keypoints_m', 'vertices_m'):
        return values * _FLIP
    if name == 'pose':
        return values * -_FLIP
    return values
