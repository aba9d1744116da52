"""Mirrored images (selfie cameras): turned round before, and pixels turned back after.

In between everything is as in the world, so sides and metres are right and camera_info, which
belongs to the camera and not to the mirror, fits. Only pixels return to the image as given.
"""

from dataclasses import replace

import numpy as np

from hiu_ros.perception.frame import Frame
from hiu_ros.perception.result import Hand


def mirrored_frame(frame: Frame) -> Frame:
    """A frame whose image, depth and boxes are mirrored in x."""
    width = frame.image.shape[1]
    boxes = frame.boxes
    if boxes is not None:
        # Whole numbers of few bits, or without a sign, cannot be taken from each other.
        boxes = [[width - 1 - x - w, y, w, h] for x, y, w, h in np.asarray(boxes, float).tolist()]
    return replace(
        frame, image=np.ascontiguousarray(frame.image[:, ::-1]), boxes=boxes,
        depth=None if frame.depth is None else np.ascontiguousarray(frame.depth[:, ::-1]))


def mirrored_back(hand: Hand, width: int) -> Hand:
    """A hand whose pixels are mirrored in an image of this width; metres stay as they are."""
    x, y, w, h = hand.box
    left, top = hand.mask_origin
    pixels = hand.keypoints_px.copy()
    pixels[:, 0] = width - 1 - pixels[:, 0]
    return replace(
        hand, box=np.array([width - 1 - x - w, y, w, h]), keypoints_px=pixels,
        mask=np.ascontiguousarray(hand.mask[:, ::-1]),
        mask_origin=(width - left - hand.mask.shape[1], top))
