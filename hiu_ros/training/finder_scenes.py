"""Frames for the finder: photographs and scenes composed of renders, with all hands known.

Sample i is a function of (seed, i) alone.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from hiu_ros.data.backgrounds import open_patches
from hiu_ros.geometry.crop import NETWORK_SCALE
from hiu_ros.training.augment import random_patch
from hiu_ros.training.finder_light import Weather
from hiu_ros.training.finder_paste import Renders, add_arm, add_patch
from hiu_ros.training.finder_photos import Shot, Shots
from hiu_ros.training.finder_targets import LEAST_EXTENT, Frame, frame_targets, joints_box
from hiu_ros.training.harsh import harsh

Rng = np.random.Generator
#: A photograph is not enlarged by more than this.
LARGEST = 1.6
#: Longer sides of a frame that a hand may be large.
LARGEST_HAND = 1.25
#: A labelled hand that leaves the frame with its middle is in doubt from this share inside on.
_PARTLY = 0.15
#: Longer sides of a frame that the crop of a hand may be large which is not there.
_MIGHT_BE = (0.1, 0.8)


@dataclass(frozen=True)
class SceneOptions:
    """Where frames come from."""

    photos: str = ''  #: folder with labels.jsonl
    renders: tuple[str, ...] = ()  #: render bank directories
    backgrounds: str = ''  #: .npy of background patches
    near_misses: str = ''  #: .npy of patches that are mistaken for hands
    pack: str = ''  #: where the reduced photographs are kept; must be given with photos
    photo_share: float = 0.72
    crossing: float = 0.45  #: of the rendered hands in frames with others: over or beside one
    arms: float = 0.0  #: of the frames with hands: an arm of the same skin over one of them
    turned: float = 0.08  #: of the photographs: upside down, or to either side
    leave_out: tuple[str, ...] = ()  #: photo sets that are not trained on
    harsh: float = 0.0  #: frames that are much worse: burnt out, noisy, badly sent, blurred
    gloves: float = 0.0  #: of the rendered hands: in the colour of a glove

    def __post_init__(self) -> None:
        for name in ('photo_share', 'crossing', 'arms', 'turned', 'harsh', 'gloves'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} is {getattr(self, name)}, expected a share from 0 to 1')


class Scenes(torch.utils.data.Dataset):
    """Endless frames, as dicts of `centre_targets` and the image.

    Their longer side is `long_side`; `group` frames in a row have one shape, and those are
    3:4, square and upright.
    """

    def __init__(self, options: SceneOptions, long_side: int, seed: int = 0, group: int = 1,
                 length: int = 10**9):
        self.options, self.seed, self.group, self.length = options, seed, group, length
        short = max(32, long_side * 3 // 4 // 32 * 32)
        self.shapes = [(short, long_side)] * 6 + [(long_side, short)] * 2 + [(long_side,) * 2] * 2
        self.shots = (Shots(options.photos, Path(options.pack), options.leave_out)
                      if options.photos else None)
        self.renders = Renders(options.renders) if options.renders else None
        self.patches = open_patches(options.backgrounds)
        self.near = open_patches(options.near_misses)
        self.weather = Weather()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self.seed, 78, index))
        which = np.random.default_rng((self.seed, 79, index // self.group)).integers(10)
        frame = self.frame(rng, *self.shapes[which])
        sample = frame_targets(frame)
        sample['images'] = self.weather(frame.image, rng)
        if self.options.harsh and rng.random() < self.options.harsh:
            sample['images'] = harsh(sample['images'], rng, self.hand_side(frame, rng))
        return sample

    @staticmethod
    def hand_side(frame: Frame, rng: Rng) -> float:
        """Side of the crop of one of a frame's hands, px; of one that might be there."""
        if not frame.points:
            return max(frame.image.shape[:2]) * np.exp(rng.uniform(*np.log(_MIGHT_BE)))
        points = frame.points[rng.integers(len(frame.points))]
        return NETWORK_SCALE * max(float(np.ptp(points, axis=0).max()), LEAST_EXTENT)

    def frame(self, rng: Rng, height: int, width: int) -> Frame:
        """A frame before the weather."""
        if self.shots is not None and rng.random() < self.options.photo_share:
            if rng.random() < 0.15:
                frame = self.mosaic(rng, height, width)
            else:
                frame = self.photograph(rng, height, width)
        else:
            frame = Frame(self.background(rng, height, width))
        while len(self.near) and rng.random() < 0.35:
            add_patch(frame, self.near[rng.integers(len(self.near))], rng)
        if self.renders is not None:
            chances = (0.72, 0.15, 0.09, 0.04, 0) if frame.points or frame.doubts or (
                frame.trust < 1) else (0.2, 0.3, 0.24, 0.16, 0.1)
            for _ in range(rng.choice(5, p=chances)):
                self.renders.add(frame, rng, self.options.crossing, self.options.gloves)
        if frame.points and rng.random() < self.options.arms:
            add_arm(frame, rng)
        if rng.random() < 0.5:
            mirror(frame)
        return frame

    def background(self, rng: Rng, height: int, width: int) -> np.ndarray:
        """One patch, or four beside each other; some are of what is mistaken for a hand."""
        side = max(height, width)

        def one() -> np.ndarray:
            patches = self.near if len(self.near) and rng.random() < 0.3 else self.patches
            return random_patch(patches, side, rng)[:height, :width]

        image = one().copy()
        if rng.random() < 0.4:
            x, y = int(width * rng.uniform(0.2, 0.8)), int(height * rng.uniform(0.2, 0.8))
            image[:y, :x], image[y:, x:] = one()[:y, :x], one()[y:, x:]
        return image

    def mosaic(self, rng: Rng, height: int, width: int) -> Frame:
        """Two or four photographs in one frame."""
        whole = Frame(np.zeros((height, width, 3), np.uint8))
        x, y = (int(width * rng.uniform(0.35, 0.65)), int(height * rng.uniform(0.35, 0.65)))
        rows, columns = [(0, y), (y, height)], [(0, x), (x, width)]
        if rng.random() < 0.4:
            rows, columns = ([(0, height)], columns) if width >= height else (rows, [(0, width)])
        for top, bottom in rows:
            for left, right in columns:
                part = self.photograph(rng, bottom - top, right - left)
                whole.image[top:bottom, left:right] = part.image
                corner = np.array([left, top])
                whole.points += [points + corner for points in part.points]
                whole.right += part.right
                whole.doubts += [box + [left, top, left, top] for box in part.doubts]
                whole.trust = min(whole.trust, part.trust)
        return whole

    def photograph(self, rng: Rng, height: int, width: int) -> Frame:
        """A photograph, whole, around one of its hands at any size, or away from them."""
        shot = self.shots.draw(rng)
        matrix = _view(shot, rng, height, width, self.options.turned)
        # What leaves nothing of the frame free needs no background.
        corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) - matrix[:, 2]
        corners = corners @ np.linalg.inv(matrix[:, :2]).T
        h, w = shot.image.shape[:2]
        source = shot.image
        if np.sqrt(np.linalg.det(matrix[:, :2])) < 0.55:
            source = shot.half
            ratio = np.array([w / source.shape[1], h / source.shape[0]])
            matrix = np.column_stack([matrix[:, :2] * ratio,
                                      matrix[:, 2] + matrix[:, :2] @ (0.5 * ratio - 0.5)])
            points = [(p + 0.5) / ratio - 0.5 for p in shot.points]
        else:
            points = shot.points
        kind = rng.random()
        if kind < 0.5 or ((corners >= 0) & (corners <= [w, h])).all():
            border = cv2.BORDER_REPLICATE if kind < 0.12 else cv2.BORDER_CONSTANT
            frame = Frame(cv2.warpAffine(source, matrix, (width, height), borderMode=border))
        else:
            frame = Frame(self.background(rng, height, width))
            cv2.warpAffine(source, matrix, (width, height), dst=frame.image,
                           borderMode=cv2.BORDER_TRANSPARENT)
        frame.trust = 1.0 if shot.sure else 0.3
        for place, right in zip(points, shot.right):
            place = place @ matrix[:, :2].T + matrix[:, 2]
            box = joints_box(place)
            middle = (box[:2] + box[2:]) / 2
            if (middle > 0).all() and (middle < [width - 1, height - 1]).all():
                frame.points.append(place)
                frame.right.append(right)
            elif ((place > 0) & (place < [width, height])).all(1).mean() > _PARTLY:
                frame.doubts.append(box)
        return frame


def mirror(frame: Frame) -> None:
    """Turn left and right; a right hand becomes a left one."""
    last = frame.image.shape[1] - 1
    frame.image = np.ascontiguousarray(frame.image[:, ::-1])
    frame.points = [points * [-1, 1] + [last, 0] for points in frame.points]
    frame.right = [not right for right in frame.right]
    frame.doubts = [np.array([last - x1, y0, last - x0, y1]) for x0, y0, x1, y1 in frame.doubts]


def _view(shot: Shot, rng: Rng, height: int, width: int, turned: float) -> np.ndarray:
    """2 x 3, pixels of the photograph to pixels of the frame. turned: share that is, and not by
    a little."""
    h, w = shot.image.shape[:2]
    fit = min(height / h, width / w)
    middle, aim = np.array([(w - 1) / 2, (h - 1) / 2]), np.array([(width - 1) / 2,
                                                                  (height - 1) / 2])
    kind = rng.random()
    if kind < 0.3:
        scale = fit
        if rng.random() < 0.5:  # as the finder pads: beside or below
            aim = np.array([(w * scale - 1) / 2, (h * scale - 1) / 2])
    elif kind < 0.47:
        scale = fit * np.exp(rng.uniform(np.log(0.5), np.log(1.6)))
        slack = np.abs(np.array([width - w * scale, height - h * scale])) / 2
        aim = aim + rng.uniform(-1, 1, 2) * slack
    elif kind < 0.84:
        points = shot.points[rng.integers(len(shot.points))]
        box = joints_box(points)
        extent = max(box[2] - box[0], box[3] - box[1], 1.0)
        wanted = max(height, width) * np.exp(rng.uniform(np.log(0.08), np.log(LARGEST_HAND)))
        scale = np.clip(wanted / extent, 0.4 * fit, max(LARGEST, fit))
        middle = (box[:2] + box[2:]) / 2
        # Large hands are near the middle, or next to nothing of them would be in view.
        room = np.clip(1 - extent * scale / max(height, width), 0.25, 1)
        aim = aim + rng.uniform(-0.5, 0.5, 2) * room * (width, height)
    else:
        middle, side = _away(shot, rng)
        scale = min(max(height, width) / side, 2.0)
    chance = rng.random()
    if chance >= 1 - turned:
        turn = 90.0 * rng.choice([1, 2, 2, 3]) + rng.normal(0, 8)
    else:
        turn = rng.normal(0, 8 if chance < 0.87 * (1 - turned) else 40)
    matrix = cv2.getRotationMatrix2D(middle.tolist(), turn, scale)
    matrix[:, 2] += aim - middle
    return matrix


def _away(shot: Shot, rng: Rng) -> tuple[np.ndarray, float]:
    """Middle and side of a square that keeps away from labelled hands, if one is found."""
    h, w = shot.image.shape[:2]
    boxes = np.array([joints_box(points) for points in shot.points])
    margin = 0.3 * (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True)
    low, high = boxes[:, :2] - margin, boxes[:, 2:] + margin
    for _ in range(8):
        side = min(h, w) * rng.uniform(0.25, 0.95)
        corner = rng.uniform(0, [w - side, h - side])
        if ((high <= corner).any(1) | (low >= corner + side).any(1)).all():
            break
    return corner + side / 2, side
