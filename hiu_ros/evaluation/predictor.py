"""A weights file as a function from images and boxes to hands, or from whole images to hands."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from hiu_ros.data.sample import Sample
from hiu_ros.geometry.camera import Camera
from hiu_ros.geometry.crop import NETWORK_SCALE, Crop
from hiu_ros.geometry.placement import crop_to_camera
from hiu_ros.geometry.rotations import matrix_to_axis_angle
from hiu_ros.hand.model import HandModel, HandTemplate, load_template
from hiu_ros.network import checkpoint
from hiu_ros.perception.estimator import HandEstimator, Network, Region
from hiu_ros.perception.frame import Frame
from hiu_ros.perception.masks import seen_mask
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.reading import Reading
from hiu_ros.perception.result import Hand, Hands
from hiu_ros.perception.wrist_frame import wrist_rotation


class Predict(Protocol):
    """What every evaluation takes: a function that gives one hand for each image and box."""

    def __call__(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray],
        cameras: Sequence[Camera | None] | None = None,
    ) -> list[Hand]:
        """Hands of the boxes [x, y, w, h], box i in image i (uint8 BGR), as one batch.

        cameras: of the images, whose axes 3D is then in; None where they are not known.
        """


def cameras_of(
    samples: Sequence[Sample], images: Sequence[np.ndarray]
) -> list[Camera | None]:
    """The cameras of samples and their images, for a `Predict`; None where there is no label."""
    return [
        None if sample.camera is None
        else Camera.from_info(image.shape[1], image.shape[0], sample.camera.reshape(-1))
        for sample, image in zip(samples, images)
    ]


class CropPredictor:
    """The bare network on the square around each given box: one look, no finder.

    3D is straight from the regressor, without the pipeline's fit to the joints seen; in the axes
    of the camera where there is one, else in those of the crop's own, which looks at its centre.

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
        """Load weights; raises CheckpointError where they are missing, damaged, or have learned
        another hand than the template of the options."""
        checkpoint.learned_hand(weights, options.get('template') or load_template('fast'))
        return cls(checkpoint.load(weights, device), device, **options)

    def __call__(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray],
        cameras: Sequence[Camera | None] | None = None,
    ) -> list[Hand]:
        """See `Predict`."""
        resolution = self.estimator.resolution
        readings = self.estimator.look([
            Region(image, Crop.around_box(box, self.crop_scale, resolution), self.side)
            for image, box in zip(images, boxes)
        ])
        return [
            self._hand(str(index), reading, image, camera)
            for index, (reading, image, camera) in enumerate(
                zip(readings, images, cameras or [None] * len(images)))
        ]

    @torch.inference_mode()
    def _hand(
        self, name: str, reading: Reading, image: np.ndarray, camera: Camera | None
    ) -> Hand:
        turned = reading.rotations.copy()
        if camera is not None:
            ray = camera.rays(reading.crop.centre)
            turned[0] = crop_to_camera(ray, reading.crop.angle) @ turned[0]
        rotations = torch.from_numpy(turned).float()[None]
        shape = torch.from_numpy(reading.shape).float()[None]
        geometry = self.hands[reading.side](rotations, shape)
        pose = matrix_to_axis_angle(rotations[0])
        low, high = reading.keypoints_px.min(0), reading.keypoints_px.max(0)
        mask, origin = seen_mask(reading.mask, reading.crop, image)
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
            wrist_rotation=wrist_rotation(geometry.keypoints[0].numpy(), reading.side),
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
        correct_light: bool = True,
    ) -> None:
        self.pipeline = Pipeline(PipelineOptions(
            weights=weights, finder_weights=finder_weights, device=device,
            regions='boxes' if boxes else 'finder', tracking=None, crop_scale=crop_scale,
            views=views, half=half, correct_light=correct_light,
        ), template=template)

    def __call__(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray],
        cameras: Sequence[Camera | None] | None = None,
    ) -> list[Hand]:
        """See `Predict`."""
        found = self.pipeline.process_many([
            Frame(image, camera, boxes=[box], key=index)
            for index, (image, box, camera) in enumerate(
                zip(images, boxes, cameras or [None] * len(images)))
        ])
        return [hands.hands[0] for hands in found]

    def find(self, image: np.ndarray) -> Hands:
        """All hands that are found in an image."""
        return self.pipeline.process(image)
