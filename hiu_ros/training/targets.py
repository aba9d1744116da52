"""What the maps should be: heat maps and part orientation fields made from keypoints."""

import torch
from torch import Tensor

from hiu_ros.hand.skeleton import BONES

#: Paper values on the 128 grid, as fractions of the map's side.
HEATMAP_SIGMA = 16 / 368
POF_DISTANCE = 24 / 368

_CHILDREN = [child for child, _ in BONES]
_PARENTS = [parent for _, parent in BONES]


def to_map(keypoints: Tensor, crop_size: int, map_size: int) -> Tensor:
    """Crop pixels to map pixels; pixel centres at integers in both."""
    return (keypoints + 0.5) * (map_size / crop_size) - 0.5


def heatmap_targets(keypoints: Tensor, size: int, sigma: float | Tensor) -> Tensor:
    """Gaussians of height 1 about the joints: (B, J, 2) map pixels to (B, J, size, size)."""
    line = torch.arange(size, dtype=keypoints.dtype, device=keypoints.device)
    along = torch.exp(-(line - keypoints[..., None]).square() / (2 * sigma**2))
    return along[:, :, 1, :, None] * along[:, :, 0, None, :]


def bone_directions(keypoints: Tensor) -> Tensor:
    """Unit vectors from child to parent of the 20 bones: (B, 21, D) to (B, 20, D)."""
    bones = keypoints[:, _PARENTS] - keypoints[:, _CHILDREN]
    return bones / bones.norm(dim=-1, keepdim=True).clamp_min(1e-8)


def pof_targets(
    keypoints: Tensor, keypoints_m: Tensor, size: int, variant: str = 'image'
) -> tuple[Tensor, Tensor]:
    """Part orientation fields (Monocular Total Capture, CVPR 2019; HIU-DMTL's variant).

    keypoints: (B, 21, 2) map pixels; keypoints_m: (B, 21, 3) metres, crop camera.
    variant 'image': (u, v) of the unit image direction child to parent, and z of the unit 3D bone;
    'space': the unit 3D bone. Returns the direction (B, 20, 3) that a field has all over its
    bone, being zero elsewhere, and where the bones are (B, 20, size, size) as 0 / 1.
    """
    if variant not in ('image', 'space'):
        raise ValueError(f"POF variant {variant!r}, expected 'image' or 'space'")
    space = bone_directions(keypoints_m)
    if variant == 'image':
        direction = torch.cat([bone_directions(keypoints), space[..., 2:]], -1)
    else:
        direction = space
    reach = POF_DISTANCE * size
    start, end = keypoints[:, _CHILDREN], keypoints[:, _PARENTS]
    along = end - start
    along = along / along.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    line = torch.arange(size, dtype=keypoints.dtype, device=keypoints.device)
    offset = line - start[..., None]
    across = (offset[:, :, 0, None, :] * along[:, :, 1, None, None]
              - offset[:, :, 1, :, None] * along[:, :, 0, None, None]).abs()
    low, high = torch.minimum(start, end) - reach, torch.maximum(start, end) + reach
    boxed = (line >= low[..., None]) & (line <= high[..., None])
    inside = (across <= reach) & boxed[:, :, 0, None, :] & boxed[:, :, 1, :, None]
    return direction, inside.float()
