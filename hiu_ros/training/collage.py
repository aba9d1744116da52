"""Pictures put together: hands cut out of their photograph, and other hands in the picture."""

import cv2
import numpy as np

from hiu_ros.geometry.crop import Crop
from hiu_ros.training.sources import Tile

Rng = np.random.Generator
#: How much larger than its joints' box the crop of another hand is taken, and how far away from
#: the middle that hand lies, in crop sides: near enough to cross the hand asked for, and too far
#: to be asked for itself.
_OTHER_SCALE = (1.25, 2.8)
CROSSING, ASIDE = (0.25, 0.75), (0.6, 0.9)
#: Factors by which another hand's colour may be brought to that of the hand asked for.
_SKIN_GAIN = (0.4, 2.5)
#: A hand of which more of the joints than this would be hidden stays alone.
MOST_HIDDEN = 0.6
#: How far a render's colours go on beyond its outline, px of the picture halved twice: as far as
#: soft edges reach.
_REACH = 2


def opacity(tile: Tile) -> np.ndarray | None:
    """(H, W) uint8 of a tile's hand: of its arm, too, where it is a render; None: unknown."""
    return tile.alpha if tile.alpha is not None else tile.mask


def cut(tile: Tile, crop: Crop, border: str) -> tuple[np.ndarray, np.ndarray | None]:
    """A crop of a tile: (n, n, 3) uint8 and its opacity (n, n, 1) uint8, None of a photograph.

    Both in one go, which takes half as long as one after the other. border: see `Crop.extract`.
    """
    if tile.alpha is None:
        return crop.extract(tile.image, border), None
    picture = crop.extract(beyond_outline(tile.image), border)
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR), picture[..., 3:]


def beyond_outline(image: np.ndarray) -> np.ndarray:
    """A render (H, W, 4) uint8, its colours going on into what is transparent about it.

    There it is black, which would draw a dark line around it when pixels are averaged.
    """
    _, shown = cv2.threshold(cv2.extractChannel(image, 3), 0, 255, cv2.THRESH_BINARY)
    seen = cv2.insertChannel(shown, cv2.copyTo(image, shown), 3)
    few = _halved(_halved(seen).astype(np.float32))
    few = np.where(few[..., 3:] > 0, few, cv2.blur(few, (2 * _REACH + 1,) * 2))
    few = few * (255 / np.maximum(few[..., 3:], 1e-3))
    few[..., 3] = 0
    return cv2.copyTo(image, shown, cv2.resize((few + 0.5).astype(np.uint8), image.shape[1::-1]))


def _halved(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    return cv2.resize(picture, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA)


def soft_edge(mask: np.ndarray, rng: Rng) -> np.ndarray:
    """(n, n, 1) float 0..1: a mask with an edge as soft as a lens makes it."""
    soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 1.6))
    return soft[..., None].astype(np.float32) / 255


def recoloured(image: np.ndarray, mask: np.ndarray, rng: Rng) -> np.ndarray:
    """(n, n, 3) uint8: a photograph whose hand, of mask (n, n), is lit or tanned differently."""
    gain = np.exp(rng.normal(0, 0.3) + rng.normal(0, 0.1, 3))
    picture = cv2.transform(image, np.diag(gain))
    return blend(picture, soft_edge(mask, rng), image)


def blend(front: np.ndarray, alpha: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """(n, n, 3) uint8: `front` over `behind`, both uint8, with alpha (n, n, 1) float32 of 0..1."""
    return cv2.blendLinear(front, behind, alpha[..., 0], 1 - alpha[..., 0])


def of_one_skin(picture: np.ndarray, cover: np.ndarray, image: np.ndarray,
                mask: np.ndarray) -> np.ndarray:
    """(n, n, 3) uint8: another hand's picture, opaque where `cover` (n, n, 1) of 0..1 is, in the
    mean colour that `image` has in its mask (n, n) uint8, as both hands of a person are."""
    theirs, own = skin_of(picture, 255 * cover[..., 0]), skin_of(image, mask)
    return picture if theirs is None or own is None else in_skin(picture, theirs, own)


def skin_of(image: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """(3,) mean colour of an image (H, W, 3) in a mask (H, W) of 0..255; None if it is empty."""
    inside = cv2.compare(mask, 127, cv2.CMP_GT)
    return np.array(cv2.mean(image, inside)[:3]) if cv2.countNonZero(inside) else None


def in_skin(picture: np.ndarray, own: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: a picture of a hand of the colour `own` (3,), as if it were `wanted`."""
    gain = (wanted + 1) / (own + 1)
    return cv2.transform(picture, np.diag(gain.clip(*_SKIN_GAIN)))


def bare_arm(shape: tuple[int, int], skin: np.ndarray, aim: np.ndarray, half: float, rng: Rng
             ) -> tuple[np.ndarray, np.ndarray]:
    """An arm from border to border, across about the point `aim` (2,) px: (H, W, 3) uint8 and how
    opaque it is, (H, W, 1) 0..1. It is round, and so darker towards its edges.

    shape: H, W. skin: (3,) BGR. half: half of the arm's width, px.
    """
    h, w = shape
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:h, :w] - np.asarray(aim)[::-1, None, None]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    taper = np.clip(1 + rng.uniform(0, 0.3) * along / max(h, w), 0.5, 1.5)
    off = (across - rng.uniform(-1, 1) * half) / (half * taper)
    shade = np.sqrt(np.clip(1 - off ** 2, 0, 1)) * rng.uniform(0.1, 0.5) + rng.uniform(-0.3, 0.3)
    grain = cv2.resize(rng.normal(0, 0.03, (h // 4 + 1, w // 4 + 1)), (w, h))
    picture = skin * (rng.uniform(0.7, 1.0) + shade + grain)[..., None]
    soft = np.clip((1 - np.abs(off)) * half / rng.uniform(0.8, 2.0), 0, 1)
    return picture.clip(0, 255).astype(np.uint8), soft[..., None].astype(np.float32)


def other_hand(tile: Tile, resolution: int, rng: Rng,
               reach: tuple[float, float] = CROSSING) -> tuple[np.ndarray, np.ndarray]:
    """Another hand at any turn and away from the middle: (n, n, 3) uint8, (n, n, 1) 0..1.

    reach: least and most of how far, in crop sides.
    """
    around = Crop.around_keypoints(tile.outline, np.exp(rng.uniform(*np.log(_OTHER_SCALE))))
    direction, far = rng.uniform(0, 2 * np.pi), rng.uniform(*reach)
    away = far * around.size * np.array([np.cos(direction), np.sin(direction)])
    crop = Crop(tuple(np.array(around.centre) + away), around.size, rng.uniform(-np.pi, np.pi),
                bool(rng.random() < 0.5), resolution)
    picture, _ = cut(tile, crop, 'replicate')
    return picture, soft_edge(crop.extract(opacity(tile)), rng)


def uncovered(mask: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """(n, n) uint8: what of a mask remains to be seen under a cover (n, n, 1) of 0..1."""
    return (mask * (1 - cover[..., 0])).astype(np.uint8)


def spots(outline: np.ndarray) -> np.ndarray:
    """Points (K, 2) of a hand that may be hidden: its joints, or a grid over its box's corners."""
    if len(outline) > 2:
        return outline[np.isfinite(outline).all(axis=1)]
    x, y = np.linspace(outline.min(axis=0), outline.max(axis=0), 5).T
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def share_hidden(alpha: np.ndarray, joints: np.ndarray) -> float:
    """Share of points (K, 2) crop px that lie under alpha (n, n, 1)."""
    pixels = np.round(joints).astype(int)
    inside = ((pixels >= 0) & (pixels < alpha.shape[0])).all(1)
    x, y = pixels[inside].T
    return float((alpha[y, x, 0] > 0.5).sum() / max(len(joints), 1))
