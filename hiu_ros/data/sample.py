"""One labelled hand in one image: what every data set of the project gives."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from hiu_ros.hand.skeleton import KEYPOINT_COUNT, POSE_COUNT, SHAPE_COUNT

#: An array, or a function without arguments that reads it.
Lazy = np.ndarray | Callable[[], np.ndarray]


class Visibility(IntEnum):
    """What is known of a keypoint in the image (the codes of HIU-DMTL)."""

    VISIBLE = 0
    OCCLUDED = 1
    OUTSIDE = 2  #: labelled, but not within the image
    OUTSIDE_UNLABELLED = 3
    UNLABELLED = 4


class SampleError(ValueError):
    """A sample's field has a wrong shape or value; the message names both."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One hand of one image with the labels that exist; the others are None.

    Pixels of the full image with centres at integers, metres in the camera's optical frame,
    keypoints in the order of `skeleton.KEYPOINT_NAMES`. Rows of `keypoints_px` without a label
    (visibility above OUTSIDE) and of `keypoints_m` without one (not `valid_m`) are zeros. Arrays
    are read-only. A sample is checked when it is made and raises SampleError; `image` and `mask`
    may be functions, which are called by `read_image` and `read_mask` only.
    """

    source: str  #: data set and item, such as 'freihand/training/00000012'
    image: Lazy = field(repr=False)  #: (H, W, 3) uint8 BGR
    side: str | None = None  #: 'left' or 'right'
    camera: np.ndarray | None = None  #: (3, 3) intrinsic matrix K
    box: np.ndarray | None = None  #: (4,) x, y, width, height
    keypoints_px: np.ndarray | None = field(default=None, repr=False)  #: (21, 2)
    visibility: np.ndarray | None = field(default=None, repr=False)  #: (21,) codes `Visibility`
    keypoints_m: np.ndarray | None = field(default=None, repr=False)  #: (21, 3)
    valid_m: np.ndarray | None = field(default=None, repr=False)  #: (21,) bool
    vertices_m: np.ndarray | None = field(default=None, repr=False)  #: (V, 3)
    mask: Lazy | None = field(default=None, repr=False)  #: (H, W) uint8, 255 hand, 0 not
    pose: np.ndarray | None = field(default=None, repr=False)  #: (48,) absolute, MANO joint order
    shape: np.ndarray | None = field(default=None, repr=False)  #: (10,)
    model: str | None = None  #: hand model of pose, shape and vertices: 'mano' or our template's
    root_relative: bool = False  #: keypoints_m and vertices_m lack the place of the hand

    def __post_init__(self) -> None:
        if self.side not in (None, 'left', 'right'):
            raise SampleError(f"{self.source}: side is {self.side!r}, expected 'left' or 'right'")
        k = KEYPOINT_COUNT
        if self.keypoints_px is not None and self.visibility is None:
            self._set('visibility', np.full(k, Visibility.VISIBLE))
        if self.keypoints_m is not None and self.valid_m is None:
            self._set('valid_m', np.ones(k, bool))
        for name, shape, dtype in (
            ('camera', (3, 3), np.float64),
            ('box', (4,), np.float32),
            ('keypoints_px', (k, 2), np.float32),
            ('visibility', (k,), np.uint8),
            ('keypoints_m', (k, 3), np.float32),
            ('valid_m', (k,), bool),
            ('vertices_m', (None, 3), np.float32),
            ('pose', (POSE_COUNT,), np.float32),
            ('shape', (SHAPE_COUNT,), np.float32),
        ):
            if getattr(self, name) is not None:
                self._set(name, self._checked(name, shape, dtype))
        if self.visibility is not None:
            if self.keypoints_px is None:
                raise SampleError(f'{self.source}: visibility without keypoints_px')
            if self.visibility.max() > Visibility.UNLABELLED:
                raise SampleError(
                    f'{self.source}: visibility {self.visibility.max()}, expected 0 to 4')
        if self.valid_m is not None and self.keypoints_m is None:
            raise SampleError(f'{self.source}: valid_m without keypoints_m')
        if (self.pose is not None or self.shape is not None) and not self.model:
            raise SampleError(f'{self.source}: pose or shape without the name of their hand model')
        if self.keypoints_px is not None:
            self._blank('keypoints_px', self.labelled_px)
        if self.keypoints_m is not None:
            self._blank('keypoints_m', self.valid_m)
        if self.box is not None and not (self.box[2:] > 0).all():
            raise SampleError(f'{self.source}: box {self.box.tolist()} has no area')

    @property
    def labelled_px(self) -> np.ndarray | None:
        """(21,) bool: which rows of keypoints_px are labels."""
        return None if self.visibility is None else self.visibility <= Visibility.OUTSIDE

    @property
    def labels(self) -> frozenset[str]:
        """Names of the fields that hold a label."""
        names = ('side', 'camera', 'box', 'keypoints_px', 'keypoints_m', 'vertices_m', 'mask',
                 'pose', 'shape')
        return frozenset(name for name in names if getattr(self, name) is not None)

    def read_image(self) -> np.ndarray:
        """The image (H, W, 3) uint8 BGR."""
        image = self.image() if callable(self.image) else self.image
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise SampleError(f'{self.source}: image is {image.dtype} of shape {image.shape}, '
                              'expected uint8 (H, W, 3)')
        return image

    def read_mask(self) -> np.ndarray | None:
        """The mask (H, W) uint8, 0 or 255, or None where there is no label."""
        if self.mask is None:
            return None
        mask = self.mask() if callable(self.mask) else self.mask
        if mask.ndim != 2:
            raise SampleError(f'{self.source}: mask has shape {mask.shape}, expected (H, W)')
        return mask.astype(np.uint8)

    def joint_box(self) -> np.ndarray:
        """Box [x, y, width, height] around the labelled 2D keypoints.

        Raises SampleError where fewer than two are labelled.
        """
        points = None if self.keypoints_px is None else self.keypoints_px[self.labelled_px]
        if points is None or len(points) < 2:
            raise SampleError(f'{self.source}: fewer than two labelled keypoints, so no box')
        low, high = points.min(0), points.max(0)
        return np.concatenate([low, high - low])

    def _set(self, name: str, value: np.ndarray) -> None:
        object.__setattr__(self, name, value)

    def _checked(self, name: str, shape: tuple, dtype: type) -> np.ndarray:
        array = np.array(getattr(self, name), dtype=dtype)
        if array.ndim != len(shape) or any(w not in (None, g) for w, g in zip(shape, array.shape)):
            raise SampleError(
                f'{self.source}: {name} has shape {array.shape}, expected {shape} (None: any)')
        array.setflags(write=False)
        return array

    def _blank(self, name: str, keep: np.ndarray) -> None:
        array = np.where(keep[:, None], getattr(self, name), 0)
        if not np.isfinite(array).all():
            raise SampleError(f'{self.source}: {name} holds labels that are not finite')
        array.setflags(write=False)
        self._set(name, array)
