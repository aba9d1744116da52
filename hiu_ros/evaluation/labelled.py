"""Scores on any labelled data set: what its labels allow, the box of each hand being given."""

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets.registry import DataSet
from hiu_ros.evaluation import metrics
from hiu_ros.evaluation.photos import CROP_PIXELS, CROP_SCALE, PCK_PIXELS
from hiu_ros.evaluation.predictor import Predict, cameras_of
from hiu_ros.perception.masks import full_mask
from hiu_ros.perception.result import Hand

#: The range of RHD's, STB's and Dexter+Object's area under the PCK curve.
AUC_RANGE_M = np.linspace(0.02, 0.05, 100)
LEAST_JOINTS = 3


def box_of(sample: Sample) -> np.ndarray | None:
    """The joints' box where it has an area, else the labelled one, else None."""
    labelled = sample.labelled_px
    if labelled is not None and labelled.sum() >= LEAST_JOINTS:
        box = sample.joint_box()
        if (box[2:] > 0).all():
            return box
    return sample.box


def evaluate(
    data: DataSet, predict: Predict, indices: Sequence[int] | None = None, batch: int = 32,
    quiet: bool = False,
) -> dict[str, float]:
    """Figures over the samples of a data set; those that it has no labels for are left out.

    crop_error, crop_pck: as on photos. pa_mpjpe: mm. root_mpjpe: mm, wrists moved onto each other;
    root_auc: area under its PCK curve from 20 to 50 mm. mask_iou, side: as their names say.
    """
    columns: dict[str, list] = {name: [] for name in ('pixels', 'aligned', 'rooted', 'iou',
                                                      'side')}
    indices = range(len(data)) if indices is None else indices
    hands = 0
    for start in tqdm(range(0, len(indices), batch), 'samples', mininterval=2, disable=quiet):
        samples = [data[index] for index in indices[start:start + batch]]
        boxed = [(sample, box_of(sample)) for sample in samples]
        boxed = [(sample, box) for sample, box in boxed if box is not None]
        if not boxed:
            continue
        images = [sample.read_image() for sample, _ in boxed]
        hands_seen = predict(images, [box for _, box in boxed],
                             cameras_of([sample for sample, _ in boxed], images))
        for (sample, box), image, hand in zip(boxed, images, hands_seen, strict=True):
            hands += 1
            for name, value in _compare(sample, box, image, hand).items():
                columns[name].append(value)
    figures: dict[str, float] = {'hands': hands}
    if columns['pixels']:
        pixels = np.array(columns['pixels'])
        figures['crop_error'] = float(np.nanmean(pixels))
        figures['crop_pck'] = float((pixels <= PCK_PIXELS).sum() / (~np.isnan(pixels)).sum())
    if columns['aligned']:
        figures['pa_mpjpe'] = 1000 * float(np.nanmean(columns['aligned']))
    if columns['rooted']:
        rooted = np.array(columns['rooted'])
        figures['root_mpjpe'] = 1000 * metrics.mean_error(rooted)
        figures['root_auc'] = metrics.auc(rooted, AUC_RANGE_M)
    for name, key in (('iou', 'mask_iou'), ('side', 'side')):
        if columns[name]:
            figures[key] = float(np.mean(columns[name]))
    return figures


def _compare(sample: Sample, box: np.ndarray, image: np.ndarray, hand: Hand) -> dict:
    found = {}
    seen = sample.visibility <= Visibility.OCCLUDED if sample.keypoints_px is not None else []
    if np.any(seen):
        errors = np.linalg.norm(hand.keypoints_px - sample.keypoints_px, axis=1)
        errors = errors * CROP_PIXELS / (CROP_SCALE * max(box[2:]))
        found['pixels'] = np.where(seen, errors, np.nan)
    if sample.keypoints_m is not None and sample.valid_m.sum() > LEAST_JOINTS:
        valid = sample.valid_m
        truth, guess = sample.keypoints_m[valid], hand.keypoints_m[valid]
        found['aligned'] = np.linalg.norm(metrics.align(truth, guess) - truth, axis=1).mean()
        if valid[0]:
            moved = hand.keypoints_m - hand.keypoints_m[0] + sample.keypoints_m[0]
            errors = np.linalg.norm(moved - sample.keypoints_m, axis=1)
            found['rooted'] = np.where(valid, errors, np.nan)
    mask = sample.read_mask()
    if mask is not None:
        height, width = image.shape[:2]
        found['iou'] = metrics.mask_iou(
            mask, full_mask(hand.mask, hand.mask_origin, width, height))
    if sample.side is not None:
        found['side'] = hand.side == sample.side
    return found


COLUMNS = {
    'set': ('set', ''),
    'hands': ('hands', 'd'),
    'crop_error': ('px of 256', '.2f'),
    'crop_pck': ('PCK@10', '.3f'),
    'pa_mpjpe': ('PA-MPJPE mm', '.2f'),
    'root_mpjpe': ('root MPJPE mm', '.2f'),
    'root_auc': ('AUC 20-50', '.3f'),
    'mask_iou': ('mask IoU', '.3f'),
    'side': ('side', '.3f'),
}
