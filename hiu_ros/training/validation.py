"""The figures that steer a training: errors on crops of photographs and renders not trained on."""

from pathlib import Path

import numpy as np
import torch

from hiu_ros.evaluation.metrics import align
from hiu_ros.geometry.crop import Crop
from hiu_ros.hand.model import HandModel
from hiu_ros.network.hiu import HIU

#: Photo sets that no training sees.
UNSEEN = ('dorm_counting', 'phone_above')


def _read(model: HIU, tiles, keypoints, mirrored, batch: int = 64):
    """Readings of all tiles, in tile pixels where they are 2D; right hands' 3D."""
    n = model.config.input_size
    crops = [Crop.around_keypoints(k, 1.5, n, mirrored=bool(m))
             for k, m in zip(keypoints, mirrored)]
    points, parts = [], []
    for start in range(0, len(crops), batch):
        some = slice(start, start + batch)
        images = np.stack([c.extract(np.asarray(t)) for c, t in zip(crops[some], tiles[some])])
        tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
        reading = model.predict(tensor)
        parts.append(reading)
        points += [c.to_image(k) for c, k in zip(crops[some], reading.keypoints_px.numpy())]
    return crops, np.stack(points), parts


def palm_px(keypoints: np.ndarray) -> np.ndarray:
    """Wrist to middle finger base, (N, 21, 2) to (N,)."""
    return np.linalg.norm(keypoints[:, 9] - keypoints[:, 0], axis=-1)


def validate_photos(model: HIU, cache: str, hands: int) -> dict[str, float]:
    """Per group of sets: 2D error over palm length (median, mean), mask IoU, side."""
    folder = Path(cache)
    with np.load(folder / 'labels.npz') as labels:
        table = {key: labels[key] for key in labels.files}
    tiles = np.load(folder / 'crops.npy', mmap_mode='r')
    masks = np.load(folder / 'mask.npy', mmap_mode='r')
    names = list(table['sets'])
    unseen = np.isin(table['set'], [names.index(s) for s in UNSEEN if s in names])
    figures = {}
    for group, members in (('unseen', unseen), ('seen', ~unseen)):
        chosen = np.flatnonzero((table['split'] == 1) & members & (table['trust'] > 0.4))
        if not len(chosen):
            continue
        chosen = np.random.default_rng(0).permutation(chosen)[:hands]
        keypoints, left = table['keypoints'][chosen], table['side'][chosen] == 0
        crops, found, parts = _read(model, [tiles[i] for i in chosen], keypoints, left)
        error = np.linalg.norm(found - keypoints, axis=-1).mean(1) / palm_px(keypoints)
        figures[f'{group}/2d_median'] = float(np.median(error))
        figures[f'{group}/2d_mean'] = float(error.mean())
        guessed = torch.cat([p.mask for p in parts]).numpy() > 0.5
        overlap = []
        for c, i, guess in zip(crops, chosen, guessed):
            if table['mask_ok'][i]:
                truth = c.extract(np.asarray(masks[i])) > 127
                overlap.append((guess & truth).sum() / max((guess | truth).sum(), 1))
        if overlap:
            figures[f'{group}/mask_iou'] = float(np.median(overlap))
        figures[f'{group}/side'] = float((torch.cat([p.side for p in parts]) > 0.5)
                                         .float().mean())
    return figures


def validate_renders(model: HIU, hand: HandModel, bank: str, hands: int) -> dict[str, float]:
    """Exact truth: PA-MPJPE in mm, 2D error over palm length, mask IoU."""
    folder = Path(bank)
    with np.load(folder / 'labels.npz') as labels:
        keypoints, keypoints_m = labels['keypoints_px'][:hands], labels['keypoints_m'][:hands]
    tiles = np.load(folder / 'bgra.npy', mmap_mode='r')[:hands].astype(np.float32)
    masks = np.load(folder / 'mask.npy', mmap_mode='r')[:hands]
    rng = np.random.default_rng(0)
    behind = rng.uniform(0, 255, (len(tiles), 1, 1, 3))
    alpha = tiles[..., 3:] / 255
    images = (alpha * tiles[..., :3] + (1 - alpha) * behind).astype(np.uint8)
    crops, found, parts = _read(model, images, keypoints, [False] * len(images))
    error = np.linalg.norm(found - keypoints, axis=-1).mean(1) / palm_px(keypoints)
    joints = torch.cat([hand.keypoints(p.rotations, p.shape) for p in parts]).numpy()
    aligned = np.stack([align(t, j) for j, t in zip(joints, keypoints_m)])
    guessed = torch.cat([p.mask for p in parts]).numpy() > 0.5
    overlap = []
    for c, mask, guess in zip(crops, masks, guessed):
        truth = c.extract(np.asarray(mask)) > 127
        overlap.append((guess & truth).sum() / max((guess | truth).sum(), 1))
    return {
        'renders/2d_mean': float(error.mean()),
        'renders/pa_mpjpe_mm': float(
            np.linalg.norm(aligned - keypoints_m, axis=-1).mean() * 1000),
        'renders/mask_iou': float(np.mean(overlap)),
    }
