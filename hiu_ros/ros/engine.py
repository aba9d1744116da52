"""What the node needs of perception, and how the real one is made.

The node knows the `Engine` protocol alone; `load_engine` fulfils it with perception pipelines.
torch is imported when an engine is made, not before, so that a node that cannot start says so
at once.
"""

from typing import Protocol

import numpy as np

from hiu_ros.perception.result import Hands
from hiu_ros.ros.parameters import NodeOptions
from hiu_ros.ros.stream import Frame


class DeviceError(RuntimeError):
    """The device that computes is lost, out of memory or was never there."""


class Engine(Protocol):
    """Perception of all cameras of a node, one copy of the weights."""

    model: str  #: name of the hand model
    vertex_count: int
    triangles: np.ndarray  #: (F, 3) of the right hand
    device: str

    def process(self, frames: dict[str, Frame]) -> dict[str, Hands]:
        """Hands of every camera's frame, as one batch. DeviceError where the device is lost."""

    def reset(self, camera: str | None = None) -> None:
        """Forget the hands followed by a camera, or by all; from any thread."""

    def update(self, options: NodeOptions) -> None:
        """Take over live parameters with the next frame; ValueError where they do not fit."""

    def draw(self, image: np.ndarray, hands: Hands) -> np.ndarray:
        """The annotated image."""

    def memory_bytes(self) -> int:
        """Memory held on the accelerator; 0 on a CPU."""

    def close(self) -> None:
        """Free everything."""


def load_engine(options: NodeOptions) -> Engine:
    """The real engine; any error says why it cannot be made."""
    raise NotImplementedError
