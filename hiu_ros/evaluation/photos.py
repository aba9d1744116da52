"""Scores on labelled photographs, the box of each hand being given.

The labels come from another network (see the photo folder's own notes), so figures are agreement
with it; sets that no training saw tell more than sets it did.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from hiu_ros.data.photos import LabelledHand, Photo, PhotoFolder
from hiu_ros.evaluation import metrics
from hiu_ros.evaluation.kinds import KINDS, kinds_of
from hiu_ros.evaluation.predictor import Predict
from hiu_ros.geometry.crop import Crop
from hiu_ros.perception.masks import full_mask
from hiu_ros.perception.result import Hand

#: Sets that no training of this project reads.
UNSEEN_SETS = ('dorm_counting', 'phone_above')
CROP_SCALE = 1.5
CROP_PIXELS = 256
PCK_PIXELS = 10.0
MIDDLE_BASE = 9

#: A true mask as (crop, mask (n, n) of it), or None where there is no mask worth comparing with.
TruthMask = Callable[[Photo, int, np.ndarray], tuple[Crop, np.ndarray] | None]


@dataclass(frozen=True)
class HandScore:
    """How one predicted hand compares with its label; NaN where there is nothing to compare."""

    set: str
    file: str
    number: int  #: index of the hand within its photo
    side: str  #: labelled side
    palm_error: float  #: mean 2D error over the distance from wrist to middle finger base
    crop_error: float  #: mean 2D error, px of a 256 px crop 1.5 times as wide as the joints' box
    crop_pck: float  #: share of joints within 10 px of that crop
    pa_mpjpe: float  #: mm
    mask_iou: float
    side_right: bool
    score: float  #: the network's own probability that there is a hand
    kinds: frozenset[str] = frozenset()  #: see `kinds.KINDS`


def joint_box(keypoints_px: np.ndarray) -> np.ndarray:
    """Smallest box [x, y, width, height] around joints (21, 2)."""
    low, high = keypoints_px.min(0), keypoints_px.max(0)
    return np.concatenate([low, high - low])


def score_hand(
    photo: Photo, number: int, hand: Hand, truth_mask: tuple[Crop, np.ndarray] | None = None,
    image: np.ndarray | None = None, inside: bool = False,
) -> HandScore:
    """Compare a predicted hand with the photo's labelled hand `number`.

    inside: 2D errors are those of the joints that are labelled within the image.
    """
    label = photo.hands[number]
    errors = np.linalg.norm(hand.keypoints_px - label.keypoints_px, axis=1)
    if inside:
        points = label.keypoints_px
        errors = errors[((points >= 0) & (points < [photo.width, photo.height])).all(1)]
    palm = np.linalg.norm(label.keypoints_px[MIDDLE_BASE] - label.keypoints_px[0])
    crop_errors = errors * CROP_PIXELS / (CROP_SCALE * joint_box(label.keypoints_px)[2:].max())
    aligned = metrics.align(label.keypoints_m[None], hand.keypoints_m[None])
    iou, shown, mask = float('nan'), None, None
    if truth_mask is not None:
        crop, mask = truth_mask
        shown = None if image is None else crop.extract(image)
        frame = full_mask(hand.mask, hand.mask_origin, photo.width, photo.height)
        iou = metrics.mask_iou(mask, crop.extract(frame, nearest=True))
    return HandScore(
        photo.set, photo.file, number, label.side,
        palm_error=float(errors.mean() / max(palm, 1e-6)),
        crop_error=float(crop_errors.mean()),
        crop_pck=float((crop_errors <= PCK_PIXELS).mean()),
        pa_mpjpe=1000 * float(metrics.point_errors(label.keypoints_m[None], aligned).mean()),
        mask_iou=iou,
        side_right=hand.side == label.side,
        score=hand.score,
        kinds=kinds_of(label.keypoints_px, label.keypoints_m, label.side, None, shown, mask),
    )



def evaluate(
    folder: PhotoFolder,
    photos: Sequence[Photo],
    predict: Predict,
    truth_mask: TruthMask | None = None,
    keep: Callable[[Photo, int, LabelledHand], bool] | None = None,
    batch: int = 32,
    quiet: bool = False,
    inside: bool = False,
) -> list[HandScore]:
    """Score every labelled hand of the photos, or those that `keep` admits.

    The joints' box of each label is given to `predict`, `batch` hands at a time. inside: see
    `score_hand`.
    """
    scores: list[HandScore] = []
    waiting: list[tuple[Photo, int, np.ndarray]] = []

    def flush() -> None:
        boxes = [joint_box(photo.hands[number].keypoints_px) for photo, number, _ in waiting]
        hands = predict([image for *_, image in waiting], boxes)
        if len(hands) != len(waiting):
            raise ValueError(f'predict gave {len(hands)} hands for {len(waiting)} boxes')
        for (photo, number, image), hand in zip(waiting, hands):
            mask = truth_mask(photo, number, image) if truth_mask else None
            scores.append(score_hand(photo, number, hand, mask, image, inside))
        waiting.clear()

    for photo in tqdm(photos, 'photos', mininterval=2, disable=quiet):
        numbers = [n for n, hand in enumerate(photo.hands) if not keep or keep(photo, n, hand)]
        image = folder.read_image(photo) if numbers else None
        for number in numbers:
            waiting.append((photo, number, image))
            if len(waiting) == batch:
                flush()
    if waiting:
        flush()
    return scores


def summarise(scores: Sequence[HandScore]) -> dict[str, float]:
    """Figures over some hands, medians and means over hands; of no hand only their number, 0."""
    if not scores:
        return {'hands': 0}

    def column(name: str) -> np.ndarray:
        return np.array([getattr(score, name) for score in scores], np.float64)

    iou = column('mask_iou')
    iou = iou[~np.isnan(iou)]
    return {
        'hands': len(scores),
        'palm_median': float(np.median(column('palm_error'))),
        'palm_mean': float(column('palm_error').mean()),
        'crop_error': float(column('crop_error').mean()),
        'crop_pck': float(column('crop_pck').mean()),
        'pa_mpjpe': float(column('pa_mpjpe').mean()),
        'mask_iou': float(iou.mean()) if len(iou) else float('nan'),
        'mask_iou_median': float(np.median(iou)) if len(iou) else float('nan'),
        'masks': len(iou),
        'side': float(column('side_right').mean()),
    }


def summary_rows(
    scores: Sequence[HandScore], unseen: Iterable[str] = UNSEEN_SETS
) -> list[dict[str, object]]:
    """One row a set, then the means of the sets' figures over the unseen and the seen ones."""
    unseen = set(unseen)
    names = list(dict.fromkeys(score.set for score in scores))
    rows = [{'set': name, **summarise([s for s in scores if s.set == name])} for name in names]
    groups = (
        ('UNSEEN (mean of sets)', [row for row in rows if row['set'] in unseen]),
        ('seen (mean of sets)', [row for row in rows if row['set'] not in unseen]),
    )
    return rows + [{'set': name, **_mean_row(group)} for name, group in groups if group]


def kind_rows(scores: Sequence[HandScore]) -> list[dict[str, object]]:
    """One row a kind of hand, over all sets; a hand may count in several."""
    rows = [{'set': kind, **summarise([s for s in scores if kind in s.kinds])} for kind in KINDS]
    return [row for row in rows if row['hands']]


def _mean_row(rows: Sequence[Mapping[str, object]]) -> dict[str, float]:
    mean = {}
    for key in rows[0]:
        values = np.array([row[key] for row in rows]) if key != 'set' else None
        if key in ('hands', 'masks'):
            mean[key] = int(values.sum())
        elif values is not None:
            values = values[~np.isnan(values)]
            mean[key] = float(values.mean()) if len(values) else float('nan')
    return mean


COLUMNS = {
    'set': ('set', ''),
    'hands': ('hands', 'd'),
    'palm_median': ('2D/palm med', '.3f'),
    'palm_mean': ('mean', '.3f'),
    'crop_error': ('px of 256', '.2f'),
    'crop_pck': ('PCK@10', '.3f'),
    'pa_mpjpe': ('PA-MPJPE mm', '.2f'),
    'mask_iou': ('mask IoU', '.3f'),
    'mask_iou_median': ('med', '.3f'),
    'side': ('side', '.3f'),
}
