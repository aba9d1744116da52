"""The figures that steer a training: errors on crops of photographs and renders not trained on."""

from collections.abc import Iterator

import numpy as np
import torch

from hiu_ros.data.sets.renders import RenderBank
from hiu_ros.evaluation.metrics import align
from hiu_ros.geometry.crop import NETWORK_SCALE, Crop
from hiu_ros.hand.model import HandModel
from hiu_ros.network.hiu import HIU
from hiu_ros.network.readout import CropReading
from hiu_ros.training.mix import GREY
from hiu_ros.training.set_source import SetOptions, SetSource
from hiu_ros.training.settings import Validation
from hiu_ros.training.silhouettes import reproject
from hiu_ros.training.sources import Tile, check_names, open_cache

#: Photo sets that no training sees.
UNSEEN = ('dorm_counting', 'phone_above')
#: Labels of photographs that are trusted less are not measured against.
LEAST_TRUST = 0.4


@torch.inference_mode()
def validate(
    model: HIU, hand: HandModel, options: Validation, mano: bool = False, grey: bool = False,
    scale: float = NETWORK_SCALE,
) -> dict[str, float]:
    """All figures that `options` ask for, by name; `grey` is for renders.

    scale: side of the crops over the larger side of the joints' box.
    """
    figures = {}
    if options.photos:
        figures |= validate_photos(
            model, options.photos, options.hands, hand, options.apart, scale)
    if options.renders:
        figures |= validate_renders(model, hand, options.renders, options.hands, grey, scale)
    for one in options.sets:
        figures |= validate_set(model, hand, one, options.hands, mano, scale)
    return figures


def check(options: Validation, hand: HandModel, mano: bool = False) -> None:
    """Raise at once what `validate` would raise after the first thousand steps."""
    try:
        known = open_cache(options.photos)[-1] if options.photos else []
    except FileNotFoundError as error:
        raise FileNotFoundError(f'validation.photos: {error}, or leave it empty') from error
    check_names(options.apart, known, 'validation.apart')
    if options.renders and not options.training_renders:
        RenderBank(options.renders)
    for one in options.sets:
        next(_labelled_tiles(one, hand, options.hands, mano))


def _read(model: HIU, tiles, keypoints, mirrored, scale: float, batch: int = 64,
          border: str = 'constant'):
    """Readings of all tiles, in tile pixels where they are 2D; right hands' 3D.

    `border`: what a crop shows outside of its tile, as `Crop.extract` names it.
    """
    n = model.config.input_size
    device = next(model.parameters()).device
    crops = [Crop.around_keypoints(k, scale, n, mirrored=bool(m))
             for k, m in zip(keypoints, mirrored)]
    points, parts = [], []
    for start in range(0, len(crops), batch):
        some = slice(start, start + batch)
        images = np.stack([c.extract(np.asarray(t), border)
                           for c, t in zip(crops[some], tiles[some])])
        tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
        reading = CropReading(*(value.cpu() for value in model.predict(tensor.to(device))))
        parts.append(reading)
        points += [c.to_image(k) for c, k in zip(crops[some], reading.keypoints_px.numpy())]
    return crops, np.stack(points), parts


def _joints(hand: HandModel, parts: list[CropReading]) -> torch.Tensor:
    """(N, 21, 3) joints of the parametric hand, metres, crop axes."""
    device = hand.faces.device
    return torch.cat([hand.keypoints(p.rotations.to(device), p.shape.to(device)).cpu()
                      for p in parts])


def _mesh_points(hand: HandModel, crops: list[Crop], parts: list[CropReading]) -> np.ndarray:
    """(N, 21, 2) the parametric hand's joints in tile pixels."""
    units = reproject(_joints(hand, parts), torch.cat([p.camera for p in parts])).numpy()
    return np.stack([c.to_image(u * c.resolution - 0.5) for c, u in zip(crops, units)])


def _pa_mpjpe(truth: np.ndarray, joints: np.ndarray) -> float:
    """Mean distance in mm of (N, 21, 3) joints, each hand aligned by a similarity, from truth."""
    return float(np.linalg.norm(align(truth, joints) - truth, axis=-1).mean() * 1000)


def palm_px(keypoints: np.ndarray) -> np.ndarray:
    """Wrist to middle finger base, (N, 21, 2) to (N,)."""
    return np.linalg.norm(keypoints[:, 9] - keypoints[:, 0], axis=-1)


def validate_photos(
    model: HIU, cache: str, hands: int, hand: HandModel | None = None, apart: tuple[str, ...] = (),
    scale: float = NETWORK_SCALE,
) -> dict[str, float]:
    """Per group of sets: 2D error over palm length (median, mean), mask IoU, side.

    `hand` adds the parametric hand's 2D error, its distance from the maps' joints (gap), and
    PA-MPJPE where 3D is trusted; `apart` a group of the sets it names.
    """
    tiles, masks, table, names = open_cache(cache)
    unseen = np.isin(table['set'], [names.index(s) for s in UNSEEN if s in names])
    own = np.isin(table['set'], [names.index(s) for s in apart if s in names])
    figures = {}
    for group, members in (('unseen', unseen), ('seen', ~unseen), ('apart', own)):
        chosen = np.flatnonzero((table['split'] == 1) & members & (table['trust'] > LEAST_TRUST))
        if not len(chosen):
            continue
        chosen = np.random.default_rng(0).permutation(chosen)[:hands]
        keypoints, left = table['keypoints'][chosen], table['side'][chosen] == 0
        crops, found, parts = _read(model, [tiles[i] for i in chosen], keypoints, left, scale)
        error = np.linalg.norm(found - keypoints, axis=-1).mean(1) / palm_px(keypoints)
        figures[f'{group}/2d_median'] = float(np.median(error))
        figures[f'{group}/2d_mean'] = float(error.mean())
        if hand is not None:
            drawn = _mesh_points(hand, crops, parts)
            error = np.linalg.norm(drawn - keypoints, axis=-1).mean(1) / palm_px(keypoints)
            figures[f'{group}/mesh_2d_median'] = float(np.median(error))
            figures[f'{group}/mesh_2d_mean'] = float(error.mean())
            gap = np.linalg.norm(drawn - found, axis=-1).mean(1) / palm_px(keypoints)
            figures[f'{group}/mesh_gap_median'] = float(np.median(gap))
            deep = table['trust_3d'][chosen] > LEAST_TRUST
            truth = np.where(left[:, None, None], [-1, 1, 1], 1) * table['keypoints_m'][chosen]
            if deep.any():
                figures[f'{group}/pa_mpjpe_mm'] = _pa_mpjpe(truth[deep],
                                                            _joints(hand, parts).numpy()[deep])
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


def validate_renders(
    model: HIU, hand: HandModel, bank: str, hands: int, grey: bool = False,
    scale: float = NETWORK_SCALE,
) -> dict[str, float]:
    """Exact truth: PA-MPJPE in mm, 2D error over palm length, mask IoU.

    Renders stand before a plain colour, a random one each, or `grey` as the mix shows them: their
    edges go on outside of the tile.
    """
    data = RenderBank(bank)
    keypoints, keypoints_m = data.keypoints_px[:hands], data.keypoints_m[:hands]
    tiles, masks = data.bgra[:len(keypoints)].astype(np.float32), data.mask[:len(keypoints)]
    rng = np.random.default_rng(0)
    behind = GREY if grey else rng.uniform(0, 255, (len(tiles), 1, 1, 3))
    alpha = tiles[..., 3:] / 255
    images = (alpha * tiles[..., :3] + (1 - alpha) * behind).astype(np.uint8)
    crops, found, parts = _read(model, images, keypoints, [False] * len(images), scale,
                                border='replicate' if grey else 'constant')
    error = np.linalg.norm(found - keypoints, axis=-1).mean(1) / palm_px(keypoints)
    guessed = torch.cat([p.mask for p in parts]).numpy() > 0.5
    overlap = []
    for c, mask, guess in zip(crops, masks, guessed):
        truth = c.extract(np.asarray(mask)) > 127
        overlap.append((guess & truth).sum() / max((guess | truth).sum(), 1))
    return {
        'renders/2d_mean': float(error.mean()),
        'renders/pa_mpjpe_mm': _pa_mpjpe(keypoints_m, _joints(hand, parts).numpy()),
        'renders/mask_iou': float(np.mean(overlap)),
    }


def validate_set(
    model: HIU, hand: HandModel, options: SetOptions, hands: int, mano: bool = False,
    scale: float = NETWORK_SCALE,
) -> dict[str, float]:
    """Of hands with all joints labelled, evenly spread: 2D error over palm length, PA-MPJPE."""
    tiles = list(_labelled_tiles(options, hand, hands, mano))
    keypoints = np.stack([tile.keypoints for tile in tiles])
    left = np.array([not tile.right for tile in tiles])
    _, found, parts = _read(model, [tile.image for tile in tiles], keypoints, left, scale)
    error = np.linalg.norm(found - keypoints, axis=-1).mean(1) / palm_px(keypoints)
    figures = {f'{options.name}/2d_median': float(np.median(error)),
               f'{options.name}/2d_mean': float(error.mean())}
    deep = np.array([tile.keypoints_m is not None for tile in tiles])
    if deep.any():
        truth = np.stack([t.keypoints_m for t in tiles if t.keypoints_m is not None])
        joints = _joints(hand, parts).numpy()[deep]
        joints[left[deep]] *= [-1, 1, 1]
        figures[f'{options.name}/pa_mpjpe_mm'] = _pa_mpjpe(truth, joints)
    return figures


def _labelled_tiles(
    options: SetOptions, hand: HandModel, hands: int, mano: bool
) -> Iterator[Tile]:
    """Some hands of a data set, evenly spread, with all joints labelled; ValueError if none."""
    source = SetSource(options, hand.template, mano, seed=0)
    found = False
    count = len(source.data)
    for k in range(min(count, hands)):
        tile = source.tile(source.data[k * count // min(count, hands)])
        if np.isfinite(tile.keypoints).all() and tile.right is not None:
            found = True
            yield tile
    if not found:
        raise ValueError(f'data set {options.name} in {options.root} has no hand with all joints '
                         'labelled to validate with; leave it out of validation.sets, or add the '
                         'labels')
