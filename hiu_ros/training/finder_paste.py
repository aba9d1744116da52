"""Things laid over the finder's frames: rendered hands, and patches that are no hands."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from hiu_ros.data.sets.renders import RenderBank
from hiu_ros.training.collage import bare_arm, blend, in_skin
from hiu_ros.training.finder_targets import Frame, joints_box
from hiu_ros.training.harsh import gloved

Rng = np.random.Generator
#: Of the hands laid over or beside another one: in its colour, as both hands of a person are.
_ONE_SKIN = 0.5
#: A hand of which more of the joints than this are hidden is gone, and from here in doubt.
GONE, DOUBTED = 0.75, 0.6


class Renders:
    """Rendered hands of one or several banks. DataSetError for a folder that is none."""

    def __init__(self, folders: Sequence[str | Path]) -> None:
        self._banks = [RenderBank(folder) for folder in folders]

    def __len__(self) -> int:
        return sum(map(len, self._banks))

    def draw(self, rng: Rng) -> tuple[np.ndarray, np.ndarray, bool]:
        """A tile (S, S, 4), its joints (21, 2) px, and whether it is a right hand."""
        bank = self._banks[rng.integers(len(self._banks))]
        i = rng.integers(len(bank))
        tile, joints = bank.bgra[i], bank.keypoints_px[i]
        if rng.random() < 0.5:
            return tile, joints, True
        return tile[:, ::-1], joints * [-1, 1] + [tile.shape[1] - 1, 0], False

    def add(self, frame: Frame, rng: Rng, crossing: float, gloves: float = 0.0) -> None:
        """Lay a hand over the frame, with the chance `crossing` over or beside another one.

        gloves: the chance that it, and its arm, have the colour of a glove.
        """
        tile, joints, right = self.draw(rng)
        if gloves and rng.random() < gloves:
            picture, cover = (np.ascontiguousarray(part) for part in (tile[..., :3], tile[..., 3]))
            tile = np.dstack([gloved(picture, cover, rng), cover])
        height, width = frame.image.shape[:2]
        extent = float(np.ptp(joints, axis=0).max())
        if frame.points and rng.random() < crossing:
            other = frame.points[rng.integers(len(frame.points))]
            size = max(float(np.ptp(other, axis=0).max()), 8.0)
            angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.1) * size
            place = other.mean(0) + reach * np.array([np.cos(angle), np.sin(angle)])
            wanted = size * np.exp(rng.normal(0, 0.3))
            skin, own = skin_at(frame.image, other), skin_at(tile[..., :3], joints)
            if skin is not None and own is not None and rng.random() < _ONE_SKIN:
                tile = np.dstack([in_skin(tile[..., :3], own, skin), tile[..., 3]])
        else:
            wanted = max(height, width) * np.exp(rng.uniform(np.log(0.04), np.log(0.8)))
            place = rng.uniform((0, 0), (width, height))
        turn = rng.normal(0, 25) if rng.random() < 0.8 else rng.uniform(-180, 180)
        middle = (tile.shape[1] - 1) / 2
        matrix = cv2.getRotationMatrix2D((middle, middle), turn, wanted / extent)
        matrix[:, 2] += place - middle
        cover = lay(frame.image, tile, matrix)
        hide(frame, cover)
        frame.points.append(joints @ matrix[:, :2].T + matrix[:, 2])
        frame.right.append(right)


def skin_at(image: np.ndarray, joints: np.ndarray) -> np.ndarray | None:
    """(3,) middle colour of an image (H, W, 3) at joints (21, 2) px; None if all are outside."""
    x, y = np.round(joints).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < image.shape[1]) & (y < image.shape[0])
    return np.median(image[y[inside], x[inside]], axis=0) if inside.any() else None


def add_arm(frame: Frame, rng: Rng) -> None:
    """Lay an arm over one of the frame's hands, in the colour of its skin."""
    joints = frame.points[rng.integers(len(frame.points))]
    skin = skin_at(frame.image, joints)
    if skin is None:
        return
    half = rng.uniform(0.1, 0.3) * max(float(np.ptp(joints, axis=0).max()), 8.0)
    aim = joints[rng.integers(len(joints))]
    picture, cover = bare_arm(frame.image.shape[:2], skin, aim, half, rng)
    frame.image = blend(picture, cover, frame.image)
    hide(frame, ((255 * cover[..., 0]).astype(np.uint8), 0, 0))


def lay(image: np.ndarray, tile: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Blend a tile (S, S, 4, straight alpha) into an image, in place; matrix: 2 x 3, to its px.

    Returns the alpha (h, w) uint8 that was laid and its place x, y in the image.
    """
    tile = np.ascontiguousarray(tile)
    alpha = cv2.merge([tile[..., 3]] * 3)
    # Colours times alpha, so that edges do not turn dark.
    tile = np.dstack([cv2.multiply(tile[..., :3], alpha, scale=1 / 255), tile[..., 3]])
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    matrix = matrix.copy()
    if scale < 0.6:
        small = max(8, round(tile.shape[0] * max(scale, 0.05)))
        ratio = tile.shape[0] / small
        tile = cv2.resize(tile, (small, small), interpolation=cv2.INTER_AREA)
        matrix[:, 2] += matrix[:, :2] @ np.full(2, 0.5 * ratio - 0.5)
        matrix[:, :2] *= ratio
    size = tile.shape[0] - 1
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]]) @ matrix[:, :2].T
    corners += matrix[:, 2]
    limits = np.array(image.shape[1::-1])
    low = np.clip(np.floor(corners.min(0)).astype(int), 0, limits)
    high = np.clip(np.ceil(corners.max(0)).astype(int) + 1, low, limits)
    x, y = low.tolist()
    width, height = (high - low).tolist()
    if not width or not height:
        return np.zeros((0, 0), np.uint8), x, y
    matrix[:, 2] -= low
    laid = cv2.warpAffine(tile, matrix, (width, height))
    alpha = laid[..., 3]
    part = image[y:y + height, x:x + width]
    kept = cv2.multiply(part, cv2.merge([255 - alpha] * 3), scale=1 / 255)
    part[:] = cv2.add(kept, cv2.merge([laid[..., 0], laid[..., 1], laid[..., 2]]))
    return alpha, x, y


def hide(frame: Frame, cover: tuple[np.ndarray, int, int]) -> None:
    """Take away hands that something hides, and doubt those that it half hides."""
    alpha, x, y = cover
    height, width = alpha.shape
    for k in reversed(range(len(frame.points))):
        joints = np.round(frame.points[k]).astype(int) - [x, y]
        inside = ((joints >= 0) & (joints < [width, height])).all(1)
        if not inside.any():
            continue
        hidden = (alpha[joints[inside, 1], joints[inside, 0]] > 127).sum() / len(joints)
        if hidden > DOUBTED:
            if hidden < GONE:
                frame.doubts.append(joints_box(frame.points[k]))
            del frame.points[k], frame.right[k]


def add_patch(frame: Frame, patch: np.ndarray, rng: Rng) -> None:
    """Lay something that is no hand over the frame, with soft or hard edges."""
    height, width = frame.image.shape[:2]
    side = patch.shape[0]
    shape = np.zeros((side, side), np.uint8)
    if rng.random() < 0.6:
        axes = side * rng.uniform(0.35, 0.55, 2)
        cv2.ellipse(shape, (((side - 1) / 2,) * 2, (2 * axes).tolist(), rng.uniform(0, 180)), 255,
                    -1)
        shape = cv2.blur(shape, (int(rng.integers(1, 16)),) * 2)
    else:
        shape[:] = 255
    wanted = max(height, width) * np.exp(rng.uniform(np.log(0.08), np.log(0.9)))
    middle = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), rng.normal(0, 15), wanted / side)
    matrix[:, 2] += rng.uniform((0, 0), (width, height)) - middle
    hide(frame, lay(frame.image, np.dstack([patch, shape]), matrix))
