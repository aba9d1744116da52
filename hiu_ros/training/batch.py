"""One training batch: images and every label that exists, the missing ones weighing nothing."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from hiu_ros.command_errors import USER_ERRORS, traceback_wanted


@dataclass
class Batch:
    """Tensors of B crops of n x n pixels. 3D is in the crop's virtual camera, metres.

    `canonical` tells crops shown as right hands (1) from those shown as left on purpose (0), which
    teach the maps, the side and nothing parametric. `self_supervised` marks hands without labels
    that take part in the terms which need none.
    """

    images: Tensor  #: (B, 3, n, n) BGR, -1..1; uint8 until `to`
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
    vertex_weights: Tensor | None = None  #: (B,)
    presence_weights: Tensor | None = None  #: (B,); left out: ones
    self_supervised: Tensor | None = None  #: (B,); left out: zeros

    def __post_init__(self) -> None:
        if self.presence_weights is None:
            self.presence_weights = torch.ones_like(self.presence)
        if self.self_supervised is None:
            self.self_supervised = torch.zeros_like(self.presence)
        if self.vertices is not None and self.vertex_weights is None:
            self.vertex_weights = self.parameter_weights

    @property
    def hands(self) -> Tensor:
        """(B,) 1 where a hand is known to be."""
        return torch.maximum(self.presence * (self.presence_weights > 0), self.self_supervised)

    def to(self, device: torch.device | str) -> 'Batch':
        """The batch on another device; pictures as numbers, which take four times the memory."""
        batch = self._each(lambda value: value.to(device, non_blocking=True))
        if batch.images.dtype == torch.uint8:
            batch.images = batch.images.float() / 127.5 - 1
        return batch

    def pin_memory(self) -> 'Batch':
        """The batch in memory that a GPU copies from by itself; the loader asks for it."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> 'Batch':
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{name: None if value is None else change(value)
                        for name, value in values.items()})


def collate(items: list[dict[str, np.ndarray]]) -> Batch:
    """Stack samples of `mix.HandMix`; images come as uint8 (n, n, 3).

    Vertices may be missing in some samples or in all.
    """
    some = next((item['vertices'] for item in items if 'vertices' in item), None)
    if some is not None:
        blank = {'vertices': np.zeros_like(some), 'vertex_weights': np.float32(0)}
        items = [blank | item for item in items]
    columns = {key: np.stack([item[key] for item in items]) for key in items[0]}
    return Batch(
        images=torch.from_numpy(columns.pop('images')).permute(0, 3, 1, 2),
        **{key: torch.from_numpy(value).float() for key, value in columns.items()},
    )


@contextmanager
def read_batches(loader: Iterable) -> Iterator[Iterator]:
    """What a DataLoader gives, in a context that ends its processes: they ignore SIGTERM, so that
    a program which ends with some alive would wait for them for ever.

    RuntimeError of one line, as without such processes, where one of them met a user's error:
    torch makes the whole traceback its message.
    """
    batches = iter(loader)
    try:
        yield batches
    except USER_ERRORS as error:
        _, traced, text = str(error).partition('Original Traceback (most recent call last):')
        if not traced or traceback_wanted():
            raise
        raise RuntimeError(text.strip().splitlines()[-1].partition(': ')[2]) from None
    finally:
        if hasattr(batches, '_shutdown_workers'):  # torch has no public name for it
            batches._shutdown_workers()
