"""Images whose pixels are not square: stretched before, and pixels taken back after.

A camera that bins one side alone, for example, has two focal lengths. The networks know hands as
square pixels show them, so in between the image is one of those; metres are the same in both.
"""

from dataclasses import replace

import cv2
import numpy as np

from hiu_ros.geometry.camera import USUAL_RATIO, Camera
from hiu_ros.perception.frame import Frame
from hiu_ros.perception.result import Hand, Hands

#: Pixels count as square while the focal lengths differ by no larger share.
_ALIKE = 0.05


def squared_frame(frame: Frame) -> Frame:
    """A frame with square pixels; the same one where its camera is not known or has them, or where
    its focal lengths are too different to be believed.

    One side of its image is longer than before. Values of depth are never mixed.
    """
    camera = frame.camera
    size = None if camera is None else _squared_size(camera)
    if size is None:
        return frame
    depth, boxes = frame.depth, frame.boxes
    if depth is not None:
        columns, rows = (((np.arange(n) + 0.5) * old / n).astype(int)
                         for n, old in zip(size, depth.shape[::-1]))
        depth = depth[rows[:, None], columns]
    if boxes is not None:
        sx, sy = size[0] / camera.width, size[1] / camera.height
        boxes = [[(x + 0.5) * sx - 0.5, (y + 0.5) * sy - 0.5, w * sx, h * sy]
                 for x, y, w, h in np.asarray(boxes, float).tolist()]
    return replace(
        frame, image=cv2.resize(frame.image, size), camera=camera.scaled_to(*size), depth=depth,
        boxes=boxes)


def squared_back(hands: Hands, width: int, height: int) -> Hands:
    """Hands of a squared image, with pixels of the image of this size that it was made of."""
    if (hands.width, hands.height) == (width, height):
        return hands
    scale = np.array([width / hands.width, height / hands.height])
    return Hands(width, height, tuple(_back(hand, scale, width, height) for hand in hands))


def _squared_size(camera: Camera) -> tuple[int, int] | None:
    """Width and height in which both focal lengths are the larger one; None: as they are."""
    largest = max(camera.fx, camera.fy)
    if not 1 + _ALIKE < largest / min(camera.fx, camera.fy) <= USUAL_RATIO:
        return None
    return round(camera.width * largest / camera.fx), round(camera.height * largest / camera.fy)


def _back(hand: Hand, scale: np.ndarray, width: int, height: int) -> Hand:
    """A hand whose pixels are taken into an image that is `scale` times as wide and high."""
    mask, (left, top) = _mask_back(hand, scale, width, height)
    low = (hand.box[:2] + 0.5) * scale - 0.5
    return replace(
        hand, box=np.concatenate([low, hand.box[2:] * scale]),
        keypoints_px=(hand.keypoints_px + 0.5) * scale - 0.5, mask=mask, mask_origin=(left, top),
        # How a distance shrinks depends on where it points; this is the mean of both sides.
        residual_px=hand.residual_px * float(scale.mean()))


def _mask_back(hand: Hand, scale: np.ndarray, width: int, height: int
               ) -> tuple[np.ndarray, tuple[int, int]]:
    """The mask that the middles of the smaller image's pixels lie in, and its first pixel."""
    (left, columns), (top, rows) = (
        _pixels_back(*along) for along in
        zip(hand.mask_origin, hand.mask.shape[::-1], scale, (width, height)))
    return hand.mask[rows[:, None], columns], (left, top)


def _pixels_back(start: int, length: int, scale: float, side: int) -> tuple[int, np.ndarray]:
    """Along one side: the first pixel, one at least, whose middle lies in `length` pixels from
    `start` of the larger image, and which of these each pixel from there on lies in."""
    first, last = np.ceil(np.array([start, start + length]) * scale - 0.5).astype(int)
    first = int(np.clip(first, 0, side - 1))
    middles = np.arange(first, np.clip(last, first + 1, side)) + 0.5
    return first, np.clip((middles / scale).astype(int) - start, 0, length - 1)
