"""Scalars and pictures for TensorBoard, where it is installed."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm


class Board:
    """Writes to `FOLDER/tensorboard`; does nothing, and says so once, without TensorBoard."""

    def __init__(self, folder: Path, step: int = 0):
        """`step`: what an earlier, killed process wrote after it is dropped."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            tqdm.write('no scalars and pictures: tensorboard is not installed '
                       '(pip install tensorboard, or tensorboard=false)')
            self._writer = None
            return
        self._writer = SummaryWriter(str(Path(folder) / 'tensorboard'), purge_step=step + 1)

    @property
    def on(self) -> bool:
        """Whether anything is written; pictures cost time to draw."""
        return self._writer is not None

    def scalars(self, step: int, kind: str, figures: Mapping[str, float]) -> None:
        """Figures under KIND/NAME."""
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(f'{kind}/{name}', value, step)

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """A picture (H, W, 3) uint8 BGR."""
        if self._writer is not None:
            self._writer.add_image(name, picture[..., ::-1].copy(), step, dataformats='HWC')

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
