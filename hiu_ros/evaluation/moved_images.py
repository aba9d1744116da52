"""A photograph as a video: the camera moves a little, noise changes, and hands are followed.

What is found in single images says little of a node that follows hands: a thing that looks like a
hand once in ten images is a false hand from then on, and a hand that is seen now and then is not
missed any more.
"""

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.result import Hands

#: Images a second; deviation of the noise, 0..255.
RATE: Final = 30.0
NOISE: Final = 2.0
#: How far the camera moves and how much nearer it is at first: shares of the image. It sways so
#: often in a second, and comes to rest in the last frame.
_SWAY, _NEARER, _SWAYS = 0.04, 0.08, 0.8


def moved(image: np.ndarray, frames: int, seed: int = 0) -> Iterator[np.ndarray]:
    """The frames (H, W, 3) of a video of an image (H, W, 3) uint8; the last one shows it as it is,
    but for the noise.

    Where the camera sees beyond the image, its border goes on.
    """
    height, width = image.shape[:2]
    rng = np.random.default_rng([seed, width, height])
    phase = rng.uniform(0, 2 * np.pi, 2)
    middle = np.array([width - 1, height - 1]) / 2
    for left in range(frames - 1, -1, -1):
        angle = 2 * np.pi * _SWAYS * left / RATE
        near = 1 + _NEARER * (1 - np.cos(angle)) / 2
        shift = _SWAY * min(width, height) * (np.sin(angle + phase) - np.sin(phase))
        matrix = np.column_stack([near * np.eye(2), middle * (1 - near) + shift])
        frame = image if not left else cv2.warpAffine(
            image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        noise = rng.normal(0, NOISE, image.shape)
        yield np.clip(frame + noise + 0.5, 0, 255).astype(np.uint8)


class FollowInMoved:
    """Hands of an image, as they are followed through a video of it: those of its last frame.

    A function for `finding.evaluate`; images have nothing to do with each other.
    """

    def __init__(self, pipeline: Pipeline, frames: int) -> None:
        """pipeline: one that follows hands. frames: of each video, 1 or more; else ValueError."""
        if pipeline.options.tracking is None:
            raise ValueError('the pipeline does not follow hands, its options have no tracking')
        if frames < 1:
            raise ValueError(f'frames is {frames}, expected 1 or more')
        self._pipeline, self._frames = pipeline, frames

    def __call__(self, image: np.ndarray) -> Hands:
        """Follow hands from the first frame on; what they are in the last one."""
        self._pipeline.reset()
        *_, last = (self._pipeline.process(frame, stamp=number / RATE)
                    for number, frame in enumerate(moved(image, self._frames)))
        return last
