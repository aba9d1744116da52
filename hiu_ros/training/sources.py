"""Where training crops come from: photo caches, render banks, data sets, hands without labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from hiu_ros.data.photo_cache import read_labels
from hiu_ros.data.sets.layout import map_array
from hiu_ros.data.sets.renders import RenderBank
from hiu_ros.hand.skeleton import KEYPOINT_COUNT

Rng = np.random.Generator


@dataclass
class Tile:
    """A picture with one hand and what is known of it; crops are cut from it.

    Pixels are the tile's. `outline` (K, 2) is what a crop goes about: the joints, or corners of
    the hand's box where they are not known. Poses and shapes are those of the right hand that the
    network is shown, before the crop's turn; `right` None: the side is not known.
    """

    image: np.ndarray  #: (H, W, 3) uint8 BGR, a photograph; or (H, W, 4) with its opacity
    outline: np.ndarray
    right: bool | None
    mask: np.ndarray | None = None  #: (H, W) uint8
    keypoints: np.ndarray | None = None  #: (21, 2), rows of NaN: no label
    weight_2d: float = 1.0
    keypoints_m: np.ndarray | None = None  #: (21, 3)
    weight_3d: float = 1.0
    vertices_m: np.ndarray | None = None  #: (V, 3), same axes
    pose: np.ndarray | None = None  #: (16, 3) axis-angle
    shape: np.ndarray | None = None  #: (10,)
    parameter_weight: float = 1.0
    camera: np.ndarray | None = None  #: (3, 3) K of the 3D labels; None: it looks at the crop
    side_known: bool = True  #: whether the side is a label, or only how to show the hand
    presence_known: bool = True
    self_supervised: bool = False

    @property
    def alpha(self) -> np.ndarray | None:
        """(H, W) uint8, opacity; None: a photograph."""
        return self.image[..., 3] if self.image.shape[2] == 4 else None


class Source(Protocol):
    """Draws tiles; the same for the same generator and number."""

    def draw(self, rng: Rng, number: int) -> Tile:
        """One tile for sample `number` of the stream."""


class PhotoSource:
    """Labelled photographs of photo caches; each set is drawn by the root of its size.

    more: further caches, of the same sets or others. dropped: file of rows of the first cache
    that are left out. parameters: False where another hand than the project's is trained, of
    which the fitted poses are not.
    """

    def __init__(self, folder: Path, leave_out: tuple[str, ...] = (), least_trust: float = 0.4,
                 weight_3d: float = 0.3, parameter_weight: float = 0.3,
                 more: Sequence[Path] = (), dropped: str = '', parameters: bool = True):
        self.weight_3d, self.parameter_weight = weight_3d, parameter_weight
        self.parameters = parameters
        self.caches = [open_cache(one) for one in (folder, *more)]
        known = sorted({name for *_, names in self.caches for name in names})
        check_names(leave_out, known, 'leave_out')
        rows, sets = [], []
        for number, (_, _, labels, names) in enumerate(self.caches):
            keep = (labels['split'] == 0) & (labels['trust'] >= least_trust)
            keep &= ~np.isin(np.array(names)[labels['set']], leave_out)
            if dropped and number == 0:
                keep[_rows_of(dropped, len(keep))] = False
            chosen = np.flatnonzero(keep)
            rows.append(np.stack([np.full(len(chosen), number), chosen], axis=1))
            sets.append([known.index(names[one]) for one in labels['set'][chosen]])
        self.rows = np.concatenate(rows)
        if not len(self.rows):
            raise ValueError(f'no photograph of {folder} is left to train on')
        self.cumulative = _by_root_of_size(np.concatenate(sets).astype(int))

    def draw(self, rng: Rng, number: int = 0) -> Tile:
        """One tile with its labels."""
        cache, i = self.rows[np.searchsorted(self.cumulative, rng.random() * 0.999999)]
        crops, masks, labels, _ = self.caches[cache]
        one = {key: value[i] for key, value in labels.items()}
        return Tile(
            np.asarray(crops[i]), one['keypoints'], bool(one['side'] == 1),
            mask=np.asarray(masks[i]) if one['mask_ok'] else None,
            keypoints=one['keypoints'], keypoints_m=one['keypoints_m'],
            weight_3d=self.weight_3d * float(one['trust_3d']),
            pose=one['pose'] if one['fit_ok'] and self.parameters else None,
            parameter_weight=self.parameter_weight,
        )


class UnlabelledSource:
    """Hands of a photo cache of which only place and side are used, as a finder tells them.

    `sets`: only these; empty: all. Validation hands are never drawn.
    """

    def __init__(self, folder: Path, sets: tuple[str, ...] = ()):
        self.crops, _, self.labels, names = open_cache(folder)
        check_names(sets, names, 'unlabelled_sets')
        keep = self.labels['split'] == 0
        if sets:
            keep &= np.isin(self.labels['set'], [names.index(name) for name in sets])
        self.indices = np.flatnonzero(keep)
        if not len(self.indices):
            raise ValueError(f'no photograph of {folder} is left to train on without labels')
        self.cumulative = _by_root_of_size(self.labels['set'][self.indices])

    def draw(self, rng: Rng, number: int = 0) -> Tile:
        """One tile without labels."""
        i = self.indices[np.searchsorted(self.cumulative, rng.random() * 0.999999)]
        points = self.labels['keypoints'][i]
        outline = np.stack([points.min(0), points.max(0)])
        return Tile(np.asarray(self.crops[i]), outline, bool(self.labels['side'][i] == 1),
                    side_known=False, presence_known=False, self_supervised=True)


class RenderSource:
    """Tiles of render banks, still without a background. parameters: as of `PhotoSource`."""

    def __init__(self, folders: tuple[str, ...], parameters: bool = True):
        self.parameters = parameters
        self.banks = [RenderBank(folder) for folder in folders]
        # Of a bank that is still being rendered, what has labels.
        counts = np.array([len(bank) for bank in self.banks])
        self.cumulative = np.cumsum(counts / counts.sum())
        self.cumulative /= self.cumulative[-1]

    def draw(self, rng: Rng, number: int = 0) -> Tile:
        """One tile with its labels."""
        bank = self.banks[np.searchsorted(self.cumulative, rng.random(), 'right')]
        i = rng.integers(len(bank))
        points = bank.keypoints_px[i]
        return Tile(
            np.asarray(bank.bgra[i]), points, True, mask=np.asarray(bank.mask[i]),
            keypoints=points, keypoints_m=bank.keypoints_m[i],
            pose=bank.pose[i] if self.parameters else None,
            shape=bank.shape[i] if self.parameters else None,
        )


def corners(centre: np.ndarray, side: float) -> np.ndarray:
    """(2, 2) opposite corners of a square, an outline for a hand whose joints are not known."""
    return np.stack([centre - side / 2, centre + side / 2])


def no_keypoints() -> np.ndarray:
    """(21, 2) without a label."""
    return np.full((KEYPOINT_COUNT, 2), np.nan, np.float32)


def open_cache(folder: str | Path
               ) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], list[str]]:
    """Crops, masks, per-hand labels and names of the sets of a photo cache.

    Raises FileNotFoundError where there is none, DataSetError where it is damaged.
    """
    labels, again = read_labels(folder), f'remove {folder} and build it again'
    names = [str(name) for name in labels.pop('sets')]
    labels.pop('files', None)
    return (map_array(Path(folder) / 'crops.npy', again),
            map_array(Path(folder) / 'mask.npy', again), labels, names)


def check_names(wanted: Sequence[str], names: Sequence[str], option: str) -> None:
    """ValueError where an option names photo sets that are not among `names`."""
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise ValueError(f'{option} names {unknown}, but the photo sets are {list(names)}')


def _rows_of(file: str, count: int) -> np.ndarray:
    """Rows of a photo cache of `count` hands, from a file; ValueError where they are of another.
    """
    rows = map_array(file, 'make it anew with `python -m hiu_ros.training.relabel`')
    if rows.size and not 0 <= rows.min() <= rows.max() < count:
        raise ValueError(f'{file} names row {rows.max()} of a photo cache of {count} hands; give '
                         'the one that was made of this cache')
    return rows


def _by_root_of_size(sets: np.ndarray) -> np.ndarray:
    """Cumulative chance of each row; a set's rows share one that goes with its root of size."""
    share = np.bincount(sets).astype(float)[sets] ** -0.5
    return np.cumsum(share / share.sum())
