"""The finder network: a whole frame in, centres, sizes and sides of hands out."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hiu_ros.network.blocks import RepBlock, RepConv
from hiu_ros.network.checkpoint import CheckpointError, fill, open_checkpoint, write
from hiu_ros.network.config import MOST, ConfigError, whole

#: One output cell is this many pixels of the (reduced) frame.
STRIDE = 8


@dataclass(frozen=True)
class FinderConfig:
    """Numbers of a finder; `long_side` is what frames are reduced to."""

    long_side: int = 256  #: px, a multiple of 32
    channels: tuple[int, ...] = (16, 32, 64, 128, 192)  #: at strides 2, 4, 8, 16, 32

    def __post_init__(self) -> None:
        if (not whole(self.long_side) or not 64 <= self.long_side <= MOST
                or self.long_side % 32):
            raise ConfigError(f'FinderConfig.long_side is {self.long_side!r}, expected a multiple '
                              f'of 32, 64 to {MOST}')
        if not isinstance(self.channels, (list, tuple)) or len(self.channels) != 5 or not all(
                whole(count) and 0 < count <= MOST for count in self.channels):
            raise ConfigError(f'FinderConfig.channels is {self.channels!r}, expected 5 positive '
                              f'whole numbers, at most {MOST}')
        object.__setattr__(self, 'channels', tuple(self.channels))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> 'FinderConfig':
        """Inverse of `to_dict`; an unknown key is an error that names it."""
        known = sorted(f.name for f in fields(cls))
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ConfigError(f'unknown finder options {unknown}; known are {known}')
        return cls(**values)


class FinderOutput(NamedTuple):
    """Maps at an eighth of the frame. A hand's centre is the middle of its joints' box."""

    centre: Tensor  #: (B, h, w) logit: a hand's centre is in this cell
    offset: Tensor  #: (B, 2, h, w) centre less the cell's middle, x and y, in cells
    log_size: Tensor  #: (B, h, w) ln(larger side of the joints' box / frame's longer side)
    side: Tensor  #: (B, h, w) logit, above 0: a right hand


class Finder(nn.Module):
    """Input (B, 3, H, W), BGR in -1..1, H and W multiples of 32; an anchor-free centre detector
    (after CenterNet, 'Objects as Points', 2019) on a small feature pyramid."""

    def __init__(self, config: FinderConfig):
        super().__init__()
        self.config = config
        c2, c4, c8, c16, c32 = config.channels
        self.stem = nn.Sequential(RepConv(3, c2, 2), RepConv(c2, c4, 2))
        self.level8 = RepBlock(c4, c8, 2)
        self.level16 = nn.Sequential(RepBlock(c8, c16, 2), RepBlock(c16, c16))
        self.level32 = nn.Sequential(RepBlock(c16, c32, 2), RepBlock(c32, c32))
        self.down32 = nn.Conv2d(c32, c16, 1)
        self.down16 = nn.Conv2d(c16, c8, 1)
        self.merge16 = RepConv(c16, c16)
        self.merge8 = RepBlock(c8, c8)
        self.head = nn.Conv2d(c8, 5, 1)
        nn.init.normal_(self.head.weight, std=1e-2)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.bias[0] = -4.0
            self.head.bias[3] = -1.5

    def forward(self, images: Tensor) -> FinderOutput:
        if images.ndim != 4 or images.shape[1] != 3 or any(s % 32 for s in images.shape[2:]):
            raise ValueError(f'Finder got images of shape {tuple(images.shape)}, expected '
                             f'(B, 3, H, W) with H and W multiples of 32')
        at8 = self.level8(self.stem(images))
        at16 = self.level16(at8)
        at32 = self.level32(at16)
        # What the widest view sees of the whole frame tells a hand from a patch of skin.
        at32 = at32 + at32.mean((2, 3), keepdim=True)
        at16 = self.merge16(at16 + F.interpolate(self.down32(at32), scale_factor=2))
        at8 = self.merge8(at8 + F.interpolate(self.down16(at16), scale_factor=2))
        maps = self.head(at8).float()
        return FinderOutput(maps[:, 0], maps[:, 1:3], maps[:, 3], maps[:, 4])

    def fuse(self) -> 'Finder':
        """Fold re-parameterisable convolutions for inference; in place, returns self."""
        for module in self.modules():
            if isinstance(module, RepConv):
                module.fuse()
        return self


def save_finder(path: Path | str, model: Finder, notes: dict | None = None,
                storage: str = 'full') -> None:
    """Write a finder (not fused); arguments as of `checkpoint.write`."""
    write(path, model, 'finder', model.config.to_dict(), notes, storage)


def load_finder(path: Path | str, device: str | torch.device = 'cpu') -> Finder:
    """Read a finder, in evaluation mode; raises CheckpointError as `checkpoint.load` does."""
    tensors, config, _ = open_checkpoint(path, 'finder')
    try:
        model = Finder(FinderConfig.from_dict(config))
    except ConfigError as error:
        raise CheckpointError(f'weights file {path}: {error}') from error
    fill(model, tensors, path)
    return model.to(device).eval()
