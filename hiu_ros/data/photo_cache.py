"""The photo cache: crops, masks, trust and fitted meshes of labelled photos, ready for training.

`python -m hiu_ros.data.photo_cache PHOTOS OUT` builds it. Every stage can be interrupted and goes
on where it stopped; what is there already can be used meanwhile.

    crops.npy   (N, S, S, 3) uint8 BGR, unrotated, unmirrored squares about the labelled hands;
                S is `--size`, `CROP_PIXELS` where nothing is said
    mask.npy    (N, S, S) uint8, 255 hand and 0 not, meaningful where mask_ok
    labels.npz  keypoints (N, 21, 2) crop pixels, keypoints_m (N, 21, 3) metres, camera axes,
                side (N,) 0 left 1 right, side_score, set (index into sets), split (0 train,
                1 val), photo (index into files), hand (index within the photo), crop_centre
                (N, 2) and crop_size (N,) image pixels; mask_ok, mask_fault; trust (image joints)
                and trust_3d, 0..1, trust_reason, depth_fault; and of the fitted RIGHT hand (left
                hands: of the mirrored crop) pose (N, 16, 3), shape (N, 10), camera (N, 3),
                residual_px in palm lengths, bend_error, strain, fit_ok
    statistics.json  what was kept and dropped, and why, per set
"""

import argparse
import fcntl
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from hiu_ros.command_errors import in_one_line
from hiu_ros.data.photo_fits import HandFits, fit_hands, mirror_labels
from hiu_ros.data.photo_masks import hand_mask, mask_fault
from hiu_ros.data.photo_outlines import outline, trim, trim_fault
from hiu_ros.data.photo_trust import depth_faults, judge
from hiu_ros.data.photos import LABELS_NAME, SIDES, SPLITS, PhotoError, PhotoFolder
from hiu_ros.data.sets.layout import map_array, new_array, open_array, read_archive
from hiu_ros.geometry.crop import Crop
from hiu_ros.hand.model import HandModel, load_template

CROP_PIXELS = 192
CROP_SCALE = 2.2
STAGES = ('crops', 'fits', 'masks', 'trim')
CHECKPOINT = 1000
#: Squares of fewer px are refused.
_LEAST_PIXELS = 32
#: px of the image and m by which a cache may differ from labels: those are rounded.
SAME_PX, _SAME_M = 0.1, 1e-4


def read_labels(cache: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a cache's labels.npz.

    Raises FileNotFoundError where there is no cache, DataSetError where it is damaged.
    """
    path = Path(cache) / 'labels.npz'
    if not path.is_file():
        photos, place = 'PHOTOS', cache
        if (Path(cache) / LABELS_NAME).is_file():  # the photographs themselves
            photos, place = cache, 'CACHE'
        raise FileNotFoundError(f'{path} is missing; build the cache with '
                                f'`python -m hiu_ros.data.photo_cache {photos} {place}`')
    return read_archive(path, _again(cache))


def write_labels(cache: str | Path, labels: dict[str, np.ndarray]) -> None:
    """Replace labels.npz in one step, so that a reader never meets half of it."""
    target = Path(cache) / 'labels.npz'
    partial = target.with_name('labels.partial.npz')
    np.savez(partial, **labels)
    os.replace(partial, target)


def update_labels(cache: str | Path, **changes: np.ndarray) -> None:
    """Replace or add some arrays of labels.npz; safe beside another process that does so."""
    with (Path(cache) / 'labels.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_labels(cache, read_labels(cache) | changes)


def tile_size(cache: str | Path) -> int:
    """Side (px) of the squares of a cache; DataSetError where its masks are damaged."""
    return map_array(Path(cache) / 'mask.npy', _again(cache)).shape[-1]


def build_crops(photos: PhotoFolder, cache: Path, size: int = CROP_PIXELS) -> None:
    """Write crops.npy, squares of `size` px, and labels.npz; masks, fits and trust are blank until
    their stage.

    Raises PhotoError where there is no hand.
    """
    hands = list(photos.hands())
    if not hands:
        raise PhotoError(f'the labels of {photos.path} tell of no hand, so there is nothing to '
                         'make a cache of')
    cache.mkdir(parents=True, exist_ok=True)
    count, sets = len(hands), photos.sets
    labels = {
        'keypoints': np.zeros((count, 21, 2), np.float32),
        'keypoints_m': np.array([hand.keypoints_m for *_, hand in hands], np.float32),
        'side': np.array([SIDES.index(hand.side) for *_, hand in hands], np.int8),
        'side_score': np.array([hand.side_score for *_, hand in hands], np.float32),
        'set': np.array([sets.index(photo.set) for *_, photo, _ in hands], np.int16),
        'split': np.array([SPLITS.index(photo.split) for *_, photo, _ in hands], np.int8),
        'photo': np.array([index for index, *_ in hands], np.int32),
        'hand': np.array([number for _, number, *_ in hands], np.int16),
        'crop_centre': np.zeros((count, 2), np.float32),
        'crop_size': np.zeros(count, np.float32),
        'sets': np.array(sets),
        'files': np.array([photo.file for photo in photos]),
        'mask_ok': np.zeros(count, bool),
        'trust': np.ones(count, np.float32),
        'trust_3d': np.ones(count, np.float32),
        'pose': np.zeros((count, 16, 3), np.float32),
        'shape': np.zeros((count, 10), np.float32),
        'camera': np.zeros((count, 3), np.float32),
        'residual_px': np.full(count, np.inf, np.float32),
        'fit_ok': np.zeros(count, bool),
    }
    partial = cache / 'crops.partial.npy'
    crops = new_array(partial, (count, size, size, 3))
    image, current = None, -1
    for row, (index, _, photo, hand) in enumerate(tqdm(hands, 'crops', mininterval=5)):
        if index != current:
            image, current = photos.read_image(photo), index
        crop = Crop.around_keypoints(hand.keypoints_px, CROP_SCALE, size)
        crops[row] = crop.extract(image)
        labels['keypoints'][row] = crop.to_crop(hand.keypoints_px)
        labels['crop_centre'][row], labels['crop_size'][row] = crop.centre, crop.size
    crops.flush()
    # What is killed from here on has no crops, and so is made anew.
    (cache / 'crops.npy').unlink(missing_ok=True)
    new_array(cache / 'mask.npy', (count, size, size)).flush()
    np.save(cache / 'mask_quality.npy', np.full((count, 6), np.nan, np.float32))
    write_labels(cache, labels)
    os.replace(partial, cache / 'crops.npy')


def check_cache(cache: str | Path, photos: PhotoFolder) -> None:
    """Raise PhotoError for a cache made of other photographs or hands than the labels tell of."""
    labels = read_labels(cache)
    hands = list(photos.hands())
    files = [photo.file for photo in photos]
    if labels['files'].tolist() != files:
        what = _difference('photographs', labels['files'].tolist(), files)
    elif list(zip(labels['photo'], labels['hand'])) != [(k, n) for k, n, *_ in hands]:
        what = _difference('hands', [files[k] for k in labels['photo']],
                           [photo.file for *_, photo, _ in hands])
    else:
        what = _other_label(labels, hands, tile_size(cache))
        if not what:
            return
    raise PhotoError(f'{cache} is a cache of other labels than those of {photos.path}: {what}; '
                     'remove it, or make all of it anew with '
                     '`python -m hiu_ros.data.photo_cache ... --again`')


def _other_label(labels: dict[str, np.ndarray], hands: Sequence[tuple], size: int) -> str:
    """Which hand has another label than in a cache of squares of `size` px; '' if none has."""
    pixel = labels['crop_size'][:, None, None] / size
    px = labels['crop_centre'][:, None] + (labels['keypoints'] - (size - 1) / 2) * pixel
    names = labels['sets'][labels['set']]
    for what, made, wanted, tolerance in (
            ('other keypoints', px, [hand.keypoints_px for *_, hand in hands], SAME_PX),
            ('other keypoints_m', labels['keypoints_m'],
             [hand.keypoints_m for *_, hand in hands], _SAME_M),
            ('another side', labels['side'], [SIDES.index(hand.side) for *_, hand in hands], 0),
            ('another split', labels['split'],
             [SPLITS.index(photo.split) for *_, photo, _ in hands], 0),
            ('another set', names != [photo.set for *_, photo, _ in hands], 0, 0)):
        apart = np.abs(np.asarray(made, float) - wanted).reshape(len(hands), -1).max(1, initial=0)
        if (apart > tolerance).any():
            _, number, photo, _ = hands[int(apart.argmax())]
            return f'hand {number} of {photo.file} has {what}'
    return ''


def _difference(what: str, made: list[str], wanted: list[str]) -> str:
    if len(made) != len(wanted):
        return f'{len(made)} {what} in the cache, {len(wanted)} in the labels'
    return next((f'{one} in the cache where the labels have {other}'
                 for one, other in zip(made, wanted) if one != other), f'{what} in another order')


def _open_masks(cache: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks and their quality, to be filled further; DataSetError where they are damaged."""
    size, again = tile_size(cache), _again(cache)
    return (open_array(cache / 'mask.npy', (count, size, size), again),
            open_array(cache / 'mask_quality.npy', (count, 6), again))


def _again(cache: str | Path) -> str:
    return f'remove {cache} and build it again'


def build_masks(photos: PhotoFolder, cache: Path) -> None:
    """Fill mask.npy, in a shuffled order, and mask_ok; hands done before are left as they are."""
    labels = read_labels(cache)
    masks, quality = _open_masks(cache, len(labels['photo']))
    todo = np.flatnonzero(np.isnan(quality[:, 0]))
    todo = np.random.default_rng(0).permutation(todo)
    for done, row in enumerate(tqdm(todo, 'masks', mininterval=10), 1):
        photo = photos.photos[labels['photo'][row]]
        number = int(labels['hand'][row])
        others = tuple(hand.keypoints_px for k, hand in enumerate(photo.hands) if k != number)
        found = hand_mask(photos.read_image(photo), photo.hands[number].keypoints_px, others)
        crop = Crop(tuple(labels['crop_centre'][row]), labels['crop_size'][row],
                    resolution=masks.shape[-1])
        masks[row] = np.where(crop.extract(found.mask) > 127, 255, 0)
        quality[row] = (*found.quality, np.nan, np.nan)
        if done % CHECKPOINT == 0:
            judge_masks(cache)
    judge_masks(cache)


def trim_masks(photos: PhotoFolder, cache: Path) -> None:
    """Hold the masks that have a fitted hand against its outline; once for every mask."""
    labels = read_labels(cache)
    masks, quality = _open_masks(cache, len(labels['photo']))
    model = HandModel(load_template('fast'))
    todo = labels['fit_ok'] & np.isfinite(quality[:, 0]) & np.isnan(quality[:, 4])
    for row in tqdm(np.flatnonzero(todo), 'trim', mininterval=10):
        silhouette, palm = outline(model, labels['pose'][row], labels['shape'][row],
                                   labels['camera'][row], labels['side'][row] == 0,
                                   masks.shape[-1])
        photo = photos.photos[labels['photo'][row]]
        crop = Crop(tuple(labels['crop_centre'][row]), labels['crop_size'][row],
                    resolution=masks.shape[-1])
        inside = crop.extract(np.ones((photo.height, photo.width), np.uint8), nearest=True) > 0
        masks[row], *quality[row, 4:] = trim(masks[row], silhouette & inside, palm)
    judge_masks(cache)


def judge_masks(cache: Path) -> None:
    """Set mask_ok from the measured quality of the masks made so far."""
    faults = np.array([_mask_fault(row) for row in np.load(cache / 'mask_quality.npy')])
    update_labels(cache, mask_ok=faults == '', mask_fault=faults)


def _mask_fault(quality: np.ndarray) -> str:
    if np.isnan(quality[0]):
        return 'todo'
    fault = mask_fault(*quality[:4])
    if np.isnan(quality[4]):
        return fault
    # What spilled has been cut off; the outline judges the rest better than capsules.
    return trim_fault(*quality[4:]) or ('' if fault in ('spill', 'overlap') else fault)


def build_fits(cache: Path) -> None:
    """Fit the hand model to every label, then weigh labels and fits."""
    labels, size = read_labels(cache), tile_size(cache)
    left = labels['side'] == 0
    faults = depth_faults(labels['keypoints'], labels['keypoints_m'], ~left)
    keypoints, keypoints_m = mirror_labels(
        labels['keypoints'], labels['keypoints_m'], left, size)
    fits = fit_hands(HandModel(load_template('fast')), keypoints, keypoints_m, size,
                     use_depth=faults == '')
    update_labels(cache, depth_fault=faults, **asdict(fits))
    judge_labels(cache)


def judge_labels(cache: Path) -> None:
    """Set trust, trust_3d, trust_reason and fit_ok from the fits, where there are fits."""
    labels = read_labels(cache)
    if 'depth_fault' not in labels:
        return
    fits = HandFits(**{field.name: labels[field.name] for field in fields(HandFits)})
    update_labels(cache, **judge(
        labels['depth_fault'], fits, labels['crop_size'] / CROP_SCALE))


def statistics(cache: Path) -> dict[str, dict]:
    """What each step kept and dropped, per set and in all."""
    labels = read_labels(cache)
    answer = {}
    for index, name in enumerate([*labels['sets'], 'all']):
        rows = (labels['set'] == index) | (name == 'all')
        faults = {kind: Counter(str(value) for value in labels[kind][rows] if value)
                  for kind in ('mask_fault', 'trust_reason', 'depth_fault') if kind in labels}
        residual = labels['residual_px'][rows]
        answer[str(name)] = {
            'hands': int(rows.sum()),
            'mask_kept': int(labels['mask_ok'][rows].sum()),
            'fit_kept': int(labels['fit_ok'][rows].sum()),
            'trusted_2d': int((labels['trust'][rows] > 0.5).sum()),
            'trusted_3d': int((labels['trust_3d'][rows] > 0.5).sum()),
            'fit_residual_percentiles_50_90_99': [
                round(float(value), 4) for value in np.percentile(residual, [50, 90, 99])
            ] if np.isfinite(residual).all() and len(residual) else [],
            **{kind: dict(sorted(count.items())) for kind, count in faults.items()},
        }
    return answer


def build(photos: PhotoFolder, cache: Path, stages: Sequence[str] = STAGES, again: bool = False,
          size: int | None = None) -> None:
    """Build a cache, or go on with one; `again`: do the stages anew.

    size: side (px) of the squares; None: that of the cache gone on with, else `CROP_PIXELS`.
    PhotoError where a photograph cannot be read or the cache is one of other labels or squares,
    ValueError for squares too small to show a hand.
    """
    if size is not None and size < _LEAST_PIXELS:
        raise ValueError(f'--size {size} is too small to show a hand; give the side of the '
                         f'squares in pixels, {_LEAST_PIXELS} or more')
    if 'crops' in stages and (again or not (cache / 'crops.npy').exists()):
        build_crops(photos, cache, size or CROP_PIXELS)
    check_cache(cache, photos)
    made = tile_size(cache)
    if size not in (None, made):
        raise PhotoError(f'{cache} is a cache of squares of {made} px, and --size says {size}; '
                         'leave --size out to go on with it, or make all of it anew with '
                         '`python -m hiu_ros.data.photo_cache ... --again`')
    if 'fits' in stages and (again or 'depth_fault' not in read_labels(cache)):
        build_fits(cache)
    if 'masks' in stages:
        if again:
            _, quality = _open_masks(cache, len(read_labels(cache)['photo']))
            quality[:] = np.nan
        build_masks(photos, cache)
    if 'trim' in stages:
        trim_masks(photos, cache)
    judge_labels(cache)
    (cache / 'statistics.json').write_text(json.dumps(statistics(cache), indent=1) + '\n')


def main(arguments: list[str] | None = None) -> None:
    """Build a cache from the command line."""
    parser = argparse.ArgumentParser(prog='python -m hiu_ros.data.photo_cache',
                                     description=__doc__.splitlines()[0])
    parser.add_argument('photos', type=Path, help='folder with labels.jsonl')
    parser.add_argument('cache', type=Path, help='folder to write')
    parser.add_argument('--labels', type=Path, help="in place of the folder's labels.jsonl")
    parser.add_argument('--stages', nargs='+', choices=STAGES, default=STAGES)
    parser.add_argument('--size', type=int, metavar='PX', help=f'side of the squares, '
                        f'{CROP_PIXELS} without; a cache that is gone on with keeps its own')
    parser.add_argument('--again', action='store_true', help='redo the stages given')
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with in_one_line(parser):
        build(PhotoFolder(options.photos, options.labels), options.cache, options.stages,
              options.again, options.size)


if __name__ == '__main__':
    main()
