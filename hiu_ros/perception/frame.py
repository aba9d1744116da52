"""What goes into a pipeline: one image of one camera, and what belongs to it."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from hiu_ros.geometry.camera import Camera, CameraError


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of one camera, and what goes with it.

    image: (H, W, 3) uint8 BGR. stamp: seconds, None for one frame after the last. depth: (H, W)
    registered to the image, uint16 mm or float m. boxes: [x, y, w, h] px of hands to look at, in
    place of a search. key: names the camera whose hands are followed. view: what it sees, where
    that may change: hands are not followed from one view to another.
    """

    image: np.ndarray
    camera: Camera | None = None
    stamp: float | None = None
    depth: np.ndarray | None = None
    boxes: Sequence[Sequence[float]] | None = None
    key: Hashable = None
    view: Hashable = None


def check_frame(frame: Frame) -> None:
    """Raise ValueError for a frame that cannot be processed, saying what is wrong with it."""
    if not isinstance(frame, Frame):
        raise ValueError(f'frames must be Frames, got {_kind(frame)}')
    where = '' if frame.key is None else f' of camera {frame.key!r}'
    image, depth, boxes = frame.image, frame.depth, frame.boxes
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f'image{where} must be a NumPy array (H, W, 3) uint8 BGR, got '
                         f'{_kind(image)}')
    if image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f'image{where} must be uint8 and not empty, got {image.dtype} '
                         f'{image.shape}')
    if frame.stamp is not None and not _finite(frame.stamp, ()):
        raise ValueError(f'stamp{where} must be finite seconds or None, got {frame.stamp!r}')
    if frame.camera is not None:
        if not isinstance(frame.camera, Camera):
            raise CameraError(f'intrinsics{where} must be a geometry.camera.Camera, which '
                              f'Camera.from_info makes of K, or None; got {_kind(frame.camera)}')
        frame.camera.check_image(*image.shape[:2])
    if depth is not None and (
            not isinstance(depth, np.ndarray) or depth.shape != image.shape[:2]):
        raise ValueError(f'depth{where} must be a NumPy array registered to the image and of its '
                         f'size {image.shape[:2]}, got {_kind(depth)}')
    if depth is not None and depth.dtype != np.uint16 and not np.issubdtype(
            depth.dtype, np.floating):
        raise ValueError(f'depth{where} must be uint16 (mm) or float (m), got {depth.dtype}')
    # What can be gone through only once would be empty when it is looked at.
    if boxes is not None and not hasattr(boxes, '__len__'):
        raise ValueError(f'boxes{where} must be a list of [x, y, w, h], got {_kind(boxes)}')
    for box in () if boxes is None else boxes:
        if not _finite(box, (4,)) or min(box[2], box[3]) <= 0:
            raise ValueError(f'box{where} must be [x, y, w, h] with w and h above 0, got {box}')


def _finite(value: object, shape: tuple[int, ...]) -> bool:
    """Whether a value is finite numbers of a shape."""
    try:
        numbers = np.asarray(value)
    except (TypeError, ValueError):
        return False
    return numbers.shape == shape and numbers.dtype.kind in 'iuf' and bool(
        np.isfinite(numbers).all())


def _kind(value: object) -> str:
    shape = getattr(value, 'shape', None)
    return type(value).__name__ + ('' if shape is None else f' {tuple(shape)}')
