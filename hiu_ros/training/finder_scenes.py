"""Frames for the finder: whole photographs and scenes composed of renders, with all hands known.

Sample i is a function of (seed, i) alone.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch

from hiu_ros.network.finder import STRIDE
from hiu_ros.training.augment import photometric, random_patch


@dataclass(frozen=True)
class SceneOptions:
    """Where frames come from."""

    photos: str = ''  #: folder with labels.jsonl
    renders: tuple[str, ...] = ()  #: render bank directories
    backgrounds: str = ''  #: .npy of background patches
    photo_share: float = 0.65
    leave_out: tuple[str, ...] = ()  #: photo sets that are not trained on


@dataclass
class Frame:
    """A frame and its hands: boxes (N, 4) x0, y0, x1, y1 of the joints, px; right (N,) bool."""

    image: np.ndarray
    boxes: list = field(default_factory=list)
    right: list = field(default_factory=list)


class Scenes(torch.utils.data.Dataset):
    """Endless frames of `height` x `width`, as dicts of `centre_targets` and the image."""

    def __init__(self, options: SceneOptions, height: int, width: int, seed: int = 0,
                 length: int = 10**9):
        self.options, self.size = options, (height, width)
        self.seed, self.length = seed, length
        self.rows: list[dict] = []
        if options.photos:
            with open(Path(options.photos) / 'labels.jsonl') as file:
                rows = [json.loads(line) for line in file]
            self.rows = [r for r in rows if r['split'] == 'train' and r['hands']
                         and r['set'] not in options.leave_out]
            names = sorted({r['set'] for r in self.rows})
            counts = np.array([sum(r['set'] == n for r in self.rows) for n in names])
            weight = dict(zip(names, counts ** -0.5))
            share = np.array([weight[r['set']] for r in self.rows])
            self.cumulative = np.cumsum(share / share.sum())
        self.banks = []
        for folder in map(Path, options.renders):
            with np.load(folder / 'labels.npz') as labels:
                keypoints = labels['keypoints_px']
            self.banks.append((np.load(folder / 'bgra.npy', mmap_mode='r'), keypoints))
        self.patches = (np.load(options.backgrounds, mmap_mode='r') if options.backgrounds
                        else np.zeros((0, 8, 8, 3), np.uint8))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self.seed, 77, index))
        frame = self.photograph(rng) if self.rows and rng.random() < self.options.photo_share \
            else Frame(self.background(rng))
        if self.banks:
            chances = (0.75, 0.15, 0.07, 0.03) if frame.boxes else (0.15, 0.4, 0.3, 0.15)
            for _ in range(rng.choice(4, p=chances)):
                self.add_render(frame, rng)
        if rng.random() < 0.5:
            frame.image = np.ascontiguousarray(frame.image[:, ::-1])
            width = self.size[1]
            frame.boxes = [np.array([width - 1 - b[2], b[1], width - 1 - b[0], b[3]])
                           for b in frame.boxes]
            frame.right = [not r for r in frame.right]
        sample = centre_targets(frame.boxes, frame.right, *self.size)
        sample['images'] = photometric(frame.image, rng)
        return sample

    def background(self, rng: np.random.Generator) -> np.ndarray:
        """One patch, or four beside each other."""
        height, width = self.size
        side = max(height, width)
        if rng.random() < 0.6:
            return random_patch(self.patches, side, rng)[:height, :width].copy()
        x, y = int(width * rng.uniform(0.2, 0.8)), int(height * rng.uniform(0.2, 0.8))
        image = random_patch(self.patches, side, rng)[:height, :width].copy()
        image[:y, :x] = random_patch(self.patches, side, rng)[:y, :x]
        image[y:, x:] = random_patch(self.patches, side, rng)[y:height, x:width]
        return image

    def photograph(self, rng: np.random.Generator) -> Frame:
        """A photograph, shaken: scaled, moved, turned a little, over some background."""
        row = self.rows[np.searchsorted(self.cumulative, rng.random() * 0.999999)]
        image = cv2.imread(str(Path(self.options.photos) / row['file']))
        height, width = self.size
        h, w = image.shape[:2]
        fit = min(height / h, width / w)
        scale = fit * np.exp(rng.uniform(np.log(0.6), np.log(1.6)))
        if rng.random() < 0.3:
            scale = fit
        angle = rng.normal(0, 8)
        matrix = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), angle, scale)
        slack = np.abs(np.array([width - w * scale, height - h * scale])) / 2
        shift = rng.uniform(-1, 1, 2) * slack if rng.random() < 0.7 else 0
        matrix[:, 2] += np.array([(width - w) / 2, (height - h) / 2]) + shift
        if scale < 0.5:
            image = cv2.blur(image, (int(1 / scale),) * 2)
        kind = rng.random()
        if kind < 0.4:
            frame = cv2.warpAffine(image, matrix, (width, height))
        else:
            frame = self.background(rng)
            cv2.warpAffine(image, matrix, (width, height), dst=frame,
                           borderMode=cv2.BORDER_TRANSPARENT)
        result = Frame(frame)
        for hand in row['hands']:
            points = np.array(hand['keypoints_px']) @ matrix[:, :2].T + matrix[:, 2]
            low, high = points.min(0), points.max(0)
            middle = (low + high) / 2
            if (middle > 0).all() and middle[0] < width and middle[1] < height:
                result.boxes.append(np.array([*low, *high]))
                result.right.append(hand['side'] == 'right')
        return result

    def add_render(self, frame: Frame, rng: np.random.Generator) -> None:
        """Lay a rendered hand over the frame; hands that it hides go."""
        tiles, keypoints = self.banks[rng.integers(len(self.banks))]
        i = rng.integers(len(keypoints))
        tile, points = np.asarray(tiles[i]), keypoints[i]
        height, width = self.size
        extent = (points.max(0) - points.min(0)).max()
        wanted = max(height, width) * np.exp(rng.uniform(np.log(0.06), np.log(0.7)))
        scale = wanted / extent
        matrix = cv2.getRotationMatrix2D(((tile.shape[1] - 1) / 2,) * 2,
                                         rng.normal(0, 25), scale)
        place = rng.uniform((0, 0), (width, height))
        matrix[:, 2] += place - (tile.shape[1] - 1) / 2
        if scale < 0.5:
            tile = cv2.blur(tile, (int(1 / scale),) * 2)
        laid = cv2.warpAffine(tile, matrix, (width, height)).astype(np.float32)
        alpha = laid[..., 3:] / 255
        frame.image = (alpha * laid[..., :3] + (1 - alpha) * frame.image).astype(np.uint8)
        points = points @ matrix[:, :2].T + matrix[:, 2]
        box = np.array([*points.min(0), *points.max(0)])
        kept = [k for k, b in enumerate(frame.boxes)
                if alpha[int(np.clip((b[1] + b[3]) / 2, 0, height - 1)),
                         int(np.clip((b[0] + b[2]) / 2, 0, width - 1)), 0] < 0.5]
        frame.boxes = [frame.boxes[k] for k in kept] + [box]
        frame.right = [frame.right[k] for k in kept] + [True]


def centre_targets(boxes: list, right: list, height: int, width: int) -> dict[str, np.ndarray]:
    """Maps at an eighth: Gaussian heat (height 1 at centres), and at centres size, offset, side.

    boxes: (N, 4) x0, y0, x1, y1 px. `known` marks the cells that carry size, offset and side.
    """
    h, w = height // STRIDE, width // STRIDE
    heat = np.zeros((h, w), np.float32)
    known = np.zeros((h, w), np.float32)
    offset = np.zeros((2, h, w), np.float32)
    log_size = np.zeros((h, w), np.float32)
    side = np.zeros((h, w), np.float32)
    ys, xs = np.mgrid[:h, :w]
    for box, is_right in zip(boxes, right):
        centre = ((box[:2] + box[2:]) / 2 + 0.5) / STRIDE - 0.5
        extent = max(box[2] - box[0], box[3] - box[1], 1.0)
        x, y = np.round(centre).astype(int)
        if not (0 <= x < w and 0 <= y < h):
            continue
        sigma = max(extent / STRIDE * 0.12, 0.6)
        heat = np.maximum(heat, np.exp(-((xs - x)**2 + (ys - y)**2) / (2 * sigma**2)))
        # The neighbours of the middle know as well: peaks may fall beside it.
        near = (np.abs(xs - x) <= 1) & (np.abs(ys - y) <= 1)
        known[near] = 0.5
        known[y, x] = 1
        offset[0][near], offset[1][near] = (centre[0] - xs)[near], (centre[1] - ys)[near]
        log_size[near] = np.log(extent / max(height, width))
        side[near] = is_right
    return {'centre': heat.astype(np.float32), 'known': known, 'offset': offset,
            'log_size': log_size, 'side': side}
