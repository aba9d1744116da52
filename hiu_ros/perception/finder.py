"""Hands in a whole image: the finder network around its NumPy side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch

from hiu_ros.network.finder import STRIDE, FinderOutput, load_finder
from hiu_ros.perception.association import overlap
from hiu_ros.perception.options import FINDER_WEIGHTS

#: Inputs are padded with black to multiples of this.
_MULTIPLE = 32
#: Share of an image's sides that a part of it takes when small hands are looked for.
_PART = 0.6
#: Sides of the network's input, in sides of those that it was trained with: the shorter one at
#: least, since hands are as large as that allows, be the image ever so wide, and the longer one
#: at most.
_SHORT_LEAST, _LONG_MOST = 0.5, 4.0
#: An image is enlarged this much at most; beyond, it is more blurred than any of the training.
_ENLARGED_MOST = 2.0


@dataclass(frozen=True, eq=False)
class Detection:
    """Where a hand may be. box: (4,) x, y, w, h around its joints, px of the image; side_score
    and score 0..1; side is None where it is not known."""

    box: np.ndarray
    side: str | None = None
    side_score: float = 0.5
    score: float = 1.0


class Finder(Protocol):
    """What a pipeline needs of a finder."""

    def find(self, image: np.ndarray) -> Sequence[Detection]:
        """Hands of an image (H, W, 3) uint8 BGR, best first."""


class HandFinder:
    """The finder network on images of any size.

    An image is reduced to the longer side that the network was trained with, a very wide or high
    one less far; centres are the peaks of its heat map, and every detection is a square, as the
    network tells one size.

    threshold: of a peak's probability; low, for the hand network judges again, and a followed hand
    may be found anew where it is half hidden. small_hands: four overlapping parts of the image are
    searched as well, so hands may be 40 % smaller. both_ways: the mean of what the network says of
    the image and of its mirror image; twice the work.
    """

    def __init__(self, network: torch.nn.Module, device: str | torch.device = 'cpu',
                 threshold: float = 0.2, small_hands: bool = False, most: int = 16,
                 both_ways: bool = False) -> None:
        self._network, self._device = network, torch.device(device)
        self._long_side = int(network.config.long_side)
        self.threshold, self.small_hands, self.most = threshold, small_hands, most
        self.both_ways = both_ways

    @classmethod
    def from_file(cls, weights: Path | str | None = None, device: str | torch.device = 'cpu',
                  **settings) -> 'HandFinder':
        """Load weights (None: the shipped ones); raises CheckpointError as `checkpoint.load`."""
        return cls(load_finder(weights or FINDER_WEIGHTS, device).fuse(), device, **settings)

    def find(self, image: np.ndarray) -> list[Detection]:
        """Hands of an image (H, W, 3) uint8 BGR, best first; no two of them overlap much."""
        height, width = image.shape[:2]
        views = [(0, 0, width, height)]
        if self.small_hands and max(height, width) > self._long_side:
            views += _parts(width, height)
        found: list[Detection] = []
        for view in views:
            found += self._find_in(image, view)
        return without_overlaps(found)[:self.most]

    def _find_in(self, image: np.ndarray, view: tuple[int, int, int, int]) -> list[Detection]:
        x, y, width, height = view
        picture, scale = reduced(image[y:y + height, x:x + width], self._long_side)
        batch = torch.from_numpy(picture).to(self._device).permute(2, 0, 1)[None]
        batch = batch.float().div_(127.5).sub_(1.0)
        with torch.inference_mode():
            if self.both_ways:
                output = both_ways_averaged(self._network(torch.cat([batch, batch.flip(3)])))
            else:
                output = self._network(batch)
        found = decode(output, self._long_side, self.threshold)
        detections = []
        for detection in found:
            box = detection.box / scale
            box[:2] += 0.5 / scale - 0.5
            centre = box[:2] + box[2:] / 2
            if not ((centre >= -0.5) & (centre < [width, height])).all():
                continue
            # Within a part of the image, what touches its inner edges belongs to another part.
            outer = [x == 0, y == 0, x + width == image.shape[1], y + height == image.shape[0]]
            gaps = [*box[:2], *(np.array([width, height]) - box[:2] - box[2:])]
            if any(not edge and gap < 0 for edge, gap in zip(outer, gaps)):
                continue
            box[:2] += [x, y]
            detections.append(Detection(box, detection.side, detection.side_score,
                                        detection.score))
        return detections


def reduced(image: np.ndarray, long_side: int) -> tuple[np.ndarray, float]:
    """The image as the network takes it, padded below and right, and its scale.

    Its longer side is `long_side` px; more where the shorter one would be less than half of that,
    and less where the image is very small.
    """
    longer, shorter = max(image.shape[:2]), min(image.shape[:2])
    scale = max(long_side / longer, min(
        _SHORT_LEAST * long_side / shorter, _LONG_MOST * long_side / longer))
    scale = min(scale, _ENLARGED_MOST)
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else
                       cv2.INTER_LINEAR)
    below, right = (-size[1]) % _MULTIPLE, (-size[0]) % _MULTIPLE
    padded = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT)
    return np.ascontiguousarray(padded), scale


def both_ways_averaged(output: FinderOutput) -> FinderOutput:
    """One image's maps from those of (image, mirror image), a batch of 2."""
    centre, offset, log_size, side = (maps.float() for maps in output)
    there, back = centre[0].sigmoid(), centre[1].flip(1).sigmoid()
    # The shift of a mirrored centre points the other way along x, and a left hand is a right one.
    turned = offset[1].flip(2) * offset.new_tensor([-1.0, 1.0])[:, None, None]
    return FinderOutput(
        torch.logit((there + back) / 2, 1e-6)[None], ((offset[0] + turned) / 2)[None],
        ((log_size[0] + log_size[1].flip(1)) / 2)[None], ((side[0] - side[1].flip(1)) / 2)[None])


def decode(output: FinderOutput, longer: int, threshold: float) -> list[Detection]:
    """Squares of the first image of a batch, in pixels of the network's input.

    longer: the longer side of the inputs that the network was trained with. A cell is a peak where
    none of its eight neighbours is higher; its offset refines the centre.
    """
    heat = output.centre[0].float().sigmoid()
    around = torch.nn.functional.max_pool2d(heat[None, None], 3, 1, 1)[0, 0]
    rows, columns = torch.nonzero((heat == around) & (heat >= threshold), as_tuple=True)
    found = []
    offset, log_size, side = output.offset[0], output.log_size[0], output.side[0]
    for row, column in zip(rows.tolist(), columns.tolist()):
        shift = offset[:, row, column].tolist()
        centre = (np.array([column, row]) + np.clip(shift, -1.5, 1.5) + 0.5) * STRIDE - 0.5
        size = float(np.exp(np.clip(float(log_size[row, column]), -5.0, 0.5))) * longer
        right = float(torch.sigmoid(side[row, column]))
        found.append(Detection(
            np.array([*(centre - size / 2), size, size]), 'right' if right >= 0.5 else 'left',
            max(right, 1 - right), float(heat[row, column])))
    return found


def without_overlaps(detections: Sequence[Detection], limit: float = 0.55) -> list[Detection]:
    """The best detections of which no two overlap by more than `limit`, best first.

    A box that lies within another one for the most part counts as overlapping it.
    """
    kept: list[Detection] = []
    for detection in sorted(detections, key=lambda d: -d.score):
        if all(overlap(detection.box, k.box) <= limit and _within(detection.box, k.box) <= 0.9
               for k in kept):
            kept.append(detection)
    return kept


def _parts(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Four parts x, y, w, h of an image, one at each corner, that overlap in the middle."""
    w, h = int(np.ceil(_PART * width)), int(np.ceil(_PART * height))
    return [(x, y, w, h) for y in (0, height - h) for x in (0, width - w)]


def _within(box: np.ndarray, other: np.ndarray) -> float:
    """Share of the smaller of two boxes that lies within the other."""
    low = np.maximum(box[:2], other[:2])
    high = np.minimum(box[:2] + box[2:], other[:2] + other[2:])
    inner = float(np.prod(np.clip(high - low, 0.0, None)))
    smaller = min(float(box[2] * box[3]), float(other[2] * other[3]))
    return inner / smaller if smaller > 0 else 0.0
