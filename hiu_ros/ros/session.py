"""What an active node does, from activate to deactivate: the newest images in, hands out.

Callbacks only store; one worker thread does the rest, always with the newest image. Every output
carries the header of its image unchanged. A frame that is still in work at the end is abandoned:
nothing of it is published, and the next session begins when it is done.
"""

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from hiu_ros.perception.result import Hands, ScaleSource
from hiu_ros.ros.calibration import Calibration
from hiu_ros.ros.depth_images import seconds
from hiu_ros.ros.engine import DeviceError
from hiu_ros.ros.images import ImageError
from hiu_ros.ros.lasting_engine import LastingEngine
from hiu_ros.ros.outputs import Outputs
from hiu_ros.ros.parameters import NodeOptions
from hiu_ros.ros.quiet_log import QuietLog
from hiu_ros.ros.slot import Slots, Worker
from hiu_ros.ros.stream import Received, Stream
from hiu_ros.ros.transforms import TransformSender


class Session:
    """The topics of every camera, and the worker between them.

    `options` gives those of the moment; `failed` is told, by the worker, that no more images can
    be processed; `after` is the worker of an earlier session that did not end in time.
    """

    def __init__(
        self, node: Node, options: Callable[[], NodeOptions], engine: LastingEngine,
        transforms: TransformSender, calibration: Calibration, quiet_log: QuietLog,
        failed: Callable[[DeviceError], None], after: Worker | None = None,
    ) -> None:
        self.slots = Slots()
        self.worker = Worker(self.slots, self._work, self._on_error, after)
        self.streams: dict[str, Stream] = {}
        self._outputs: dict[str, Outputs] = {}
        self._node, self._options, self._engine = node, options, engine
        self._transforms, self._calibration = transforms, calibration
        self._quiet_log, self._failed = quiet_log, failed

    def open(self) -> None:
        """Open the topics and start to work; ParameterError where a topic cannot be opened."""
        options = self._options()
        for name in options.cameras or ('',):
            self._outputs[name] = Outputs(
                self._node, name, self._engine.current, self._transforms)
            self.streams[name] = Stream(self._node, name, options, self.slots, self._quiet_log)
            self.streams[name].open()
        self.worker.start()

    def close(self, patience: float) -> bool:
        """Say farewell on the topics and close them; False where the frame in work took longer
        than `patience` s and is abandoned."""
        for stream in self.streams.values():
            stream.close()
        ended = self.worker.stop(patience)
        for outputs in self._outputs.values():
            outputs.close()
        return ended

    def pause(self) -> None:
        """Forget the images that wait; the worker takes back what was shown by the ones before."""
        for name in self.streams:
            self.slots.put(name, None)

    def listen(self, paused: bool) -> None:
        """Lazy: have the image topic only while somebody reads what comes of it."""
        options = self._options()
        for name, stream in self.streams.items():
            observed = not options.lazy or self._outputs[name].observed(options)
            stream.listen(observed and not paused)

    # Worker thread

    def _work(self, items: dict[str, Any]) -> None:
        """One tick: the newest image of every camera that has a new one, as one batch."""
        for name, item in items.items():
            if item is None:
                self._outputs[name].take_back()
        received = [one for one in (self._unpack(name, item) for name, item in items.items()
                                    if item is not None) if one is not None]
        if not received:
            return
        begin = time.monotonic()
        results = self._engine.process([one.frame for one in received])
        inference = time.monotonic() - begin
        for one, hands in zip(received, results):
            if self.slots.closed:
                return
            try:
                if isinstance(hands, Exception):
                    raise hands
                self._publish(one, hands, inference)
            except Exception as error:
                self._fault(one.frame.key, f'image ignored: {type(error).__name__}: {error}')

    def _unpack(self, name: str, item: tuple[bytes, float]) -> Received | None:
        try:
            received = self.streams[name].unpack(item, self._options())
        except Exception as error:
            kind = '' if isinstance(error, ImageError) else f'{type(error).__name__}: '
            self._fault(name, f'image ignored: {kind}{error}')
            return None
        if received.restart:
            self._quiet_log.info(f'{name}: {received.restart}, tracking starts again'.lstrip(': '))
        return received

    def _publish(self, received: Received, hands: Hands, inference: float) -> None:
        name, header, options = received.frame.key, received.header, self._options()
        self._outputs[name].publish(hands, header, received.frame, options)
        self._calibration.observe(name, hands)
        stamp = seconds(header.stamp)
        now = 1e-9 * self._node.get_clock().now().nanoseconds
        has_depth = received.frame.depth is not None
        by_depth = sum(hand.scale_source is ScaleSource.DEPTH for hand in hands)
        # The clock stands at zero before the first /clock.
        self.streams[name].log.result(
            now - stamp if stamp > 0 and now > 0 else inference, inference, len(hands),
            options.use_depth and not has_depth, by_depth if has_depth else None)

    def _fault(self, name: str, text: str) -> None:
        if self.slots.closed:
            return
        self.streams[name].log.fault(text)
        self._quiet_log.warning(f'{name}: {text}' if name else text)

    def _on_error(self, error: Exception) -> None:
        if self.slots.closed:
            return
        if isinstance(error, DeviceError):
            self._failed(error)
        else:
            self._quiet_log.warning(f'images lost: {type(error).__name__}: {error}')
