"""How well hands are found in whole photographs, and how often where there is none."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from hiu_ros.data.photos import Photo, PhotoFolder
from hiu_ros.evaluation import metrics
from hiu_ros.evaluation.photos import UNSEEN_SETS, HandScore, joint_box, score_hand, summarise
from hiu_ros.perception.drawing import draw
from hiu_ros.perception.result import Hand, Hands
from hiu_ros.picture_file import write_picture

#: All hands of an image that has nothing to do with the one before.
Find = Callable[[np.ndarray], Hands]
#: Takes a kind of mistake, its photo, the image that was searched and what was found.
Show = Callable[[str, Photo, np.ndarray, Hands], None]
#: Boxes of a predicted and a labelled hand that overlap by this much are of one hand.
LEAST_OVERLAP = 0.3
#: Hand-free regions keep this many hand sizes away from every labelled hand.
MARGIN = 0.5
LEAST_REGION = 64
REGION_TRIALS = 40


@dataclass(frozen=True)
class ImageScore:
    """What was found in one photo that has labelled hands."""

    set: str
    file: str
    labelled: int
    found: tuple[HandScore, ...]  #: of the labelled hands that were found
    surplus: int  #: predicted hands that match no label; the labels themselves miss some hands


@dataclass(frozen=True)
class RegionScore:
    """What was found in a region without a labelled hand."""

    set: str
    file: str
    false_hands: int


def match(photo: Photo, hands: Sequence[Hand]) -> list[tuple[int, int]]:
    """Pairs (labelled hand, predicted hand) of one hand each, those that overlap most in total."""
    if not photo.hands or not hands:
        return []
    overlap = np.array([
        [metrics.box_iou(joint_box(label.keypoints_px), joint_box(hand.keypoints_px))
         for hand in hands] for label in photo.hands
    ])
    # Two overlaps too small to count must not outweigh one that does.
    overlap[overlap < LEAST_OVERLAP] = 0.0
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns) if overlap[r, c] > 0]


def score_image(photo: Photo, hands: Sequence[Hand], inside: bool = False) -> ImageScore:
    """Compare all hands found in a photo with its labels. inside: see `score_hand`."""
    pairs = match(photo, hands)
    found = tuple(score_hand(photo, label, hands[index], inside=inside)
                  for label, index in pairs)
    return ImageScore(photo.set, photo.file, len(photo.hands), found, len(hands) - len(pairs))


def hand_free_region(photo: Photo) -> tuple[int, int, int, int] | None:
    """A square [x, y, w, h] of a photo well away from every labelled hand; None if it has none.

    Always the same one for a photo. Photos without any labelled hand are left out, because in
    those the labels may have missed one.
    """
    if not photo.hands:
        return None
    boxes = np.array([joint_box(hand.keypoints_px) for hand in photo.hands])
    margin = MARGIN * boxes[:, 2:].max(1, keepdims=True)
    low, high = boxes[:, :2] - margin, boxes[:, :2] + boxes[:, 2:] + margin
    rng = np.random.default_rng(crc32(photo.file.encode()))
    best = None
    for _ in range(REGION_TRIALS):
        largest = min(photo.width, photo.height)
        if largest < LEAST_REGION:
            return None
        size = int(rng.integers(LEAST_REGION, largest + 1))
        x = int(rng.integers(photo.width - size + 1))
        y = int(rng.integers(photo.height - size + 1))
        apart = (high <= [x, y]).any(1) | (low >= [x + size, y + size]).any(1)
        if apart.all() and (best is None or size > best[2]):
            best = (x, y, size, size)
    return best


def turned(photo: Photo, image: np.ndarray, quarters: int) -> tuple[Photo, np.ndarray]:
    """A photo and its image turned anticlockwise by so many right angles."""
    for _ in range(quarters % 4):
        # What was rightmost is at the top now.
        last = image.shape[1] - 1
        hands = []
        for hand in photo.hands:
            (x, y), (across, down, depth) = hand.keypoints_px.T, hand.keypoints_m.T
            hands.append(replace(hand, keypoints_px=np.stack([y, last - x], axis=1),
                                 keypoints_m=np.stack([down, -across, depth], axis=1)))
        photo = replace(photo, width=photo.height, height=photo.width, hands=tuple(hands))
        image = np.rot90(image)
    return photo, np.ascontiguousarray(image)


def evaluate(
    folder: PhotoFolder, photos: Sequence[Photo], find: Find, quiet: bool = False,
    show: Show | None = None, quarters: int = 0, inside: bool = False,
) -> tuple[list[ImageScore], list[RegionScore]]:
    """Run `find` on every photo that has labelled hands, and on its hand-free region.

    show: called with what went wrong: 'missed' photos and 'false' regions. quarters: right angles
    that photos and regions are turned by. inside: see `score_hand`.
    """
    images, regions = [], []
    for photo in tqdm(photos, 'whole photos', mininterval=2, disable=quiet):
        if not photo.hands:
            continue
        upright = folder.read_image(photo)
        region = hand_free_region(photo)
        photo, image = turned(photo, upright, quarters)
        hands = find(image)
        images.append(score_image(photo, hands.hands, inside))
        if show and len(images[-1].found) < len(photo.hands):
            show('missed', photo, image, hands)
        if region is not None:
            x, y, width, height = region
            part = np.ascontiguousarray(
                np.rot90(upright[y:y + height, x:x + width], quarters))
            hands = find(part)
            regions.append(RegionScore(photo.set, photo.file, len(hands)))
            if show and len(hands):
                show('false', photo, part, hands)
    return images, regions


def draw_mistakes(folder: Path) -> Show:
    """A `show` that writes pictures: hands found as usual, labelled hands as white boxes."""

    def show(kind: str, photo: Photo, image: np.ndarray, hands: Hands) -> None:
        picture = draw(image, hands)
        if kind == 'missed':
            for label in photo.hands:
                x, y, width, height = np.round(joint_box(label.keypoints_px)).astype(int)
                cv2.rectangle(picture, (x, y), (x + width, y + height), (255, 255, 255), 2)
        name = '_'.join(Path(photo.file).with_suffix('').parts)
        path = folder / kind / f'{photo.set}_{name}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, picture)

    return show


def summary_rows(
    images: Sequence[ImageScore],
    regions: Sequence[RegionScore],
    unseen: Iterable[str] = UNSEEN_SETS,
) -> list[dict[str, object]]:
    """One row a set, then all images of the unseen sets, of the seen ones, and of both."""
    unseen = set(unseen)
    names = list(dict.fromkeys(score.set for score in images))
    groups = [(name, {name}) for name in names]
    groups += [('UNSEEN (all images)', unseen), ('seen (all images)', set(names) - unseen),
               ('all images', set(names))]
    return list(_rows(groups, images, regions))


def _rows(groups, images, regions) -> Iterator[dict[str, object]]:
    for name, sets in groups:
        ours = [score for score in images if score.set in sets]
        if not ours:
            continue
        empty = [region for region in regions if region.set in sets]
        labelled = sum(score.labelled for score in ours)
        scores = [score for image in ours for score in image.found]
        yield {
            'set': name,
            'images': len(ours),
            'image_found': sum(bool(score.found) for score in ours) / len(ours),
            'labelled': labelled,
            'hand_found': len(scores) / labelled,
            'surplus': sum(score.surplus for score in ours) / len(ours),
            'regions': len(empty),
            'false': (sum(region.false_hands > 0 for region in empty) / len(empty)
                      if empty else float('nan')),
            **summarise(scores),
        }


COLUMNS = {
    'set': ('set', ''),
    'images': ('images', 'd'),
    'image_found': ('found', '.3f'),
    'labelled': ('hands', 'd'),
    'hand_found': ('found', '.3f'),
    'surplus': ('surplus/image', '.3f'),
    'regions': ('empty', 'd'),
    'false': ('false', '.3f'),
    'palm_median': ('2D/palm med', '.3f'),
    'palm_mean': ('mean', '.3f'),
    'crop_error': ('px of 256', '.2f'),
    'crop_pck': ('PCK@10', '.3f'),
    'side': ('side', '.3f'),
}
