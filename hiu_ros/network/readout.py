"""From the maps and parameters of a stage to numbers in crop pixels."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hiu_ros.hand.skeleton import BONES

#: Variance (x and y) of a sharp heat map, and the surplus at which certainty falls to 1 / e;
#: fractions of the squared side of the map.
TARGET_VARIANCE = 2 * 0.04**2
SPREAD_SCALE = 0.01
#: Heat map logits are read this much sharper than they were trained: a soft-argmax lies between
#: the peak and the middle of the map, which makes hands smaller than they are.
SHARPNESS = 1.25


class CropReading(NamedTuple):
    """What the network says of a batch of crops; right hands, virtual crop camera."""

    keypoints_px: Tensor  #: (B, 21, 2) crop px, pixel centres at integers
    keypoint_scores: Tensor  #: (B, 21) 0..1
    mask: Tensor  #: (B, n, n) probability, by the network's `FineMask` if it has one
    rough_mask: Tensor  #: (B, n, n) the same by its mask decoder alone
    rotations: Tensor  #: (B, 16, 3, 3)
    shape: Tensor  #: (B, 10)
    camera: Tensor  #: (B, 3) s, tx, ty in crop units
    presence: Tensor  #: (B,) probability that there is a hand
    side: Tensor  #: (B,) probability that it is, as shown, a right hand
    legible: Tensor  #: (B, 1) probability that these are one hand's joints; (B, 0) if not fitted


def joint_positions(heatmaps: Tensor, kind: str) -> tuple[Tensor, Tensor, Tensor]:
    """Read the joints off their heat maps.

    heatmaps: (B, J, h, w), for 'softargmax' logits, for 'centre_of_mass' maps of height 0..1
    (paper, equation 1: clamped and normalised). Returns positions (B, J, 2) in map pixels
    (x, y), certainty (B, J) in 0..1, and the normalised maps (B, J, h, w).
    """
    batch, joints, height, width = heatmaps.shape
    flat = heatmaps.flatten(2)
    if kind == 'softargmax':
        weights = flat.softmax(2)
    else:
        clamped = flat.clamp(0, 1)
        weights = clamped / (clamped.sum(2, keepdim=True) + 1e-6)
    maps = weights.view(batch, joints, height, width)
    xs = torch.arange(width, device=flat.device, dtype=flat.dtype)
    ys = torch.arange(height, device=flat.device, dtype=flat.dtype)
    x = (maps.sum(2) * xs).sum(2)
    y = (maps.sum(3) * ys).sum(2)
    if kind == 'softargmax':
        # 1 for one peak as narrow as the training target, towards 0 for a spread or split map.
        spread = ((maps.sum(2) * xs.square()).sum(2) - x.square()) / width**2
        spread = spread + ((maps.sum(3) * ys.square()).sum(2) - y.square()) / height**2
        certainty = torch.exp(-(spread - TARGET_VARIANCE).clamp_min(0) / SPREAD_SCALE)
    else:
        certainty = flat.amax(2).clamp(0, 1)
    return torch.stack([x, y], 2), certainty, maps


def bone_fields(maps: Tensor, pof: Tensor) -> Tensor:
    """What the part orientation fields say of each bone, weighed by its two joints' maps.

    maps: (B, 21, h, w) normalised heat maps; pof: (B, 60, h', w'). Returns (B, 20, 3).
    """
    if maps.shape[2:] != pof.shape[2:]:
        way = {'mode': 'area'} if maps.shape[-1] > pof.shape[-1] else {
            'mode': 'bilinear', 'align_corners': False}
        cells = maps.shape[-1] * maps.shape[-2] / (pof.shape[-1] * pof.shape[-2])
        maps = F.interpolate(maps, pof.shape[2:], **way) * cells
    under = (maps[:, [c for c, _ in BONES]] + maps[:, [p for _, p in BONES]]) / 2
    return (pof.unflatten(1, (len(BONES), 3)) * under[:, :, None]).sum((3, 4))


def read(output, resolution: int, heatmap_readout: str) -> CropReading:
    """A `StageOutput` in crop pixels; `resolution` is the side n of the crop."""
    heatmaps = output.heatmaps.float()
    where, certainty, _ = joint_positions(heatmaps, heatmap_readout)
    if heatmap_readout == 'softargmax':
        where = joint_positions(heatmaps * SHARPNESS, heatmap_readout)[0]
    step = resolution / heatmaps.shape[-1]

    def probability(mask: Tensor) -> Tensor:
        shape = resolution, resolution
        return F.interpolate(mask.float(), shape, mode='bilinear', align_corners=False)[
            :, 0].sigmoid()

    rough = probability(output.mask)
    return CropReading(
        keypoints_px=(where + 0.5) * step - 0.5,
        keypoint_scores=certainty,
        mask=probability(output.fine_mask) if output.fine_mask.shape[1] else rough,
        rough_mask=rough,
        rotations=output.rotations,
        shape=output.shape,
        camera=output.camera,
        presence=output.presence.sigmoid(),
        side=output.side.sigmoid(),
        legible=output.legible.sigmoid(),
    )
