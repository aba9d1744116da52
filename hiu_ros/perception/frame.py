"""What goes into a pipeline: one image of one camera, and what belongs to it."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from hiu_ros.geometry.camera import Camera


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of one camera, and what goes with it.

    image: (H, W, 3) uint8 BGR. stamp: seconds, None for one frame after the last. depth: (H, W)
    registered to the image, uint16 mm or float m. boxes: [x, y, w, h] px of hands to look at, in
    place of a search. key: names the camera whose hands are followed.
    """

    image: np.ndarray
    camera: Camera | None = None
    stamp: float | None = None
    depth: np.ndarray | None = None
    boxes: Sequence[Sequence[float]] | None = None
    key: Hashable = None


def check_frame(frame: Frame) -> None:
    """Raise ValueError for a frame that cannot be processed, saying what is wrong with it."""
    where = '' if frame.key is None else f' of camera {frame.key!r}'
    image = frame.image
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f'image{where} must be (H, W, 3) uint8 BGR, got '
                         f'{getattr(image, "shape", type(image).__name__)}')
    if image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f'image{where} must be uint8 and not empty, got {image.dtype} '
                         f'{image.shape}')
    if frame.stamp is not None and not math.isfinite(frame.stamp):
        raise ValueError(f'stamp{where} must be finite seconds or None, got {frame.stamp}')
    if frame.camera is not None:
        frame.camera.check_image(*image.shape[:2])
    if frame.depth is not None and frame.depth.shape != image.shape[:2]:
        raise ValueError(f'depth{where} must be registered to the image and of its size '
                         f'{image.shape[:2]}, got {frame.depth.shape}')
    if frame.depth is not None and frame.depth.dtype != np.uint16 and not np.issubdtype(
            frame.depth.dtype, np.floating):
        raise ValueError(f'depth{where} must be uint16 (mm) or float (m), got {frame.depth.dtype}')
    for box in () if frame.boxes is None else frame.boxes:
        values = np.asarray(box, dtype=np.float64)
        if values.shape != (4,) or not np.isfinite(values).all() or (values[2:] <= 0).any():
            raise ValueError(f'box{where} must be [x, y, w, h] with w and h above 0, got {box}')
