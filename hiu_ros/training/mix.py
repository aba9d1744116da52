"""The endless mix of training crops: photographs, renders over backgrounds, and no hands.

Sample i is a function of (seed, i) alone, so a training that stopped goes on where it was, and any
number of workers or processes sees the same stream.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.crop import Crop
from hiu_ros.training.augment import occluder_shape, photometric, random_patch


@dataclass(frozen=True)
class MixOptions:
    """Where crops come from and how they are turned; shares need not add up to one."""

    photos: str = ''  #: photo cache directory
    renders: tuple[str, ...] = ()  #: render bank directories
    backgrounds: str = ''  #: .npy of background patches
    photo_share: float = 0.6
    render_share: float = 0.36
    negative_share: float = 0.04
    leave_out: tuple[str, ...] = ()  #: photo sets that are not trained on
    least_trust: float = 0.4  #: photo labels trusted less are left out
    wrong_side_share: float = 0.06
    occluder_share: float = 0.15
    angle_deg: float = 20.0
    scale: tuple[float, float] = (1.3, 1.8)  #: crop side over the joints' box
    shift: float = 0.1  #: of the crop's side
    photo_3d_weight: float = 0.3
    photo_parameter_weight: float = 0.3


class PhotoSource:
    """Labelled photographs of a photo cache; each set is drawn by the root of its size."""

    def __init__(self, folder: Path, options: MixOptions):
        self.options = options
        self.crops = np.load(folder / 'crops.npy', mmap_mode='r')
        self.masks = np.load(folder / 'mask.npy', mmap_mode='r')
        with np.load(folder / 'labels.npz') as labels:
            self.labels = {key: labels[key] for key in labels.files}
        names = [str(name) for name in self.labels['sets']]
        unknown = sorted(set(options.leave_out) - set(names))
        if unknown:
            raise ValueError(f'leave_out names {unknown}, but the photo sets are {names}')
        keep = (self.labels['split'] == 0) & (self.labels['trust'] >= options.least_trust)
        for name in options.leave_out:
            keep &= self.labels['set'] != names.index(name)
        self.indices = np.flatnonzero(keep)
        if not len(self.indices):
            raise ValueError(f'no photograph of {folder} is left to train on')
        sets = self.labels['set'][self.indices]
        share = np.bincount(sets, minlength=len(names)).astype(float)[sets] ** -0.5
        self.cumulative = np.cumsum(share / share.sum())

    def draw(self, rng: np.random.Generator) -> dict:
        """One tile with its labels."""
        i = self.indices[np.searchsorted(self.cumulative, rng.random() * 0.999999)]
        one = {key: value[i] for key, value in self.labels.items()
               if key not in ('sets', 'files')}
        fitted = bool(one['fit_ok'])
        return {
            'tile': np.asarray(self.crops[i]), 'alpha': None, 'right': bool(one['side'] == 1),
            'mask': np.asarray(self.masks[i]) if one['mask_ok'] else None,
            'keypoints': one['keypoints'], 'keypoints_m': one['keypoints_m'],
            'weight_3d': self.options.photo_3d_weight * float(one['trust']),
            'pose': one['pose'] if fitted else None, 'shape': None,
            'parameter_weight': self.options.photo_parameter_weight,
        }


class RenderSource:
    """Tiles of render banks, still without a background."""

    def __init__(self, folders: tuple[str, ...]):
        self.banks = []
        for folder in map(Path, folders):
            with np.load(folder / 'labels.npz') as labels:
                table = {key: labels[key] for key in labels.files}
            self.banks.append((np.load(folder / 'bgra.npy', mmap_mode='r'),
                               np.load(folder / 'mask.npy', mmap_mode='r'), table))
        self.counts = np.array([len(bank[2]['pose']) for bank in self.banks])

    def draw(self, rng: np.random.Generator) -> dict:
        """One tile with its labels."""
        bank = rng.choice(len(self.banks), p=self.counts / self.counts.sum())
        tiles, masks, table = self.banks[bank]
        i = rng.integers(self.counts[bank])
        tile = np.asarray(tiles[i])
        return {
            'tile': tile[..., :3], 'alpha': tile[..., 3], 'right': True,
            'mask': np.asarray(masks[i]), 'keypoints': table['keypoints_px'][i],
            'keypoints_m': table['keypoints_m'][i], 'weight_3d': 1.0,
            'pose': table['pose'][i], 'shape': table['shape'][i], 'parameter_weight': 1.0,
        }


class HandMix(torch.utils.data.Dataset):
    """Map-style and endless: `mix[i]` is sample i of the stream, a dict for `batch.collate`."""

    def __init__(self, options: MixOptions, resolution: int, seed: int = 0, length: int = 10**9):
        self.options, self.resolution, self.seed, self.length = options, resolution, seed, length
        self.sources: dict[str, object] = {}
        if options.photos and options.photo_share:
            self.sources['photo'] = PhotoSource(Path(options.photos), options)
        if options.renders and options.render_share:
            self.sources['render'] = RenderSource(options.renders)
        self.patches = (np.load(options.backgrounds, mmap_mode='r') if options.backgrounds
                        else np.zeros((0, 8, 8, 3), np.uint8))
        kinds = {'photo': options.photo_share, 'render': options.render_share,
                 'negative': options.negative_share}
        self.kinds = [k for k in kinds if k in self.sources or k == 'negative']
        shares = np.array([kinds[k] for k in self.kinds])
        if not self.sources:
            raise ValueError('nothing to train on: give a photo cache or a render bank')
        self.shares = shares / shares.sum()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self.seed, index))
        kind = self.kinds[rng.choice(len(self.kinds), p=self.shares)]
        if kind == 'negative':
            return self.negative(rng)
        return self.hand(self.sources[kind].draw(rng), rng)

    def negative(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """A crop without a hand."""
        n = self.resolution
        sample = self.unlabelled()
        sample['images'] = photometric(random_patch(self.patches, n, rng), rng)
        sample['masks'] = np.zeros((n // 2, n // 2), np.float32)
        sample['mask_weights'] = np.float32(1)
        return sample

    def unlabelled(self) -> dict[str, np.ndarray]:
        """A sample of which nothing is known."""
        n = self.resolution
        zero = np.float32(0)
        return {
            'images': np.zeros((n, n, 3), np.uint8),
            'keypoints': np.full((21, 2), n / 2, np.float32),
            'keypoint_weights': np.zeros(21, np.float32),
            'keypoints_m': np.zeros((21, 3), np.float32), 'weights_3d': zero,
            'masks': np.zeros((n // 2, n // 2), np.float32), 'mask_weights': zero,
            'rotations': np.tile(np.eye(3, dtype=np.float32), (16, 1, 1)),
            'shapes': np.zeros(10, np.float32), 'parameter_weights': zero,
            'shape_weights': zero, 'presence': zero, 'sides': zero, 'side_weights': zero,
            'canonical': np.float32(1),
        }

    def crop(self, keypoints: np.ndarray, mirrored: bool, rng: np.random.Generator) -> Crop:
        """A crop such as a follower or a finder would make, shaken."""
        o = self.options
        wild = rng.random() < 0.03
        angle = rng.uniform(-np.pi, np.pi) if wild else np.radians(rng.normal(0, o.angle_deg))
        upright = Crop((0.0, 0.0), 1.0, angle, resolution=1)
        around = Crop.around_keypoints(upright.to_crop(keypoints),
                                       np.exp(rng.uniform(*np.log(o.scale))))
        centre = upright.to_image(np.array(around.centre))
        centre = centre + rng.normal(0, o.shift / 2, 2).clip(-o.shift, o.shift) * around.size
        return Crop(tuple(centre), around.size, angle, mirrored, self.resolution)

    def hand(self, drawn: dict, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Cut, compose and degrade one drawn tile."""
        o, n = self.options, self.resolution
        canonical = rng.random() >= o.wrong_side_share
        mirrored = drawn['right'] != canonical
        crop = self.crop(drawn['keypoints'], mirrored, rng)
        border = 'replicate' if drawn['alpha'] is not None or rng.random() < 0.5 else 'constant'
        image = crop.extract(drawn['tile'], border)
        keypoints = crop.to_crop(drawn['keypoints']).astype(np.float32)
        mask = crop.extract(drawn['mask']) if drawn['mask'] is not None else None
        if drawn['alpha'] is not None:
            alpha = crop.extract(drawn['alpha'], border)[..., None].astype(np.float32) / 255
            behind = random_patch(self.patches, n, rng)
            image = (alpha * image + (1 - alpha) * behind).astype(np.uint8)
        if rng.random() < o.occluder_share:
            image, mask = self.occlude(image, mask, keypoints, rng)
        sample = self.unlabelled()
        turn = np.diag([-1.0 if mirrored else 1.0, 1, 1]) @ Rotation.from_euler(
            'z', crop.angle).as_matrix()
        inside = ((keypoints > -0.5) & (keypoints < n - 0.5)).all(1)
        sample.update(
            images=photometric(image, rng),
            keypoints=keypoints,
            keypoint_weights=inside.astype(np.float32),
            keypoints_m=(drawn['keypoints_m'] @ turn.T).astype(np.float32),
            weights_3d=np.float32(drawn['weight_3d']),
            presence=np.float32(1), sides=np.float32(canonical), side_weights=np.float32(1),
            canonical=np.float32(canonical),
        )
        if mask is not None:
            small = cv2.resize(mask, (n // 2, n // 2), interpolation=cv2.INTER_AREA)
            sample.update(masks=small.astype(np.float32) / 255, mask_weights=np.float32(1))
        if drawn['pose'] is not None and canonical:
            # Poses are those of the right hand the network sees, before the crop's turn.
            angle = -crop.angle if mirrored else crop.angle
            rotations = Rotation.from_rotvec(drawn['pose']).as_matrix()
            rotations[0] = Rotation.from_euler('z', angle).as_matrix() @ rotations[0]
            sample.update(rotations=rotations.astype(np.float32),
                          parameter_weights=np.float32(drawn['parameter_weight']))
        if drawn['shape'] is not None and canonical:
            sample.update(shapes=drawn['shape'].astype(np.float32), shape_weights=np.float32(1))
        return sample

    def occlude(self, image, mask, keypoints, rng) -> tuple[np.ndarray, np.ndarray | None]:
        """Something in front of the hand: a piece of background or a plain colour."""
        n = self.resolution
        shape = occluder_shape(n, rng, keypoints)[..., None]
        if rng.random() < 0.6:
            thing = random_patch(self.patches, n, rng)
        else:
            thing = np.full((n, n, 3), rng.uniform(0, 255, 3), np.float32)
        image = (shape * thing + (1 - shape) * image).astype(np.uint8)
        if mask is not None:
            mask = (mask * (1 - shape[..., 0])).astype(np.uint8)
        return image, mask
