"""What perception hands to its users: the frozen `Hand` and `Hands`."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from hiu_ros.hand.skeleton import KEYPOINT_COUNT, POSE_COUNT, SHAPE_COUNT


class ScaleSource(Enum):
    """How the metric size and place of a hand were obtained; values as in HandKeypoints.msg."""

    ASSUMED_SIZE = 0
    CAMERA_INFO = 1
    DEPTH = 2


def _array(name: str, value: np.ndarray, shape: tuple, dtype: type) -> np.ndarray:
    array = np.asarray(value, dtype=dtype)
    if array is value and array.flags.writeable:
        array = array.copy()  # whoever made it may go on with it
    if len(array.shape) != len(shape) or any(
        want not in (-1, got) for want, got in zip(shape, array.shape)
    ):
        raise ValueError(f'Hand.{name} has shape {array.shape}, expected {shape} (-1: any)')
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Hand:
    """One hand in one image. Camera optical frame, metres, pixels of the full image.

    Arrays are read-only. `keypoints_m` and `vertices_m` have the wrist at the origin and the axes
    of the camera; add `translation_m` (None while the distance is unknown) for camera coordinates.
    """

    id: str
    side: str
    side_score: float
    score: float
    box: np.ndarray = field(repr=False)  #: (4,) x, y, width, height, px
    keypoints_px: np.ndarray = field(repr=False)  #: (21, 2) px
    keypoint_scores: np.ndarray = field(repr=False)  #: (21,) 0..1
    keypoints_valid: np.ndarray = field(repr=False)  #: (21,) bool, seen well, in the image
    keypoints_m: np.ndarray = field(repr=False)  #: (21, 3) m, wrist at the origin
    vertices_m: np.ndarray = field(repr=False)  #: (V, 3) m, wrist at the origin
    pose: np.ndarray = field(repr=False)  #: (48,) axis-angle, MANO joint order, rad
    shape: np.ndarray = field(repr=False)  #: (10,)
    wrist_rotation: np.ndarray = field(repr=False)  #: (3, 3) wrist frame to camera frame
    mask: np.ndarray = field(repr=False)  #: (h, w) uint8 0 / 255, a region of the image
    mask_origin: tuple[int, int] = (0, 0)  #: x, y of the mask's first pixel in the image
    translation_m: np.ndarray | None = None  #: (3,) wrist in the camera frame, m
    scale_source: ScaleSource = ScaleSource.ASSUMED_SIZE
    depth_sigma_m: float = float('nan')  #: standard deviation of translation_m[2], m
    residual_px: float = float('nan')  #: mean distance of reprojected mesh joints to keypoints_px

    @property
    def number(self) -> int:
        """The number that `id` ends in; no two hands of one camera that is followed share it."""
        return int(self.id.rpartition('_')[2])

    def __post_init__(self) -> None:
        if self.side not in ('left', 'right'):
            raise ValueError(f"Hand.side is {self.side!r}, expected 'left' or 'right'")
        if not self.id:
            raise ValueError('Hand.id is empty')
        k = KEYPOINT_COUNT
        for name, shape, dtype in (
            ('box', (4,), np.float32),
            ('keypoints_px', (k, 2), np.float32),
            ('keypoint_scores', (k,), np.float32),
            ('keypoints_valid', (k,), bool),
            ('keypoints_m', (k, 3), np.float32),
            ('vertices_m', (-1, 3), np.float32),
            ('pose', (POSE_COUNT,), np.float32),
            ('shape', (SHAPE_COUNT,), np.float32),
            ('wrist_rotation', (3, 3), np.float32),
            ('mask', (-1, -1), np.uint8),
        ):
            object.__setattr__(self, name, _array(name, getattr(self, name), shape, dtype))
        if self.translation_m is not None:
            t = _array('translation_m', self.translation_m, (3,), np.float32)
            object.__setattr__(self, 'translation_m', t)
        for name in ('keypoints_px', 'keypoints_m', 'vertices_m', 'pose', 'shape'):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f'Hand.{name} holds values that are not finite')


@dataclass(frozen=True, eq=False)
class Hands:
    """All hands of one image, and the image's size in pixels."""

    width: int
    height: int
    hands: tuple[Hand, ...] = ()

    def __post_init__(self) -> None:
        ids = [hand.id for hand in self.hands]
        if len(set(ids)) != len(ids):
            raise ValueError(f'Hands holds an id twice: {ids}')

    def __len__(self) -> int:
        return len(self.hands)

    def __iter__(self):
        return iter(self.hands)
