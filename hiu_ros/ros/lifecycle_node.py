"""`HiuNode`, the lifecycle node that turns camera images into hands; see node.py for its topics.

Callbacks only store; one worker thread does the rest, always with the newest image. Every
output carries the header of its image unchanged.
"""

import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from hiu_ros.perception.result import Hands
from hiu_ros.ros import diagnostics, parameters, topics
from hiu_ros.ros.calibration import Calibration
from hiu_ros.ros.engine import DeviceError, Engine, PipelineEngine
from hiu_ros.ros.images import ImageError
from hiu_ros.ros.lasting_engine import LastingEngine
from hiu_ros.ros.outputs import Outputs
from hiu_ros.ros.quiet_log import QuietLog
from hiu_ros.ros.slot import Slots, Worker
from hiu_ros.ros.stream import Received, Stream, seconds
from hiu_ros.ros.transforms import TransformSender
from hiu_ros.srv import CalibrateHandSize

#: How often the node looks whether anybody listens, s.
LISTEN_PERIOD = 0.2
#: How long a frame in work is waited for when the node is deactivated, s.
STOP_PATIENCE = 1.5

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


class HiuNode(LifecycleNode):
    """The node; `engine_factory` makes its engine of the options when it is configured."""

    def __init__(
        self, engine_factory: Callable[[parameters.NodeOptions], Engine] = PipelineEngine,
        name: str = 'hiu_node', **node_arguments: object,
    ) -> None:
        super().__init__(name, **node_arguments)
        self.options = parameters.declare(self)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._factory = engine_factory
        self._engine: LastingEngine | None = None
        self._streams: dict[str, Stream] = {}
        self._outputs: dict[str, Outputs] = {}
        self._slots, self._worker = Slots(), None
        self._state = 'unconfigured'
        self._paused = False
        self._dead = ''
        self._quiet_log = QuietLog(self.get_logger())
        self._calibration = Calibration(self)
        self._transforms = TransformSender(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics = topics.fixed_publisher(
            self, DiagnosticArray, '/diagnostics', depth=10)
        self.create_timer(1.0, self._on_diagnostics, clock=steady)
        self.create_timer(LISTEN_PERIOD, self._on_listen, clock=steady)
        self.create_service(SetBool, '~/enable', self._on_enable)
        self.create_service(Trigger, '~/reset_tracking', self._on_reset)
        self.create_service(
            CalibrateHandSize, '~/calibrate_hand_size', self._calibration.on_request
        )

    @property
    def built(self) -> dict[str, dict[str, int]]:
        """Messages built so far: camera -> topic -> count."""
        return {name: dict(outputs.built) for name, outputs in self._outputs.items()}

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the weights and warm up; FAILURE with one clear line where that cannot be done."""
        self._dead = ''
        try:
            self._engine = LastingEngine(
                self._factory, self.options, self.get_logger().warning)
        except Exception as error:
            self.get_logger().fatal(f'cannot start: {error}')
            return FAILURE
        self._state = 'inactive'
        engine = self._engine.current
        self.get_logger().info(f'{engine.model} on {engine.device}')
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the topics and start the worker; FAILURE where a topic cannot be opened."""
        self._slots = Slots()
        try:
            for name in self.options.cameras or ('',):
                self._outputs[name] = Outputs(
                    self, name, self._engine.current, self._transforms)
                self._streams[name] = Stream(
                    self, name, self.options, self._slots, self._quiet_log)
                self._streams[name].open()
        except Exception as error:
            # Wrong qos_overrides, for example.
            self.get_logger().fatal(f'cannot open the topics: {error}')
            self._close_topics()
            return FAILURE
        self._worker = Worker(self._slots, self._work, self._on_worker_error)
        self._worker.start()
        self._state = 'active'
        self._on_listen()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the worker, publish empty arrays and DELETEALL, close the topics."""
        self._close_topics()
        self._state = 'inactive'
        return ERROR if self._dead else super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the networks and the GPU."""
        self._free()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state: close the topics and free everything."""
        self._close_topics()
        self._free()
        self._state = 'finalized'
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, from where the node can be configured again."""
        self._close_topics()
        self._free()
        return SUCCESS

    def _close_topics(self) -> None:
        worker, self._worker = self._worker, None
        for stream in self._streams.values():
            stream.close()
        if worker is not None and not worker.stop(STOP_PATIENCE):
            self.get_logger().warning('the frame in work did not end in time and is abandoned')
        for outputs in self._outputs.values():
            outputs.close()
        self._streams, self._outputs = {}, {}

    def _free(self) -> None:
        engine, self._engine = self._engine, None
        self._state = 'unconfigured'
        if engine is not None:
            engine.close()

    def end(self) -> None:
        """Close and free everything, from whatever state, and take the node off the graph."""
        if self._state == 'active':
            self.trigger_deactivate()
        self._close_topics()
        self._free()
        self.destroy_node()

    # Worker thread

    def _work(self, items: dict) -> None:
        """One tick: the newest image of every camera that has a new one, as one batch."""
        received: list[Received] = []
        for name, item in items.items():
            stream = self._streams.get(name)
            if stream is None:
                continue
            try:
                one = stream.unpack(item, self.options)
            except Exception as error:
                kind = '' if isinstance(error, ImageError) else f'{type(error).__name__}: '
                self._fault(name, f'image ignored: {kind}{error}')
                continue
            if one.time_went_back:
                self._quiet_log.info(
                    f'{name}: time went back, tracking starts again'.lstrip(': '))
            received.append(one)
        if not received:
            return
        begin = time.monotonic()
        results = self._engine.process([one.frame for one in received])
        inference = time.monotonic() - begin
        for one, hands in zip(received, results):
            try:
                if isinstance(hands, Exception):
                    raise hands
                self._publish(one, hands, inference)
            except Exception as error:
                if not self._slots.closed:
                    self._fault(one.frame.key, f'image ignored: {type(error).__name__}: {error}')

    def _publish(self, received: Received, hands: Hands, inference: float) -> None:
        name, header = received.frame.key, received.header
        outputs, stream = self._outputs.get(name), self._streams.get(name)
        if outputs is None or stream is None or self._slots.closed:
            return
        outputs.publish(hands, header, received.frame, self.options)
        self._calibration.observe(hands)
        stamp = seconds(header.stamp)
        now = 1e-9 * self.get_clock().now().nanoseconds
        stream.log.result(now - stamp if stamp > 0 else inference, inference, len(hands))

    def _on_worker_error(self, error: Exception) -> None:
        if not isinstance(error, DeviceError):
            self._quiet_log.warning(f'images lost: {type(error).__name__}: {error}')
            return
        self._dead = f'{type(error).__name__}: {error}'
        self.get_logger().error(f'no more images are processed: {self._dead}')

    def _fault(self, name: str, text: str) -> None:
        stream = self._streams.get(name)
        if stream is not None:
            stream.log.fault(text)
        self._quiet_log.warning(f'{name}: {text}' if name else text)

    # Timers, parameters, services

    def _on_listen(self) -> None:
        """Lazy: have the image topic only while somebody reads what comes of it."""
        if self._dead and self._state == 'active':
            self.trigger_deactivate()
            return
        for name, stream in list(self._streams.items()):
            observed = not self.options.lazy or self._outputs[name].observed(self.options)
            stream.listen(observed and not self._paused)

    def _on_diagnostics(self) -> None:
        now = time.monotonic()
        engine = self._engine.current if self._engine is not None else None
        reports = {}
        for name in self.options.cameras or ('',):
            stream = self._streams.get(name)
            summary = stream.log.summary(now) if stream else diagnostics.Summary(period=1.0)
            reports[name] = summary, diagnostics.State(
                lifecycle=self._state, paused=self._paused,
                sleeping=stream is not None and not stream.listening,
                device=engine.device if engine else '',
                memory_bytes=engine.memory_bytes() if engine else 0,
                camera_info=stream.camera_state if stream else 'none',
                dead=self._dead, warnings=self._warnings(),
            )
        self._diagnostics.publish(diagnostics.to_message(
            self.get_clock().now().to_msg(), self.get_fully_qualified_name().lstrip('/'),
            reports, self.options,
        ))

    def _warnings(self) -> tuple[str, ...]:
        own = self.get_fully_qualified_name()
        same = sum(
            f'{space.rstrip("/")}/{name}' == own for name, space in
            self.get_node_names_and_namespaces()
        )
        return (f'{same} nodes have the name {own}',) if same > 1 else ()

    def _on_parameters(self, changes: list) -> object:
        options, result = parameters.changed(self.options, changes)
        if result.successful and options != self.options:
            try:
                if self._engine is not None:
                    self._engine.update(options)
            except ValueError as error:
                result.successful, result.reason = False, str(error)
                return result
            self.options = options
        return result

    def _on_enable(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        self._paused = not request.data
        self._slots.clear()
        self._on_listen()
        response.success = True
        response.message = 'paused' if self._paused else 'running'
        return response

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._engine is not None
        if self._engine is not None:
            self._engine.current.reset()
            self._calibration.forget()
        response.message = 'tracking starts again' if response.success else 'not configured'
        return response
