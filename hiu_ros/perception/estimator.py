"""Regions of images through the hand network, as one batch, and back into their images.

This is the one place where left hands are mirrored: the network is shown right hands only, so a
region of a left hand is cut out mirrored. Its crop carries image points back; rotations and the
side are mirrored back here, right after the read-out.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from hiu_ros.geometry.crop import NETWORK_SCALE, Crop, upright_angle
from hiu_ros.network.frozen import frozen
from hiu_ros.network.hiu import HIU
from hiu_ros.network.readout import CropReading
from hiu_ros.perception.colour import colour_of
from hiu_ros.perception.reading import Reading
from hiu_ros.perception.verdict import clarity
from hiu_ros.perception.views import averaged, views_of

_MIRROR = np.diag([-1.0, 1.0, 1.0])
#: Log odds of the side below which a region is looked at both ways again; and from which on the
#: other side than the one given is.
_SURE_SIDE = 2.0
#: Largest batch on a CPU, where larger ones are hardly faster a crop and every size of batch keeps
#: buffers of its own for good (about 7 MiB each); and on a GPU.
_CPU_BATCH, _GPU_BATCH = 12, 64
#: What a look at a region counts where another one, around what it found, has followed.
_EARLIER = 0.5
#: Pixels that the box of a hand's joints is taken to have at least.
_LEAST_SIZE = 4.0


class Network(Protocol):
    """What the estimator needs of `network.hiu.HIU`."""

    config: object

    def predict(self, images: torch.Tensor) -> CropReading:
        """Read a batch of crops (B, 3, n, n), BGR in -1..1."""


@dataclass(frozen=True, eq=False)
class Region:
    """A square of an image in which one hand is looked for.

    side: 'left', 'right' or None where it is not known, which takes two crops; where a look says
    clearly that it is the other one, the next takes two, too. passes: how many more looks follow,
    each around the joints that were found before. least: score without which
    none follows. views: crops of the last look, turned and sized a little differently, whose
    readings are averaged (`views.VIEWS`).
    """

    image: np.ndarray
    crop: Crop
    side: str | None = None
    passes: int = 0
    views: int = 1
    least: float = 0.0


class HandEstimator:
    """The hand network over regions of any number of images."""

    def __init__(
        self, network: Network, device: str | torch.device = 'cpu',
        crop_scale: float = NETWORK_SCALE, half: bool = False, largest_batch: int | None = None,
    ) -> None:
        """network: on the device. Raises ValueError where it is in training mode."""
        if getattr(network, 'training', False):
            raise ValueError('the hand network is in training mode, in which a crop is read by '
                             'what else is in the batch; call its eval() first')
        self._network, self._device = network, torch.device(device)
        self._half = half and self._device.type == 'cuda'
        self._dtype = torch.float32
        if half and self._device.type == 'cpu':
            # Autocast would turn all weights anew for every batch.
            self._dtype = torch.bfloat16
            self._network = copy.deepcopy(network).to(
                dtype=self._dtype, memory_format=torch.channels_last)
        self._frozen = None
        self._crop_scale = crop_scale
        self._largest_batch = largest_batch or (
            _CPU_BATCH if self._device.type == 'cpu' else _GPU_BATCH)
        self.resolution = int(network.config.input_size)

    def warm_up(self) -> None:
        """Make the network as fast as it gets, and run batches of each size that a few hands make.

        A size seen for the first time is slower and takes memory that stays taken, which a node
        should have behind it before it starts. On a CPU answers change as by another rounding.
        """
        if self._device.type == 'cpu' and isinstance(self._network, HIU):
            # The graph has the weights, perhaps those of an equal network before.
            network, self._network = self._network, None
            if self._dtype == torch.float32:
                network = copy.deepcopy(network).to(memory_format=torch.channels_last)
            self._frozen = frozen(network)
        n = self.resolution
        for size in range(1, min(self._largest_batch, _CPU_BATCH) + 1):
            self._run(np.zeros((size, n, n, 3), np.uint8))

    def crop_around(self, keypoints: np.ndarray, margin: float = 1.0,
                    boxed: np.ndarray | None = None) -> Crop:
        """The crop around keypoints (21, 2) px as the network was trained to see hands.

        It is turned so that the fingers point up. boxed: (21,) bool, joints that it goes about.
        """
        points = np.asarray(keypoints, dtype=np.float64)
        angle = upright_angle(points)
        points = points if boxed is None else points[boxed]
        if np.ptp(points, axis=0).max() < _LEAST_SIZE:
            return Crop(tuple(points.mean(axis=0)), self._crop_scale * margin * _LEAST_SIZE, angle,
                        resolution=self.resolution)
        return Crop.around_keypoints(points, self._crop_scale * margin, self.resolution, angle)

    def look(self, regions: Sequence[Region]) -> list[Reading]:
        """A reading for each region; all of a pass go through the network together.

        Looks at the same region are averaged, the last one counting most.
        """
        readings: list[Reading | None] = [None] * len(regions)
        earlier: dict[tuple[int, str], list[Reading]] = {}
        evidence = np.zeros(len(regions))
        for turn in range(1 + max((region.passes for region in regions), default=-1)):
            asked: list[tuple[int, Crop, str]] = []
            for index, region in enumerate(regions):
                if turn > region.passes or (turn and readings[index].score < region.least):
                    continue
                crop, side = region.crop, region.side
                if turn:
                    crop = self._closer(region.crop, readings[index])
                    right = evidence[index] * (-1 if side == 'left' else 1)
                    if side is not None and right <= -_SURE_SIDE:
                        side = None  # read as the other hand: that one has a look, too
                    elif side is None and abs(evidence[index]) >= _SURE_SIDE:
                        side = readings[index].side
                sides = ('right', 'left') if side is None else (side,)
                count = region.views if turn == region.passes else 1
                asked += [(index, view, name) for name in sides
                          for view in views_of(crop, count, name)]
            found: dict[tuple[int, str], list[Reading]] = {}
            looked = self._read([(regions[i], crop, side) for i, crop, side in asked])
            for (index, _, side), reading in zip(asked, looked):
                found.setdefault((index, side), []).append(reading)
            sighted: dict[int, list[Reading]] = {}
            said: dict[int, list[float]] = {}
            for (index, side), views in found.items():
                before = earlier.setdefault((index, side), [])
                shares = [1.0] * len(views) + [_EARLIER] * len(before)
                sighted.setdefault(index, []).append(averaged([*views, *before], shares))
                said.setdefault(index, []).extend(view.right for view in views)
                before += views
            for index, both in sighted.items():
                evidence[index] = (turn * evidence[index] + np.mean(said[index])) / (turn + 1)
                readings[index] = _chosen(both, evidence[index])
        return readings

    def _closer(self, first: Crop, reading: Reading) -> Crop:
        """The crop for the next look; joints gone astray cannot blow it up or away."""
        points, scores = reading.keypoints_px, reading.keypoint_scores
        sharp = scores >= 0.3 * np.median(scores)
        crop = self.crop_around(points, boxed=sharp)
        size = float(np.clip(crop.size, 0.2 * first.size, 1.6 * first.size))
        offset = np.array(crop.centre) - first.centre
        offset = np.clip(offset, -0.5 * first.size, 0.5 * first.size)
        return replace(crop, centre=tuple(first.centre + offset), size=size)

    def _read(self, asked: Sequence[tuple[Region, Crop, str]]) -> list[Reading]:
        readings: list[Reading] = []
        for start in range(0, len(asked), self._largest_batch):
            part = asked[start:start + self._largest_batch]
            crops = [replace(crop, mirrored=side == 'left') for _, crop, side in part]
            pixels = np.stack([crop.extract(region.image)
                               for crop, (region, _, _) in zip(crops, part)])
            values = self._run(pixels)
            readings += [
                _reading(crop, side, pixels[k], {name: value[k] for name, value in values.items()})
                for k, (crop, (_, _, side)) in enumerate(zip(crops, part))
            ]
        return readings

    @torch.inference_mode()
    def _run(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        batch = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2)
        batch = batch.float().div_(127.5).sub_(1.0).to(self._dtype)
        with torch.autocast(self._device.type, torch.float16, enabled=self._half):
            reading = (self._frozen or self._network.predict)(batch)
        return {name: value.float().cpu().numpy() for name, value in reading._asdict().items()}


def _reading(
    crop: Crop, side: str, pixels: np.ndarray, values: dict[str, np.ndarray]
) -> Reading:
    """One row of the read-out, carried into the image and mirrored back.

    Values that are not finite, as half precision may give, become a reading of no hand.
    """
    if not all(np.isfinite(value).all() for value in values.values()):
        middle, n = (crop.resolution - 1) / 2, crop.resolution
        values = {
            'keypoints_px': np.full((21, 2), middle), 'keypoint_scores': np.zeros(21),
            'mask': np.zeros((n, n), np.float32), 'rough_mask': np.zeros((n, n), np.float32),
            'rotations': np.tile(np.eye(3), (16, 1, 1)),
            'shape': np.zeros(10), 'presence': 0.0, 'side': 0.5,
            'legible': np.zeros_like(values['legible'])}
    shown_right = float(np.clip(values['side'], 1e-6, 1 - 1e-6))
    right = float(np.log(shown_right / (1 - shown_right)))
    rotations = values['rotations'].astype(np.float64)
    if side == 'left':
        rotations, right = _MIRROR @ rotations @ _MIRROR, -right
    return Reading(
        crop=crop, side=side, keypoints_px=crop.to_image(values['keypoints_px']),
        keypoint_scores=np.clip(values['keypoint_scores'], 0.0, 1.0), mask=values['mask'],
        rotations=rotations, shape=values['shape'].astype(np.float64),
        presence=float(values['presence']), clarity=clarity(values['rough_mask']), right=right,
        colour=colour_of(pixels, values['mask']),
        legible=float(values['legible'][0]) if len(values['legible']) else None,
    )


def _chosen(both: list[Reading], right: float) -> Reading:
    """Of one region read as either hand, the one that fits the log odds of the side."""
    chosen = both[0]
    if len(both) == 2:
        chosen, other = both if right > 0 else both[::-1]
        chosen = replace(chosen, other=replace(other, right=right))
    return replace(chosen, right=right)
