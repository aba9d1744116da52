"""How well a finder in training finds the hands of photographs that it does not learn."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hiu_ros.data.photos import PhotoFolder
from hiu_ros.evaluation.finding import hand_free_region
from hiu_ros.evaluation.photos import UNSEEN_SETS, joint_box
from hiu_ros.network.finder import Finder
from hiu_ros.perception.association import overlap
from hiu_ros.perception.finder import HandFinder

#: Scores from which a detection is taken in the figures.
THRESHOLDS = (0.1, 0.2, 0.3)
#: px, the longer side of the photographs in memory.
_LONG_SIDE = 384
_LEAST_OVERLAP = 0.3


@dataclass(frozen=True, eq=False)
class _Case:
    unseen: bool
    image: np.ndarray
    squares: np.ndarray  #: (N, 4) x, y, w, h around labelled hands
    empty: np.ndarray | None  #: a part without a labelled hand


class FinderValidation:
    """Photographs of the split `val`, `count` of the unseen sets and as many of the others.

    With sets left out of training, those are the unseen ones.
    """

    def __init__(self, folder: str | Path, count: int, unseen: Sequence[str] = ()):
        photos, unseen = PhotoFolder(folder), set(unseen) or set(UNSEEN_SETS)
        groups: dict[bool, list] = {True: [], False: []}
        for photo in photos:
            if photo.hands and (photo.split == 'val' or photo.set in unseen):
                groups[photo.set in unseen].append(photo)
        self.cases = []
        for is_unseen, group in groups.items():
            for k in np.unique(np.linspace(0, len(group) - 1, count).astype(int)
                               if group else []):
                image, scale = photos.read_image(group[k]), 1.0
                region = hand_free_region(group[k])
                empty = None
                if region is not None:
                    x, y, side, _ = region
                    empty = _reduced(image[y:y + side, x:x + side])[0]
                image, scale = _reduced(image)
                squares = []
                for hand in group[k].hands:
                    box = joint_box(hand.keypoints_px) * scale
                    side = box[2:].max()
                    squares.append([*(box[:2] + box[2:] / 2 - side / 2), side, side])
                self.cases.append(_Case(is_unseen, image, np.array(squares), empty))

    def __call__(self, model: Finder) -> dict[str, float]:
        """Share of photographs with a found hand, and of empty parts with a false one, each for
        every threshold, as `unseen_found_10` or `seen_false_30` (of 100)."""
        device = next(model.parameters()).device
        finder = HandFinder(copy.deepcopy(model).eval().fuse(), device, min(THRESHOLDS))
        scores: dict[str, list[float]] = {}
        for case in self.cases:
            kind = 'unseen' if case.unseen else 'seen'
            best = max((found.score for found in finder.find(case.image)
                        if any(overlap(found.box, square) >= _LEAST_OVERLAP
                               for square in case.squares)), default=0.0)
            scores.setdefault(f'{kind}_found', []).append(best)
            if case.empty is not None:
                worst = max((found.score for found in finder.find(case.empty)), default=0.0)
                scores.setdefault(f'{kind}_false', []).append(worst)
        return {f'{name}_{round(100 * t)}': float(np.mean(np.array(values) >= t))
                for name, values in scores.items() for t in THRESHOLDS}


def _reduced(image: np.ndarray) -> tuple[np.ndarray, float]:
    scale = min(1.0, _LONG_SIDE / max(image.shape[:2]))
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale
