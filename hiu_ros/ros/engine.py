"""What the node needs of perception, and how the real one is made.

The node knows the `Engine` protocol alone; `PipelineEngine` fulfils it. torch is imported when
one is made, not before, so that a node with a wrong parameter says so at once.
"""

import os
import threading
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from hiu_ros.perception.frame import Frame
from hiu_ros.perception.result import Hands
from hiu_ros.ros.parameters import NodeOptions


class DeviceError(RuntimeError):
    """The device that computes is lost, out of memory or was never there."""


class Engine(Protocol):
    """Perception of all cameras of a node, one copy of the weights.

    `process` is called by one thread; `reset` and `update` by any, they count from the next frame.
    """

    model: str  #: name of the hand model
    vertex_count: int
    triangles: np.ndarray  #: (F, 3) of the right hand
    device: str

    @property
    def named(self) -> dict[Hashable, int]:
        """How many hands of each camera were named so far."""

    def name_on(self, named: dict[Hashable, int]) -> None:
        """Use no name again of an engine, now closed, in whose place this one is."""

    def process(self, frames: Sequence[Frame]) -> list[Hands]:
        """Hands of each camera's frame, as one batch. DeviceError where the device is lost."""

    def reset(self) -> None:
        """Forget the hands that are followed."""

    def update(self, options: NodeOptions) -> None:
        """Take over live parameters; ValueError where they do not fit, and nothing changes."""

    def draw(self, frame: Frame, hands: Hands) -> np.ndarray:
        """The annotated image."""

    def memory_bytes(self) -> int:
        """Memory held on the accelerator; 0 on a CPU."""

    def close(self) -> None:
        """Free everything."""


def pipeline_options(options: NodeOptions) -> Any:
    """The `perception.options.PipelineOptions` of node parameters; ValueError names a fault."""
    from hiu_ros.perception.device import fast_in_half
    from hiu_ros.perception.options import PipelineOptions, TrackingOptions
    from hiu_ros.perception.smoothing import Smoothing

    half = options.precision == 'half' or (
        options.precision == 'auto' and fast_in_half(options.device))
    return PipelineOptions(
        weights=os.path.expanduser(options.weights) or None,
        finder_weights=os.path.expanduser(options.finder_weights) or None,
        device=options.device,
        half=half,
        regions='boxes' if options.regions == 'topic' else options.regions,
        max_hands=options.max_hands,
        min_score=options.min_score,
        tracking=TrackingOptions(
            options.min_hits, options.max_misses, options.keep_score, options.announce_score,
            options.finder_interval
        ),
        small_hands=options.small_hands,
        views=options.views,
        smoothing=Smoothing.usual() if options.smoothing else Smoothing(),
        mirrored_input=options.mirrored_input,
        correct_light=options.correct_light,
        hand_length_m=options.hand_length_m or None,
        detail=options.detail,
    )


class PipelineEngine:
    """A `perception.pipeline.Pipeline` as the node's engine; see `Engine`.

    Raises CheckpointError, ManoFileError, FileNotFoundError or ValueError saying why it cannot be
    made, and DeviceError where the device is not there.
    """

    def __init__(self, options: NodeOptions) -> None:
        import torch

        from hiu_ros.hand.template import load_template
        from hiu_ros.perception.device import choose_device
        from hiu_ros.perception.pipeline import Pipeline

        if options.threads:
            torch.set_num_threads(options.threads)
        self._torch = torch
        self._built = {'device': options.device, 'precision': options.precision}
        self._lock = threading.Lock()
        self._pending: Any = None
        self._reset = False
        template = _mano(options.mano) if options.mano else load_template(options.detail)
        try:
            choose_device(options.device)
        except RuntimeError as error:
            raise DeviceError(str(error)) from None
        try:
            self._pipeline = Pipeline(pipeline_options(options), template=template)
            self._pipeline.warm_up()
        except RuntimeError as error:
            self._raise_device_error(error)
            raise
        self.model, self.vertex_count = template.name, len(template.vertices)
        self.triangles = np.asarray(template.faces)
        self.device = str(self._pipeline.device)

    @property
    def named(self) -> dict[Hashable, int]:
        """See `Engine.named`."""
        return self._pipeline.named

    def name_on(self, named: dict[Hashable, int]) -> None:
        """See `Engine.name_on`."""
        self._pipeline.name_on(named)

    def process(self, frames: Sequence[Frame]) -> list[Hands]:
        """See `Engine.process`."""
        with self._lock:
            pending, self._pending = self._pending, None
            reset, self._reset = self._reset, False
        if pending is not None:
            self._pipeline.reconfigure(pending)
        if reset:
            self._pipeline.reset()
        try:
            return self._pipeline.process_many(frames)
        except RuntimeError as error:
            self._raise_device_error(error)
            raise

    def _raise_device_error(self, error: RuntimeError) -> None:
        """DeviceError in place of what the accelerator's library raises."""
        kinds = [self._torch.OutOfMemoryError] if hasattr(self._torch, 'OutOfMemoryError') else []
        kinds += [self._torch.AcceleratorError] if hasattr(self._torch, 'AcceleratorError') else []
        text = str(error)
        if isinstance(error, tuple(kinds)) or any(
                word in text for word in ('CUDA error', 'cuDNN error', 'CUBLAS', 'out of memory')):
            raise DeviceError(text.strip().splitlines()[0]) from None

    def reset(self) -> None:
        """See `Engine.reset`."""
        with self._lock:
            self._reset = True

    def update(self, options: NodeOptions) -> None:
        """See `Engine.update`."""
        # On the CPU for want of a GPU, the engine was built for another device than the node's.
        checked = pipeline_options(replace(options, **self._built))
        try:
            self._pipeline.load_finder(checked)
        except Exception as error:
            raise ValueError(f'regions {options.regions!r}: {error}') from None
        with self._lock:
            self._pending = checked

    def draw(self, frame: Frame, hands: Hands) -> np.ndarray:
        """See `Engine.draw`."""
        from hiu_ros.perception.drawing import draw

        return draw(frame.image, hands, frame.camera)

    def memory_bytes(self) -> int:
        """See `Engine.memory_bytes`."""
        if not self.device.startswith('cuda'):
            return 0
        return int(self._torch.cuda.memory_reserved(self.device))

    def close(self) -> None:
        """See `Engine.close`."""
        self._pipeline = None
        if self.device.startswith('cuda'):
            # A device that is lost raises its fault at every call, also at this one.
            with suppress(RuntimeError):
                self._torch.cuda.empty_cache()


def _mano(path: str) -> Any:
    from hiu_ros.hand.mano_file import load_right_mano

    return load_right_mano(os.path.expanduser(path))
