"""What the maps should be: heat maps and part orientation fields made from keypoints."""

import torch
from torch import Tensor

from hiu_ros.hand.skeleton import BONES

#: Paper values on the 128 grid, as fractions of the map's side.
HEATMAP_SIGMA = 16 / 368
POF_DISTANCE = 24 / 368

_CHILDREN = [child for child, _ in BONES]
_PARENTS = [parent for _, parent in BONES]


def grid(size: int, device: torch.device | str = 'cpu') -> Tensor:
    """(size, size, 2) pixel positions x, y."""
    line = torch.arange(size, dtype=torch.float32, device=device)
    return torch.stack(torch.meshgrid(line, line, indexing='xy'), -1)


def to_map(keypoints: Tensor, crop_size: int, map_size: int) -> Tensor:
    """Crop pixels to map pixels; pixel centres at integers in both."""
    return (keypoints + 0.5) * (map_size / crop_size) - 0.5


def heatmap_targets(keypoints: Tensor, size: int, sigma: float) -> Tensor:
    """Gaussians of height 1 about the joints: (B, J, 2) map pixels to (B, J, size, size)."""
    offset = grid(size, keypoints.device) - keypoints[:, :, None, None]
    return torch.exp(-offset.square().sum(-1) / (2 * sigma**2))


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
    'space': the unit 3D bone. Returns fields (B, 20, 3, size, size), zero outside of the bones,
    and where the bones are (B, 20, size, size) as 0 / 1.
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
    length = along.norm(dim=-1).clamp_min(1e-6)
    along = along / length[..., None]
    offset = grid(size, keypoints.device) - start[:, :, None, None]
    across = (offset[..., 0] * along[:, :, 1, None, None]
              - offset[..., 1] * along[:, :, 0, None, None]).abs()
    low = torch.minimum(start, end)[:, :, None, None] - reach
    high = torch.maximum(start, end)[:, :, None, None] + reach
    position = grid(size, keypoints.device)
    boxed = ((position >= low) & (position <= high)).all(-1)
    inside = ((across <= reach) & boxed).float()
    return direction[..., None, None] * inside[:, :, None], inside
