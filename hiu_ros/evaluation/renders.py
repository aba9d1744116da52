"""Scores on a render bank, whose labels are exact."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from tqdm import tqdm

from hiu_ros.data.sets.renders import RenderBank
from hiu_ros.evaluation import metrics
from hiu_ros.evaluation.kinds import KINDS, kinds_of
from hiu_ros.evaluation.photos import CROP_PIXELS, CROP_SCALE, PCK_PIXELS, joint_box
from hiu_ros.evaluation.predictor import Predict
from hiu_ros.evaluation.sheet import Sheet
from hiu_ros.geometry.rotations import axis_angle_to_matrix
from hiu_ros.hand.model import HandModel, load_template
from hiu_ros.perception.masks import full_mask
from hiu_ros.perception.result import Hand


def backdrop(
    size: int, rng: np.random.Generator, pictures: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """Background (size, size, 3) uint8: a square of a picture, else a random smooth pattern."""
    if len(pictures):
        picture = pictures[rng.integers(len(pictures))]
        side = max(1, int(min(picture.shape[:2]) * rng.uniform(0.4, 1.0)))
        y = rng.integers(picture.shape[0] - side + 1)
        x = rng.integers(picture.shape[1] - side + 1)
        return cv2.resize(picture[y:y + side, x:x + side], (size, size),
                          interpolation=cv2.INTER_AREA)
    total = np.zeros((size, size, 3), np.float32)
    for cells in (2, 5, 16, 48):
        noise = rng.uniform(0, 1, (cells, cells, 3)).astype(np.float32)
        total += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) / cells ** 0.5
    total -= total.min()
    return (total * (255 / max(float(total.max()), 1e-6))).astype(np.uint8)


def evaluate(
    bank: RenderBank,
    predict: Predict,
    count: int | None = None,
    batch: int = 32,
    pictures: Sequence[np.ndarray] = (),
    seed: int = 0,
    quiet: bool = False,
    sheet: Sheet | None = None,
) -> dict[str, np.ndarray]:
    """Figures of the first `count` hands of a bank, (N,) each; every second is shown mirrored.

    The joints' box is given to `predict`. Lengths are millimetres after the FreiHAND alignment
    (joints and vertices separately), the F-scores those of the aligned vertices; `kinds` holds
    sets of names. Backgrounds are drawn from `pictures` with the seed. `sheet` gets the answers.
    """
    count = min(count or len(bank), len(bank))
    model = HandModel(load_template('fast'))
    collected: list[dict[str, np.ndarray]] = []
    for start in tqdm(range(0, count, batch), 'renders', mininterval=2, disable=quiet):
        rows = np.arange(start, min(start + batch, count))
        images, masks, points, sides = [], [], [], []
        for row in rows:
            rng = np.random.default_rng([seed, int(row)])
            image, mask, keypoints = bank.compose(row, backdrop(bank.size, rng, pictures))
            if row % 2:
                image, mask = image[:, ::-1].copy(), mask[:, ::-1]
                keypoints = np.stack([bank.size - 1 - keypoints[:, 0], keypoints[:, 1]], 1)
            images.append(image)
            masks.append(mask > 127)
            points.append(keypoints)
            sides.append('left' if row % 2 else 'right')
        hands = predict(images, [joint_box(p) for p in points])
        if sheet is not None:
            for answer in zip(images, hands, points, sides):
                sheet.add(*answer)
        with torch.no_grad():
            pose = torch.from_numpy(bank.pose[rows]).float()
            shape = torch.from_numpy(bank.shape[rows]).float()
            vertices = model(axis_angle_to_matrix(pose), shape).vertices.numpy()
        vertices = vertices + bank.keypoints_m[rows][:, :1]  # the model's wrist is its origin
        flip = np.ones((len(rows), 1, 3))
        flip[rows % 2 == 1, :, 0] = -1
        joints = bank.keypoints_m[rows] * flip
        scores = _batch_scores(hands, points, masks, sides, joints, vertices * flip)
        kinds = map(kinds_of, points, joints, sides, bank.visible[rows], images, masks)
        scores['kinds'] = np.array([*kinds, None], object)[:-1]
        collected.append(scores)
    return {name: np.concatenate([part[name] for part in collected]) for name in collected[0]}


def summarise(scores: dict[str, np.ndarray], kind: str | None = None) -> dict[str, float]:
    """Means over all hands, or over those of a kind; the median too for the 2D error."""
    keep = np.array([kind is None or kind in kinds for kinds in scores['kinds']], bool)
    if not keep.any():
        return {'hands': 0}
    figures = {name: float(values[keep].mean()) for name, values in scores.items()
               if name != 'kinds'}
    return {'hands': int(keep.sum()), **figures,
            'palm_median': float(np.median(scores['palm_mean'][keep]))}


def kind_rows(scores: dict[str, np.ndarray]) -> list[dict[str, object]]:
    """One row a kind of hand; a hand may count in several."""
    rows = [{'set': kind, **summarise(scores, kind)} for kind in KINDS]
    return [row for row in rows if row['hands']]


def _batch_scores(
    hands: Sequence[Hand], points: list, masks: list, sides: list,
    keypoints_m: np.ndarray, vertices: np.ndarray,
) -> dict[str, np.ndarray]:
    guess_m = np.stack([hand.keypoints_m for hand in hands])
    guess_vertices = np.stack([hand.vertices_m for hand in hands])
    same = guess_vertices.shape == vertices.shape
    similarity = metrics.fit_similarity(
        vertices if same else keypoints_m, guess_vertices if same else guess_m)
    aligned = similarity.apply(guess_vertices)
    joints = metrics.point_errors(keypoints_m, metrics.align(keypoints_m, guess_m)).mean(1)
    mesh = metrics.point_errors(vertices, aligned).mean(1) if same else np.full(len(hands), np.nan)
    errors = np.linalg.norm(
        np.stack([h.keypoints_px for h in hands]) - np.stack(points), axis=-1)
    sizes = np.array([joint_box(p)[2:].max() for p in points])
    palms = np.array([np.linalg.norm(p[9] - p[0]) for p in points])
    pixels = errors * (CROP_PIXELS / CROP_SCALE / sizes)[:, None]
    return {
        'palm_mean': errors.mean(1) / np.maximum(palms, 1e-6),
        'crop_error': pixels.mean(1),
        'crop_pck': (pixels <= PCK_PIXELS).mean(1),
        'pa_mpjpe': 1000 * joints,
        'pa_mpvpe': 1000 * mesh,
        'f5': np.array([metrics.f_score(a, b, 0.005) for a, b in zip(vertices, aligned)]),
        'f15': np.array([metrics.f_score(a, b, 0.015) for a, b in zip(vertices, aligned)]),
        'mask_iou': np.array([_iou(mask, hand) for mask, hand in zip(masks, hands)]),
        'side': np.array([hand.side == side for hand, side in zip(hands, sides)], np.float64),
    }


def _iou(mask: np.ndarray, hand: Hand) -> float:
    height, width = mask.shape
    return metrics.mask_iou(mask, full_mask(hand.mask, hand.mask_origin, width, height))


COLUMNS = {
    'set': ('set', ''),
    'hands': ('hands', 'd'),
    'pa_mpjpe': ('PA-MPJPE mm', '.2f'),
    'pa_mpvpe': ('PA-MPVPE mm', '.2f'),
    'f5': ('F@5', '.3f'),
    'f15': ('F@15', '.3f'),
    'mask_iou': ('mask IoU', '.3f'),
    'side': ('side', '.3f'),
    'palm_median': ('2D/palm med', '.3f'),
    'palm_mean': ('mean', '.3f'),
    'crop_error': ('px of 256', '.2f'),
    'crop_pck': ('PCK@10', '.3f'),
}
