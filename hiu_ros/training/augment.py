"""What cameras, hands and things do to a picture of a hand: random, from a generator."""

import cv2
import numpy as np

from hiu_ros.data.camera_faults import as_jpeg, motion_line

Rng = np.random.Generator
#: How a background is turned: half of them stay as they are.
_QUARTERS = (None, None, None, cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180,
             cv2.ROTATE_90_CLOCKWISE)


def photometric(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Light, white balance, blur, noise, low resolution, compression, greyscale; (n, n, 3)."""
    picture = image.astype(np.float32)
    if rng.random() < 0.9:
        picture = _light(picture, rng)
    if rng.random() < 0.02:
        picture = picture[..., ::-1]  # a driver that takes RGB for BGR
    if rng.random() < 0.08:
        picture = np.repeat(picture @ np.float32([[0.114], [0.587], [0.299]]), 3, axis=2)
    if rng.random() < 0.2:
        picture = _blur(picture, rng)
    if rng.random() < 0.2:
        picture = _coarse(picture, rng)
    if rng.random() < 0.35:
        sigma = rng.uniform(1.0, 9.0) if rng.random() < 0.8 else rng.uniform(9.0, 25.0)
        picture = picture + _noise(picture.shape[:2], 3 if rng.random() < 0.5 else 1, sigma, rng)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        picture = as_jpeg(picture, int(rng.integers(6, 90)))
    return picture


def _light(picture: np.ndarray, rng: Rng) -> np.ndarray:
    gain = np.exp(rng.normal(-0.05, 0.2)) * np.exp(rng.normal(0, 0.08, 3)).astype(np.float32)
    chance = rng.random()
    if chance < 0.1:
        gain *= rng.uniform(0.1, 0.6)
    elif chance > 0.96:
        gain *= rng.uniform(1.4, 2.5)
    mean = np.array(cv2.mean(picture)[:3])
    contrast, lift = np.exp(rng.normal(0, 0.2)), rng.normal(0, 8)
    # Contrast about the mean, gain and lift, then colours towards or away from their grey.
    colour = np.exp(rng.normal(0, 0.3))
    mix = colour * np.eye(3) + (1 - colour) / 3
    offset = mix @ (mean * (1 - contrast) * gain + lift)
    matrix = np.column_stack([mix * (contrast * gain), offset]).astype(np.float32)
    picture = cv2.transform(picture, matrix)
    if rng.random() < 0.4:
        unit = np.clip(picture, 0, 255) * np.float32(1 / 255)
        picture = 255 * cv2.pow(unit, np.exp(rng.normal(0, 0.3)))
    if rng.random() < 0.15:
        n = picture.shape[0]
        line = np.linspace(-1, 1, n, dtype=np.float32)
        angle = rng.uniform(0, 2 * np.pi)
        ramp = np.cos(angle) * line[:, None] + np.sin(angle) * line[None]
        picture = picture * (1 + np.float32(rng.uniform(0.1, 0.5)) * ramp)[..., None]
    return picture.astype(np.float32, copy=False)


def _noise(shape: tuple[int, int], channels: int, sigma: float, rng: Rng) -> np.ndarray:
    """(H, W, channels) float32. OpenCV's generator is four times as fast as NumPy's."""
    cv2.setRNGSeed(int(rng.integers(2**31 - 1)))
    return cv2.randn(np.empty((*shape, channels), np.float32), 0, sigma)


def _blur(picture: np.ndarray, rng: Rng) -> np.ndarray:
    if rng.random() < 0.6:
        return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 2.8))
    return motion_blur(picture, rng, 16)


def motion_blur(picture: np.ndarray, rng: Rng, limit: int) -> np.ndarray:
    """Blur along a line of 3 to `limit` - 1 pixels in any direction."""
    # A line of an even number of pixels has no middle one: the picture would be shifted.
    length = int(rng.integers(3, limit)) - 1 | 1
    return cv2.filter2D(picture, -1, motion_line(length, rng.uniform(0, 180)))


def _coarse(picture: np.ndarray, rng: Rng) -> np.ndarray:
    n = picture.shape[0]
    small = max(16, int(n * rng.uniform(0.125, 0.8)))
    way = cv2.INTER_AREA if rng.random() < 0.7 else cv2.INTER_LINEAR
    back = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
    return cv2.resize(cv2.resize(picture, (small, small), interpolation=way), (n, n),
                      interpolation=back)


def occluder_shape(n: int, rng: Rng, keypoints: np.ndarray) -> np.ndarray:
    """A random blob, bar or half plane over a part of the hand; (n, n) float 0..1.

    keypoints: (21, 2) crop px, to know where the hand is.
    """
    shape = np.zeros((n, n), np.uint8)
    aim = keypoints[rng.integers(len(keypoints))] + rng.normal(0, 0.08 * n, 2)
    kind = rng.random()
    if kind < 0.45:
        count = int(rng.integers(4, 9))
        angles = np.sort(rng.uniform(0, 2 * np.pi, count))
        radii = rng.uniform(0.06, 0.2, count) * n
        ring = aim + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
        cv2.fillPoly(shape, [np.round(ring).astype(np.int32)], 255)
    elif kind < 0.75:
        axis = rng.normal(size=2)
        axis /= np.linalg.norm(axis) + 1e-6
        ends = aim + np.outer([-1, 1], axis) * n
        cv2.line(shape, ends[0].astype(int).tolist(), ends[1].astype(int).tolist(), 255,
                 int(rng.uniform(0.03, 0.16) * n) + 1)
    else:
        size = rng.uniform(0.08, 0.22, 2) * n
        cv2.ellipse(shape, (aim.tolist(), (2 * size).tolist(), rng.uniform(0, 180)), 255, -1)
    return cv2.GaussianBlur(shape, (0, 0), rng.uniform(0.4, 1.2)).astype(np.float32) / 255


def thing_shape(n: int, rng: Rng, keypoints: np.ndarray, share: float) -> np.ndarray:
    """A box, an oval or a lump before the hand that hides a share of its joints; (n, n) 0..1.

    keypoints: (21, 2) crop px. It is a superellipse about one of them, with dents and bumps.
    """
    aim = keypoints[rng.integers(len(keypoints))] + rng.normal(0, 0.05 * n, 2)
    angle, narrow = rng.uniform(0, np.pi), rng.uniform(0.25, 1)
    power = np.exp(rng.uniform(np.log(1.2), np.log(12)))
    waves = rng.normal(0, rng.choice([0, 0.04, 0.12]), 3) / [1, 1.5, 2]
    phases = rng.uniform(0, 2 * np.pi, 3)
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    def reach(points: np.ndarray) -> np.ndarray:
        place = np.abs((points - aim) @ axes.T / [1, narrow])
        size = ((place + 1e-6) ** power).sum(-1) ** (1 / power)
        around = np.arctan2(*np.moveaxis(points - aim, -1, 0))
        bumps = sum(a * np.cos(k * around + b) for k, a, b in zip((2, 3, 5), waves, phases))
        return size / (1 + bumps).clip(0.5)

    grid = np.stack(np.meshgrid(np.arange(n), np.arange(n)), -1).astype(np.float64)
    far, size = reach(grid), max(np.quantile(reach(keypoints), share), 0.02 * n)
    return cv2.GaussianBlur((far <= size).astype(np.float32), (0, 0), rng.uniform(0.4, 1.2))


def random_patch(patches: np.ndarray, n: int, rng: Rng) -> np.ndarray:
    """A background (n, n, 3) uint8: a random part of a random patch, mirrored and turned."""
    if len(patches) == 0 or rng.random() < 0.08:
        base = rng.uniform(0, 255, (int(rng.integers(1, 6)),) * 2 + (3,)).astype(np.float32)
        # OpenCV 4.5.4, that of Ubuntu 22.04, cannot enlarge a single pixel.
        base = np.tile(base, (2, 2, 1)) if len(base) == 1 else base
        return cv2.resize(base, (n, n), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(
            np.uint8)
    patch = patches[rng.integers(len(patches))]
    side = int(patch.shape[0] * rng.uniform(0.4, 1.0))
    y, x = rng.integers(0, patch.shape[0] - side + 1, 2)
    patch = cv2.resize(patch[y:y + side, x:x + side], (n, n), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        patch = cv2.flip(patch, 1)
    turn = _QUARTERS[rng.integers(len(_QUARTERS))]
    return patch if turn is None else cv2.rotate(patch, turn)
