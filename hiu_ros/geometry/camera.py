"""A calibrated camera: pinhole with the distortion models of sensor_msgs/CameraInfo."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hiu_ros.geometry import distortion as lens

#: Focal lengths of lenses, as shares of the longer side of the image: the shortest belong to views
#: of more than 170 degrees, the longest to small regions of a telescope's image.
NEAREST, FARTHEST = 0.05, 1e5
#: Farthest place of the principal point beside the image, where that is a part of a larger one, in
#: focal lengths.
ASIDE = 10.0
#: Focal lengths, as shares of the longer side, and ratios of both, beyond which intrinsics of a
#: whole image are doubted: 147 and 6 degrees.
USUAL_NEAREST, USUAL_FARTHEST, USUAL_RATIO = 0.15, 10.0, 2.0
#: Distance of the principal point from the middle, as a share of the side, beyond which it is
#: doubted: there it is where images were resized to two thirds, a half or double and K was not.
#: Lenses longer than `LONG` sides are calibrated too loosely for that.
OFF_MIDDLE, LONG = 0.2, 4.0


class CameraError(ValueError):
    """Intrinsics that cannot be used: not calibrated, not finite, or for another image size."""


@dataclass(frozen=True)
class Camera:
    """Intrinsics of one image stream, in pixels of that image (pixel centres at integers).

    distortion: 'none', 'plumb_bob' (k1 k2 p1 p2 [k3]), 'rational_polynomial' (k1 k2 p1 p2 k3 k4
    k5 k6) or 'equidistant' (fisheye, k1 k2 k3 k4). Points are in the camera optical frame:
    x right, y down, z forward, metres. Raises CameraError for values that are no camera.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    distortion: str = 'none'
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.cx, self.cy)
        if not all(math.isfinite(value) for value in values):
            raise CameraError(f'camera intrinsics are not finite: fx, fy, cx, cy = {values}')
        if self.fx <= 0.0 or self.fy <= 0.0:
            raise CameraError(
                f'camera focal lengths must be positive, got fx {self.fx}, fy {self.fy}; '
                'a camera_info of zeros means that the camera is not calibrated'
            )
        if self.width <= 0 or self.height <= 0:
            raise CameraError(f'camera image size must be positive, got {self.width} x '
                              f'{self.height}')
        self._check_view()
        numbers = np.ravel(np.asarray(self.coefficients, dtype=np.float64))
        object.__setattr__(self, 'coefficients', tuple(numbers.tolist()))
        try:
            model = lens.checked(self.distortion, self.coefficients)
        except ValueError as error:
            raise CameraError(str(error)) from error
        object.__setattr__(self, 'distortion', model)
        if model == 'none':
            object.__setattr__(self, 'coefficients', ())

    def _check_view(self) -> None:
        """Raise CameraError where no lens sees the image in that way; such hands have no place."""
        side = max(self.width, self.height)
        if min(self.fx, self.fy) < NEAREST * side or max(self.fx, self.fy) > FARTHEST * side:
            raise CameraError(
                f'camera focal lengths must be pixels, {NEAREST:g} to {FARTHEST:g} times the '
                f'longer side of the {self.width} x {self.height} image; got fx {self.fx}, fy '
                f'{self.fy}'
            )
        for name, centre, focal, size in (
            ('cx', self.cx, self.fx, self.width), ('cy', self.cy, self.fy, self.height),
        ):
            if max(-centre, centre - size) > ASIDE * focal:
                raise CameraError(
                    f'camera principal point must be at most {ASIDE:g} focal lengths beside the '
                    f'{self.width} x {self.height} image; got {name} {centre}'
                )

    @classmethod
    def from_info(
        cls,
        width: int,
        height: int,
        k: Sequence[float],
        d: Sequence[float] = (),
        model: str = '',
        p: Sequence[float] | None = None,
        rectified: bool = False,
        binning: tuple[int, int] = (0, 0),
        roi: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> 'Camera':
        """Camera of the images that a sensor_msgs/CameraInfo goes with.

        width, height: full resolution of the sensor. k: 9 numbers, row-major or (3, 3). d, model:
        distortion. p: 12 numbers, used in place of k and d where the images are `rectified`; its
        fourth column (baseline of a stereo pair) is left out, so points stay in the frame of this
        very camera. binning: (x, y), 0 means 1. roi: (x_offset, y_offset, width, height) in full
        resolution pixels, size 0 means the whole image. The size of the result is that of the
        image as delivered: region, then binning.
        """
        if rectified:
            if p is None or np.size(p) != 12:
                raise CameraError('rectified images need P of camera_info, 12 numbers; got '
                                  f'{None if p is None else np.size(p)}')
            fx, fy, cx, cy = np.ravel(p)[[0, 5, 2, 6]]
            if not np.any(p) and np.any(k):
                raise CameraError('P of camera_info is zeros, and rectified images need it; K is '
                                  'that of raw images, for which rectified is false')
            model, d = 'none', ()
        else:
            if np.size(k) != 9:
                raise CameraError(f'K of camera_info must hold 9 numbers, got {np.size(k)}')
            fx, fy, cx, cy = np.ravel(k)[[0, 4, 2, 5]]
        x, y, roi_width, roi_height = (int(value) for value in roi)
        if min(x, y, roi_width, roi_height) < 0:
            raise CameraError(f'region of camera_info is negative: {roi}')
        step_x, step_y = (max(1, int(value)) for value in binning)
        roi_width, roi_height = roi_width or int(width) - x, roi_height or int(height) - y
        return cls(
            fx=float(fx) / step_x,
            fy=float(fy) / step_y,
            # A binned pixel is centred between the pixels that it joins.
            cx=(float(cx) - x - (step_x - 1) / 2) / step_x,
            cy=(float(cy) - y - (step_y - 1) / 2) / step_y,
            width=roi_width // step_x,
            height=roi_height // step_y,
            distortion=model,
            coefficients=d,
        )

    @classmethod
    def assumed(cls, width: int, height: int) -> 'Camera':
        """A stand-in for an unknown camera: about 58 degrees across the longer side.

        Good enough for the direction in which a hand lies, never for its distance.
        """
        focal = 0.9 * max(width, height)
        return cls(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) pinhole matrix, float64."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def focal(self) -> float:
        """Geometric mean of both focal lengths, pixels."""
        return math.sqrt(self.fx * self.fy)

    def check_image(self, height: int, width: int) -> None:
        """Raise CameraError where an image is not of the size that this camera is for."""
        if (height, width) != (self.height, self.width):
            raise CameraError(
                f'camera_info is for {self.width} x {self.height} images but the image is '
                f'{width} x {height}; use the camera_info that is published with the image '
                '(a resized image needs a resized camera_info)'
            )

    def doubt(self) -> str:
        """Why this is hardly the camera of a whole image, though it may be; empty where it is.

        A region of a larger image may have any of it.
        """
        fx, fy, longer = self.fx, self.fy, max(self.width, self.height)
        image = f'the {self.width} x {self.height} image'
        if not (0 <= self.cx <= self.width and 0 <= self.cy <= self.height):
            return (f'its principal point {self.cx:g}, {self.cy:g} is outside of {image}; '
                    'it may be of another resolution')
        off = max(abs(self.cx / self.width - 0.5), abs(self.cy / self.height - 0.5))
        if off > OFF_MIDDLE and self.focal < LONG * longer:
            return (f'its principal point {self.cx:g}, {self.cy:g} is far from the middle of '
                    f'{image}; it may be of another resolution')
        if min(fx, fy) < USUAL_NEAREST * longer or max(fx, fy) > USUAL_FARTHEST * longer:
            return (f'its focal lengths {fx:g}, {fy:g} are hardly of {image}, which would be seen '
                    f'{math.degrees(2 * math.atan2(longer, 2 * self.focal)):.0f} degrees wide')
        if max(fx, fy) > USUAL_RATIO * min(fx, fy):
            return f'its focal lengths {fx:g}, {fy:g} differ by more than {USUAL_RATIO:g} times'
        middle = np.stack(np.meshgrid(np.linspace(0.25, 0.75, 5) * self.width,
                                      np.linspace(0.25, 0.75, 5) * self.height), -1)
        if not np.isfinite(self.normalise(middle)).all():
            return (f'its distortion ({self.distortion}) leaves parts of the middle of {image} '
                    'without a line of sight; the coefficients may be of another model')
        return ''

    def scaled_to(self, width: int, height: int) -> 'Camera':
        """The camera of the same picture resized to width x height pixels."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self, fx=self.fx * sx, fy=self.fy * sy, cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5, width=int(width), height=int(height),
        )

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3), metres, to pixels (..., 2); NaN for points not in front of it.

        Points too far aside for the lens are at the end of what it shows (`distortion.distort`).
        """
        points = np.asarray(points, dtype=np.float64)
        if points.shape[-1] != 3:
            raise ValueError(f'points must end in 3, got shape {points.shape}')
        z = points[..., 2:]
        with np.errstate(divide='ignore', invalid='ignore'):
            flat = np.where(z > 1e-9, points[..., :2] / z, np.nan)
        bent = lens.distort(self.distortion, self.coefficients, flat)
        return bent * [self.fx, self.fy] + [self.cx, self.cy]

    def normalise(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) to undistorted (x / z, y / z), shape (..., 2).

        NaN where no point in front of the camera is seen at the pixel.
        """
        pixels = np.asarray(pixels, dtype=np.float64)
        if pixels.shape[-1] != 2:
            raise ValueError(f'pixels must end in 2, got shape {pixels.shape}')
        bent = (pixels - [self.cx, self.cy]) / [self.fx, self.fy]
        return lens.undistort(self.distortion, self.coefficients, bent)

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Unit vectors (..., 3) from the camera through pixels (..., 2)."""
        flat = self.normalise(pixels)
        ray = np.concatenate([flat, np.ones_like(flat[..., :1])], axis=-1)
        return ray / np.linalg.norm(ray, axis=-1, keepdims=True)

    def unproject(self, pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Points (..., 3) at pixels (..., 2) and z = depth (...), metres."""
        flat = self.normalise(pixels)
        depth = np.asarray(depth, dtype=np.float64)[..., None]
        return np.concatenate([flat * depth, np.broadcast_to(depth, (*flat.shape[:-1], 1))], -1)
