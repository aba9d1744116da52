"""A weights file as a function from images and boxes to hands, or from whole images to hands."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from hiu_ros.geometry.crop import NETWORK_SCALE, Crop
from hiu_ros.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from hiu_ros.hand.model import HandModel, HandTemplate, load_template
from hiu_ros.network import checkpoint
from hiu_ros.perception.estimator import HandEstimator, Network, Reading, Region
from hiu_ros.perception.frame import Frame
from hiu_ros.perception.masks import mask_region
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.result import Hand, Hands

#: One hand for each (image, box [x, y, w, h]); every evaluation takes such a function.
Predict = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], list[Hand]]


class CropPredictor:
    """The bare network on the square around each given box: one look, no finder, no camera.

    3D is in the axes of the crop's own camera and straight from the regressor, without the
    pipeline's fit to the joints seen.

    template: the right hand that the network was trained to pose; the project's own if None.
    side: of every hand, where a data set has only one; None: as the network sees it.
    """

    def __init__(
        self, network: Network, device: str | torch.device = 'cpu',
        crop_scale: float = NETWORK_SCALE, template: HandTemplate | None = None,
        side: str | None = None,
    ) -> None:
        self.estimator = HandEstimator(network, device, crop_scale)
        self.crop_scale, self.side = crop_scale, side
        template = template or load_template('fast')
        self.hands = {'right': HandModel(template), 'left': HandModel(template.mirrored())}

    @classmethod
    def from_file(
        cls, weights: str | Path, device: str | torch.device = 'cpu', **options
    ) -> 'CropPredictor':
        """Load weights; raises CheckpointError where they are missing or damaged."""
        return cls(checkpoint.load(weights, device), device, **options)

    def __call__(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[Hand]:
        """Hands of the boxes [x, y, w, h], box i in image i (uint8 BGR), as one batch."""
        resolution = self.estimator.resolution
        readings = self.estimator.look([
            Region(image, Crop.around_box(box, self.crop_scale, resolution), self.side)
            for image, box in zip(images, boxes)
        ])
        return [
            self._hand(str(index), reading, image)
            for index, (reading, image) in enumerate(zip(readings, images))
        ]

    @torch.inference_mode()
    def _hand(self, name: str, reading: Reading, image: np.ndarray) -> Hand:
        rotations = torch.from_numpy(reading.rotations).float()[None]
        shape = torch.from_numpy(reading.shape).float()[None]
        geometry = self.hands[reading.side](rotations, shape)
        pose = matrix_to_axis_angle(rotations[0])
        low, high = reading.keypoints_px.min(0), reading.keypoints_px.max(0)
        mask, origin = mask_region(reading.mask, reading.crop, image.shape[1], image.shape[0])
        return Hand(
            id=name,
            side=reading.side,
            side_score=float(1 / (1 + np.exp(-abs(reading.right)))),
            score=reading.presence,
            box=np.array([*low, *(high - low)]),
            keypoints_px=reading.keypoints_px,
            keypoint_scores=reading.keypoint_scores,
            keypoints_valid=np.ones(len(reading.keypoints_px), bool),
            keypoints_m=geometry.keypoints[0].numpy(),
            vertices_m=geometry.vertices[0].numpy(),
            pose=pose.numpy().reshape(-1),
            shape=reading.shape,
            wrist_rotation=axis_angle_to_matrix(pose[0]).numpy(),
            mask=mask,
            mask_origin=origin,
        )


class PipelinePredictor:
    """The whole pipeline as the node runs it, on images that have nothing to do with each other.

    `boxes=True`: called with images and a box each, no finder. `find` is for the other case.
    """

    def __init__(
        self, weights: str | Path, finder_weights: str | Path | None = None,
        device: str = 'cpu', boxes: bool = True, template: HandTemplate | None = None,
        crop_scale: float = NETWORK_SCALE, views: int = 1, half: bool = False,
    ) -> None:
        self.pipeline = Pipeline(PipelineOptions(
            weights=weights, finder_weights=finder_weights, device=device,
            regions='boxes' if boxes else 'finder', tracking=None, crop_scale=crop_scale,
            views=views, half=half,
        ), template=template)

    def __call__(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[Hand]:
        """Hands of the boxes [x, y, w, h], box i in image i, as one batch."""
        found = self.pipeline.process_many([
            Frame(image, boxes=[box], key=index)
            for index, (image, box) in enumerate(zip(images, boxes))
        ])
        return [hands.hands[0] for hands in found]

    def find(self, image: np.ndarray) -> Hands:
        """All hands that are found in an image."""
        return self.pipeline.process(image)
