"""The engine of a configured node, which outlasts a lost device and frames that fail."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from hiu_ros.perception.frame import Frame
from hiu_ros.perception.result import Hands
from hiu_ros.ros.engine import DeviceError, Engine
from hiu_ros.ros.parameters import NodeOptions


class LastingEngine:
    """`current` is the factory's engine, or one on the CPU once the device cannot be used.

    `process` is called by one thread, everything else by any. Making it raises what the factory
    raises; `warn` is told when it goes on on the CPU.
    """

    def __init__(
        self, factory: Callable[[NodeOptions], Engine], options: NodeOptions,
        warn: Callable[[str], None],
    ) -> None:
        self._factory, self._options, self._warn = factory, options, warn
        self._changing = threading.Lock()
        self._closed = False
        try:
            self.current = factory(options)
        except DeviceError as error:
            if not options.cpu_fallback:
                raise
            self.current = self._on_cpu(error)

    def process(self, frames: Sequence[Frame]) -> list[Hands | Exception]:
        """Hands of each frame, processed as one batch, or why that frame cannot be processed.

        Where the batch fails, each frame is processed alone, so that it costs the one at fault.
        Raises DeviceError where there is no device to go on with.
        """
        try:
            return list(self.current.process(frames))
        except DeviceError as error:
            lost = str(error)
        except Exception as error:
            if len(frames) == 1:
                return [error]
            return [result for frame in frames for result in self.process([frame])]
        # The error itself holds, by its traceback, what is to be freed on the device.
        self._leave_device(DeviceError(lost))
        return self.process(frames)

    def update(self, options: NodeOptions) -> None:
        """See `Engine.update`."""
        with self._changing:
            self.current.update(options)
            self._options = options

    def close(self) -> None:
        """Free everything; there is no going on any more."""
        with self._changing:
            self._closed = True
            self.current.close()

    def _leave_device(self, error: DeviceError) -> None:
        with self._changing:
            if self._closed or self.current.device == 'cpu' or not self._options.cpu_fallback:
                raise error
            named = self.current.named
            self.current.close()
            try:
                self.current = self._on_cpu(error)
                self.current.name_on(named)
            except Exception as other:
                raise DeviceError(f'{error}; and on the CPU: {other}') from None

    def _on_cpu(self, error: DeviceError) -> Engine:
        self._warn(f'{error}; going on on the CPU')
        # Half precision was asked for on a GPU; not every CPU is even usable in it.
        precision = 'auto' if self._options.precision == 'half' else self._options.precision
        return self._factory(replace(self._options, device='cpu', precision=precision))
