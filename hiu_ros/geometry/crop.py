"""The square cut around a hand that a network sees, and the way back to the image."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

BORDERS = {
    'constant': cv2.BORDER_CONSTANT,
    'replicate': cv2.BORDER_REPLICATE,
    'reflect': cv2.BORDER_REFLECT_101,
}

#: Side of the crop that the network sees over the larger side of the joints' box. Wider crops are
#: read worse, narrower ones leave a moving hand no room (docs/choices.md).
NETWORK_SCALE = 1.35
#: A palm that is shorter in the image than this share of the joints' box is seen from its end.
_END_ON = 0.15
#: Longest side, px, of an image that OpenCV can warp; and of the picture, as fine as the image,
#: that a crop is averaged from: that is a square, however thin the image.
_WARPABLE, _FINEST = 32766, 4096
#: Pixels, in each direction, that may be averaged into one at once of the smallest image.
_LEAST_PART = 64


@dataclass(frozen=True)
class Crop:
    """A square of an image, turned and perhaps mirrored, at a resolution of its own.

    An image point p (pixels, centres at integers) lies at
    `c = n / size * R(angle) (p - centre) + (n - 1) / 2` of the crop, with n the resolution and
    R = [[cos, -sin], [sin, cos]]; a mirrored crop then takes x to (n - 1) - x.

    centre: (x, y) image pixels; size: side in image pixels; angle: radians; resolution: n pixels.
    Raises ValueError for a size that is not positive, a number that is not finite, or n < 1.
    """

    centre: tuple[float, float]
    size: float
    angle: float = 0.0
    mirrored: bool = False
    resolution: int = 128

    def __post_init__(self) -> None:
        centre = np.asarray(self.centre, dtype=np.float64)
        if centre.shape != (2,) or not np.isfinite(centre).all():
            raise ValueError(f'crop centre must be two finite numbers, got {self.centre!r}')
        if not (math.isfinite(self.size) and self.size > 0.0):
            raise ValueError(f'crop size must be a positive number of pixels, got {self.size!r}')
        if not math.isfinite(self.angle):
            raise ValueError(f'crop angle must be finite, got {self.angle!r}')
        if int(self.resolution) != self.resolution or self.resolution < 1:
            raise ValueError(f'crop resolution must be an integer >= 1, got {self.resolution!r}')
        object.__setattr__(self, 'centre', (float(centre[0]), float(centre[1])))
        object.__setattr__(self, 'size', float(self.size))
        object.__setattr__(self, 'angle', float(self.angle))
        object.__setattr__(self, 'mirrored', bool(self.mirrored))
        object.__setattr__(self, 'resolution', int(self.resolution))

    @classmethod
    def around_keypoints(
        cls,
        keypoints: np.ndarray,
        scale: float = NETWORK_SCALE,
        resolution: int = 128,
        angle: float = 0.0,
        mirrored: bool = False,
    ) -> 'Crop':
        """Crop about the middle of the joints' box, `scale` times its larger side wide.

        The box has the crop's axes, those of the image turned by -angle.
        keypoints: (K, 2) image pixels; rows that are not finite are left out.
        Raises ValueError where fewer than two joints are finite or all fall on one point.
        """
        points = np.asarray(keypoints, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f'keypoints must be (K, 2), got shape {points.shape}')
        points = points[np.isfinite(points).all(axis=1)]
        if len(points) < 2:
            raise ValueError('a crop around keypoints needs at least two finite ones')
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        turned = points @ turn.T
        low, high = turned.min(axis=0), turned.max(axis=0)
        return cls(tuple((low + high) / 2 @ turn), scale * float((high - low).max()), angle,
                   mirrored, resolution)

    @classmethod
    def around_box(
        cls,
        box: np.ndarray,
        scale: float = 1.0,
        resolution: int = 128,
        angle: float = 0.0,
        mirrored: bool = False,
    ) -> 'Crop':
        """Crop about the middle of a box [x, y, w, h] (pixels), `scale` times its larger side."""
        x, y, width, height = np.asarray(box, dtype=np.float64).reshape(4)
        return cls((x + width / 2, y + height / 2), scale * float(max(width, height)), angle,
                   mirrored, resolution)

    @property
    def pixel_scale(self) -> float:
        """Crop pixels per image pixel."""
        return self.resolution / self.size

    def matrix(self) -> np.ndarray:
        """(2, 3) affine map from image pixels to crop pixels, float64."""
        middle = (self.resolution - 1) / 2
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        linear = self.pixel_scale * np.array([[cosine, -sine], [sine, cosine]])
        if self.mirrored:
            linear[0] = -linear[0]
        offset = middle - linear @ np.array(self.centre)
        return np.concatenate([linear, offset[:, None]], axis=1)

    def inverse_matrix(self) -> np.ndarray:
        """(2, 3) affine map from crop pixels to image pixels, float64."""
        linear = self.matrix()[:, :2].T / self.pixel_scale ** 2
        middle = (self.resolution - 1) / 2
        offset = np.array(self.centre) - linear @ np.array([middle, middle])
        return np.concatenate([linear, offset[:, None]], axis=1)

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Image points (..., 2) in crop pixels."""
        return _transform(self.matrix(), points)

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Crop points (..., 2) in image pixels."""
        return _transform(self.inverse_matrix(), points)

    def extract(
        self, image: np.ndarray, border: str = 'constant', nearest: bool = False
    ) -> np.ndarray:
        """Cut the crop out of an image: (n, n) or (n, n, channels), dtype of the image.

        image: (H, W) or (H, W, channels). border: what lies outside of it, 'constant' (zeros),
        'replicate' or 'reflect'. Bilinear, with an average over the covered area where the crop
        shrinks the image to less than half; `nearest` keeps label images as they are.
        Raises ValueError for an empty image or an unknown border.
        """
        if image.ndim not in (2, 3) or image.size == 0:
            raise ValueError(f'image must be (H, W) or (H, W, C) and not empty, got {image.shape}')
        if border not in BORDERS:
            raise ValueError(f'border must be one of {sorted(BORDERS)}, got {border!r}')
        if max(image.shape[:2]) > _WARPABLE or not nearest and self.size > self._finest:
            part, crop = self._part(image, border)
            return crop.extract(part, border, nearest)
        n = self.resolution
        factor = 1 if nearest else max(1, int(self.size / n))
        fine = Crop(self.centre, self.size, self.angle, self.mirrored, n * factor)
        picture = cv2.warpAffine(
            image, fine.inverse_matrix(), (n * factor, n * factor),
            flags=(cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP,
            borderMode=BORDERS[border],
        )
        if factor > 1:
            picture = cv2.resize(picture, (n, n), interpolation=cv2.INTER_AREA)
        return picture

    @property
    def _finest(self) -> int:
        return max(_FINEST, 2 * self.resolution)

    def _part(self, image: np.ndarray, border: str) -> tuple[np.ndarray, 'Crop']:
        """What of an image the crop and its surroundings cover, small enough to be warped, and the
        crop in it."""
        centre, last = np.array(self.centre), np.array(image.shape[1::-1]) - 1
        low = np.clip(np.floor(centre - 1.5 * self.size), 0, last).astype(int)
        high = np.clip(np.ceil(centre + 1.5 * self.size), 0, last).astype(int)
        part = image[low[1]:high[1] + 1, low[0]:high[0] + 1]
        longer = max(part.shape[:2])
        shrink = max(-(-longer // _WARPABLE), math.ceil(self.size / self._finest))
        # The rest of a crop that is far larger than the image is taken in further rounds: what is
        # beyond the image would fill all memory.
        shrink = min(shrink, max(longer, _LEAST_PART))
        if shrink > 1:
            below, right = (-part.shape[0]) % shrink, (-part.shape[1]) % shrink
            part = cv2.copyMakeBorder(part, 0, below, 0, right, BORDERS[border])
            part = cv2.resize(part, (part.shape[1] // shrink, part.shape[0] // shrink),
                              interpolation=cv2.INTER_AREA)
        centre = (centre - low + 0.5) / shrink - 0.5
        return part, replace(self, centre=tuple(centre), size=self.size / shrink)

    def paste(self, picture: np.ndarray, height: int, width: int) -> np.ndarray:
        """Lay a picture of this crop (n, n[, C]) back into an image of zeros (height, width)."""
        n = self.resolution
        if picture.shape[:2] != (n, n):
            raise ValueError(f'picture must be {n} x {n} like its crop, got {picture.shape}')
        return cv2.warpAffine(
            picture, self.inverse_matrix(), (width, height),
            flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
        )


def upright_angle(keypoints: np.ndarray) -> float:
    """Angle of a crop, radians, in which the fingers' bases lie above the wrist.

    keypoints: (21, 2) image pixels. 0 where the palm is seen so much from its end that the image
    does not tell which way it points.
    """
    points = np.asarray(keypoints, dtype=np.float64)
    palm = points[[5, 9, 13, 17]].mean(axis=0) - points[0]
    extent = float(np.ptp(points, axis=0).max())
    if not np.isfinite(palm).all() or np.linalg.norm(palm) < _END_ON * extent:
        return 0.0
    return -math.atan2(palm[0], -palm[1])


def _transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    if points.shape[-1] != 2:
        raise ValueError(f'points must end in 2, got shape {points.shape}')
    return points @ matrix[:, :2].T + matrix[:, 2]
