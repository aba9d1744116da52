"""One training batch: images and every label that exists, the missing ones weighing nothing."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor


@dataclass
class Batch:
    """Tensors of B crops of n x n pixels. 3D is in the crop's virtual camera, metres.

    `canonical` tells crops shown as right hands (1) from those shown as left on purpose (0), which
    teach the maps, the side and nothing parametric.
    """

    images: Tensor  #: (B, 3, n, n) BGR, -1..1
    keypoints: Tensor  #: (B, 21, 2) crop px
    keypoint_weights: Tensor  #: (B, 21) 0: no label
    keypoints_m: Tensor  #: (B, 21, 3)
    weights_3d: Tensor  #: (B,)
    masks: Tensor  #: (B, n/2, n/2) 0..1
    mask_weights: Tensor  #: (B,)
    rotations: Tensor  #: (B, 16, 3, 3)
    shapes: Tensor  #: (B, 10)
    parameter_weights: Tensor  #: (B,)
    shape_weights: Tensor  #: (B,)
    presence: Tensor  #: (B,) 1: there is a hand
    sides: Tensor  #: (B,) 1: shown is a right hand
    side_weights: Tensor  #: (B,)
    canonical: Tensor  #: (B,)
    vertices: Tensor | None = None  #: (B, V, 3) relative to the wrist

    def to(self, device: torch.device | str) -> 'Batch':
        """The batch on another device."""
        moved = {}
        for f in fields(self):
            value = getattr(self, f.name)
            moved[f.name] = None if value is None else value.to(device, non_blocking=True)
        return Batch(**moved)


def collate(items: list[dict[str, np.ndarray]]) -> Batch:
    """Stack samples of `mix.HandMix`; images come as uint8 (n, n, 3)."""
    columns = {key: np.stack([item[key] for item in items]) for key in items[0]}
    images = torch.from_numpy(columns.pop('images')).permute(0, 3, 1, 2).float()
    return Batch(
        images=images / 127.5 - 1,
        **{key: torch.from_numpy(value).float() for key, value in columns.items()},
    )
