"""All data sets by name, and which one a folder holds."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hiu_ros.data.sample import Sample
from hiu_ros.data.sets.coco_wholebody import COCOWholeBody
from hiu_ros.data.sets.dexter_object import DexterObject
from hiu_ros.data.sets.folder import ImageFolder
from hiu_ros.data.sets.freihand import FreiHAND
from hiu_ros.data.sets.hiu_data import HIUData
from hiu_ros.data.sets.ho3d import HO3D
from hiu_ros.data.sets.interhand import InterHand
from hiu_ros.data.sets.layout import DataSetError, no_folder
from hiu_ros.data.sets.panoptic import Panoptic
from hiu_ros.data.sets.photos import PhotoSet
from hiu_ros.data.sets.renders import RenderBank
from hiu_ros.data.sets.rhd import RHD
from hiu_ros.data.sets.stb import STB


class DataSet(Protocol):
    """What every data set is: a sequence of samples."""

    name: str

    def __len__(self) -> int:
        """Number of samples."""

    def __getitem__(self, index: int) -> Sample:
        """One sample; its images are not read yet."""


DATA_SETS: dict[str, type] = {
    kind.name: kind for kind in (
        FreiHAND, HO3D, RHD, STB, DexterObject, Panoptic, InterHand, HIUData, COCOWholeBody,
        PhotoSet, RenderBank, ImageFolder,
    )
}

#: What only this data set has below its root, most telling first.
_SIGNS: tuple[tuple[str, Callable[[Path], bool]], ...] = (
    ('freihand', lambda r: _any(r, 'training_K.json', 'evaluation_K.json')),
    ('renders', lambda r: _any(r, 'bgra.npy')),
    ('photos', lambda r: _any(r, 'labels.jsonl')),
    ('ho3d', lambda r: _any(r, 'evaluation.txt', 'train.txt')),
    ('rhd', lambda r: _any(r, 'training/anno_training.pickle',
                           'evaluation/anno_evaluation.pickle')),
    ('stb', lambda r: any((r / 'labels').glob('B?Counting_??.mat'))),
    ('dexter_object', lambda r: _any(r, 'data/Grasp1', 'data/Rigid')),
    ('panoptic', lambda r: _any(r, 'hand_labels', 'hand143_panopticdb', 'hand_labels_synth')),
    ('interhand', lambda r: any((r / 'annotations').glob('*/InterHand2.6M_*_data.json'))),
    ('hiu_data', lambda r: _any(r, 'train.lst', 'val.lst')),
    ('coco_wholebody', lambda r: any(r.glob('coco_wholebody_*.json'))
     or any((r / 'annotations').glob('coco_wholebody_*.json'))),
)


def splits(name: str) -> tuple[str, ...]:
    """Names of a data set's splits; ('all',) where it has only one."""
    return getattr(_kind(name), 'splits', ('all',))


def open_data_set(name: str, root: str | Path, split: str | None = None, **options) -> DataSet:
    """The data set `name` below `root`, its first split if none is named.

    Raises DataSetError, which says what is missing and where to get it, and ValueError for a split
    or an option that the data set does not have.
    """
    kind = _kind(name)
    known = [one for one in inspect.signature(kind).parameters if one not in ('root', 'split')]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f'{name} has the options {known}, not {unknown}')
    if split is not None and split not in splits(name):
        raise ValueError(f'{name} has the splits {splits(name)}, not {split!r}')
    if hasattr(kind, 'splits'):
        options['split'] = split or splits(name)[0]
    return kind(root, **options)


def detect(root: str | Path) -> str:
    """Name of the data set that a folder holds; 'folder' where it is none but has images."""
    root = Path(root)
    if not root.is_dir():
        raise DataSetError(no_folder(root))
    for name, sign in _SIGNS:
        if sign(root):
            return name
    return ImageFolder.name


def _kind(name: str) -> type:
    if name not in DATA_SETS:
        raise ValueError(f'there is no data set {name!r}; there are {", ".join(DATA_SETS)}')
    return DATA_SETS[name]


def _any(root: Path, *relatives: str) -> bool:
    return any((root / relative).exists() for relative in relatives)
