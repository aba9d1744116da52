"""The endless mix of training crops: photographs, renders over backgrounds, and no hands.

Sample i is a function of (seed, i) alone, so a training that stopped goes on where it was, and any
number of workers or processes sees the same stream.
"""

from pathlib import Path

import cv2
import numpy as np
import torch

from hiu_ros.data.backgrounds import open_patches
from hiu_ros.geometry.crop import Crop, upright_angle
from hiu_ros.geometry.placement import rotation_to_ray
from hiu_ros.hand.skeleton import KEYPOINT_COUNT
from hiu_ros.hand.template import HandTemplate, load_template
from hiu_ros.training.augment import occluder_shape, photometric, random_patch, thing_shape
from hiu_ros.training.collage import (
    ASIDE,
    CROSSING,
    MOST_HIDDEN,
    bare_arm,
    blend,
    cut,
    of_one_skin,
    opacity,
    other_hand,
    recoloured,
    share_hidden,
    skin_of,
    soft_edge,
    spots,
    uncovered,
)
from hiu_ros.training.harsh import gloved, harsh
from hiu_ros.training.image_edge import ImageEdge, cut_off
from hiu_ros.training.mix_options import MixOptions
from hiu_ros.training.set_source import SetSource, to_crop_axes
from hiu_ros.training.sources import PhotoSource, RenderSource, Source, Tile, UnlabelledSource

#: What renders stand before where nothing else is asked for.
GREY = 128
#: Share of a hand's joints that a larger thing hides.
_HIDDEN = 0.1, 0.55


class HandMix(torch.utils.data.Dataset):
    """Map-style and endless: `mix[i]` is sample i of the stream, a dict for `batch.collate`."""

    def __init__(self, options: MixOptions, resolution: int, seed: int = 0, length: int = 10**9,
                 template: HandTemplate | None = None, mano: bool = False):
        """`template`: the hand that is trained, `mano` whether it is a MANO file's."""
        self.options, self.resolution, self.seed, self.length = options, resolution, seed, length
        o = options
        # In this order: the stream of a seed depends on it.
        shares: dict[str, float] = {}
        self.sources: dict[str, Source] = {}
        if o.photos and o.photo_share:
            self.sources['photo'] = PhotoSource(
                Path(o.photos), o.leave_out, o.least_trust, o.photo_3d_weight,
                o.photo_parameter_weight, [Path(more) for more in o.more_photos], o.dropped,
                parameters=not mano)
            shares['photo'] = o.photo_share
        if o.renders and o.render_share:
            self.sources['render'] = RenderSource(o.renders, parameters=not mano)
            shares['render'] = o.render_share
        shares['negative'] = o.negative_share
        if o.unlabelled and o.unlabelled_share:
            self.sources['unlabelled'] = UnlabelledSource(Path(o.unlabelled), o.unlabelled_sets)
            shares['unlabelled'] = o.unlabelled_share
        for number, one in enumerate(o.sets):
            kind = f'set {number}: {one.name}'
            source = SetSource(one, template or load_template('fast'), mano, seed)
            source.check_labels()
            self.sources[kind] = source
            shares[kind] = one.share
        if not self.sources:
            raise ValueError('nothing to train on: give a photo cache (data.photos), a render '
                             'bank (data.renders), a number of renders to make '
                             '(data.made_renders) or a data set (data.sets)')
        self.patches = open_patches(o.backgrounds)
        self.near_misses = open_patches(o.near_misses) if o.near_misses else self.patches
        self.kinds = list(shares)
        if not any(shares.values()):
            raise ValueError(f'the shares of {", ".join(shares)} are all 0; give one at least')
        self.cumulative = np.cumsum(np.array(list(shares.values())) / sum(shares.values()))
        self.cumulative /= self.cumulative[-1]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self.seed, index))
        kind = self.kinds[np.searchsorted(self.cumulative, rng.random(), 'right')]
        if kind == 'negative':
            return self.negative(rng)
        return self.hand(self.sources[kind].draw(rng, index), rng)

    def negative(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """A crop without a hand."""
        n = self.resolution
        sample = self.unlabelled()
        patches = self.near_misses if rng.random() < 0.75 else self.patches
        image = random_patch(patches, n, rng)
        aside = self.another(rng, ASIDE) if rng.random() < self.options.aside_share else None
        if aside is not None:
            image = blend(*aside, image)
        sample['images'] = self.degrade(image, rng)
        if self.options.edge_share and rng.random() < self.options.edge_share:
            sample['images'][ImageEdge.across(n, rng)] = 0
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
            'shape_weights': zero, 'presence': zero, 'presence_weights': np.float32(1),
            'sides': zero, 'side_weights': zero, 'canonical': np.float32(1),
            'self_supervised': zero,
        }

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What a camera does to a picture, if that is asked for."""
        o = self.options
        image = photometric(image, rng) if o.photometric else image
        return harsh(image, rng) if o.harsh_share and rng.random() < o.harsh_share else image

    def crop(self, outline: np.ndarray, mirrored: bool, rng: np.random.Generator) -> Crop:
        """A crop such as a follower or a finder would make, shaken."""
        o = self.options
        chance, angle = rng.random(), np.radians(rng.normal(0, o.angle_deg))
        if chance < o.wild_share:
            angle = rng.uniform(-np.pi, np.pi)
        elif chance > 1 - o.upright_share and len(outline) == KEYPOINT_COUNT:
            angle = upright_angle(outline) + np.radians(rng.normal(0, o.upright_deg))
        # Of a box there are but two corners: they tell its sides as it is, not as it is turned.
        turned = 0.0 if len(outline) == 2 else angle
        scale = np.exp(rng.uniform(*np.log(o.scale)))
        around = Crop.around_keypoints(outline, scale, angle=turned)
        centre = np.array(around.centre)
        centre = centre + rng.normal(0, o.shift / 2, 2).clip(-o.shift, o.shift) * around.size
        return Crop(tuple(centre), around.size, angle, mirrored, self.resolution)

    def hand(self, tile: Tile, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Cut, compose and degrade one drawn tile."""
        o, n = self.options, self.resolution
        canonical = rng.random() >= o.wrong_side_share or not tile.side_known
        mirrored = tile.right != canonical
        if tile.right is None:
            # Whichever way it is shown, it may be a left hand: it teaches the maps alone.
            canonical, mirrored = False, rng.random() < 0.5
        edge, outline = None, tile.outline
        if o.edge_share and rng.random() < o.edge_share:
            edge, outline = cut_off(outline, rng)
        crop = self.crop(outline, mirrored, rng)
        border = 'replicate' if tile.alpha is not None or rng.random() < 0.5 else 'constant'
        image, alpha = cut(tile, crop, border)
        aims = crop.to_crop(tile.outline)
        mask = crop.extract(tile.mask) if tile.mask is not None else None
        image, mask = self.compose(tile, crop, image, alpha, mask, rng)
        if mask is not None and rng.random() < o.arm_share:
            image, mask = self.cross(image, mask, crop.to_crop(spots(tile.outline)), rng)
        if rng.random() < o.occluder_share:
            shape = occluder_shape(n, rng, aims[np.isfinite(aims).all(1)])
            image, mask = self.occlude(image, mask, shape, rng)
        if o.thing_share and rng.random() < o.thing_share:
            joints = crop.to_crop(spots(tile.outline))
            shape = thing_shape(n, rng, joints, rng.uniform(*_HIDDEN))
            image, mask = self.occlude(image, mask, shape, rng)
        image = self.degrade(image, rng)
        if edge is not None:
            beyond = edge.in_crop(crop)
            image = np.where(beyond[..., None], np.uint8(0), image)
            mask = None if mask is None else np.where(beyond, np.uint8(0), mask)
        sample = self.unlabelled()
        sample.update(
            images=image, canonical=np.float32(canonical),
            presence=np.float32(1), presence_weights=np.float32(tile.presence_known),
            sides=np.float32(canonical), side_weights=np.float32(tile.side_known),
            self_supervised=np.float32(tile.self_supervised),
        )
        if mask is not None:
            small = cv2.resize(mask, (n // 2, n // 2), interpolation=cv2.INTER_AREA)
            sample.update(masks=small.astype(np.float32) / 255, mask_weights=np.float32(1))
        if tile.keypoints is not None:
            points = crop.to_crop(tile.keypoints).astype(np.float32)
            inside = ((points > -0.5) & (points < n - 0.5)).all(1)
            sample.update(keypoints=np.where(np.isfinite(points), points, n / 2).astype(
                np.float32), keypoint_weights=inside * np.float32(tile.weight_2d))
        self.label_3d(sample, tile, crop, canonical)
        return sample

    def compose(self, tile: Tile, crop: Crop, image: np.ndarray, alpha: np.ndarray | None,
                mask: np.ndarray | None, rng: np.random.Generator
                ) -> tuple[np.ndarray, np.ndarray | None]:
        """The cut picture with what stands behind its hand, and perhaps another hand."""
        o, n = self.options, self.resolution
        if alpha is not None:
            alpha = alpha.astype(np.float32) / 255
        elif mask is not None:
            if o.recolour_share and rng.random() < o.recolour_share:
                image = recoloured(image, mask, rng)
            if o.glove_share and rng.random() < o.glove_share:
                image = blend(gloved(image, mask, rng), soft_edge(mask, rng), image)
            if len(self.patches) and rng.random() < o.cutout_share:
                alpha = soft_edge(mask, rng)
        other = self.another(rng) if rng.random() < o.other_hand_share else None
        if other is not None and mask is not None and rng.random() < o.one_skin_share:
            other = of_one_skin(*other, image, mask), other[1]
        before = other is not None and (alpha is None or rng.random() < 0.5)
        if alpha is not None:
            behind = (np.full((n, n, 3), GREY, np.uint8) if o.grey
                      else random_patch(self.patches, n, rng))
            if other is not None and not before:
                behind = blend(*other, behind)
            image = blend(image, alpha, behind)
        if before:
            picture, cover = other
            if share_hidden(cover, crop.to_crop(spots(tile.outline))) <= MOST_HIDDEN:
                image = blend(picture, cover, image)
                mask = None if mask is None else uncovered(mask, cover)
        return image, mask

    def another(self, rng: np.random.Generator, reach: tuple[float, float] = CROSSING
                ) -> tuple[np.ndarray, np.ndarray] | None:
        """Picture and opacity of another hand, from photographs or renders."""
        kinds = [kind for kind in ('photo', 'render') if kind in self.sources]
        if not kinds:
            return None
        tile = self.sources[kinds[rng.integers(len(kinds))]].draw(rng, 0)
        return None if opacity(tile) is None else other_hand(tile, self.resolution, rng, reach)

    @staticmethod
    def label_3d(sample: dict[str, np.ndarray], tile: Tile, crop: Crop, canonical: bool) -> None:
        """Turn what is known in space into the axes of the crop's virtual camera."""
        cosine, sine = np.cos(crop.angle), np.sin(crop.angle)
        turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        if tile.camera is not None:
            ray = np.linalg.solve(tile.camera, [*crop.centre, 1.0])
            turn = turn @ rotation_to_ray(ray / np.linalg.norm(ray)).T
        flipped = np.diag([-1.0 if crop.mirrored else 1.0, 1, 1]) @ turn
        if tile.keypoints_m is not None:
            sample.update(keypoints_m=(tile.keypoints_m @ flipped.T).astype(np.float32),
                          weights_3d=np.float32(tile.weight_3d))
            if tile.vertices_m is not None and canonical:
                vertices = (tile.vertices_m - tile.keypoints_m[0]) @ flipped.T
                sample.update(vertices=vertices.astype(np.float32),
                              vertex_weights=np.float32(tile.parameter_weight))
        if tile.pose is not None and canonical:
            sample.update(
                rotations=to_crop_axes(turn, tile.pose, crop.mirrored).astype(np.float32),
                parameter_weights=np.float32(tile.parameter_weight))
        if tile.shape is not None and canonical:
            sample.update(shapes=tile.shape.astype(np.float32),
                          shape_weights=np.float32(tile.parameter_weight))

    @staticmethod
    def cross(image: np.ndarray, mask: np.ndarray, points: np.ndarray, rng: np.random.Generator
              ) -> tuple[np.ndarray, np.ndarray]:
        """An arm in front of the hand, unless it would hide most of its points (K, 2)."""
        n, skin = len(image), skin_of(image, mask)
        if skin is None:
            return image, mask
        picture, cover = bare_arm((n, n), skin, points[rng.integers(len(points))],
                                  rng.uniform(0.08, 0.26) * n, rng)
        if share_hidden(cover, points) > MOST_HIDDEN:
            return image, mask
        return blend(picture, cover, image), uncovered(mask, cover)

    def occlude(self, image, mask, shape, rng) -> tuple[np.ndarray, np.ndarray | None]:
        """Something of a shape (n, n) 0..1 in front: a piece of background or a plain colour."""
        n, shape = self.resolution, shape[..., None]
        thing = (random_patch(self.patches, n, rng) if rng.random() < 0.6
                 else np.full((n, n, 3), rng.uniform(0, 255, 3), np.uint8))
        return blend(thing, shape, image), None if mask is None else uncovered(mask, shape)
