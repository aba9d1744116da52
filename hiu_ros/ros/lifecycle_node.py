"""`HiuNode`, the lifecycle node that turns camera images into hands; see node.py for its topics.

The node only wires: what it does while active is session.py.
"""

import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from hiu_ros.ros import diagnostics, parameters, topics
from hiu_ros.ros.calibration import Calibration
from hiu_ros.ros.engine import DeviceError, Engine, PipelineEngine
from hiu_ros.ros.lasting_engine import LastingEngine
from hiu_ros.ros.quiet_log import STANDING_PERIOD, QuietLog
from hiu_ros.ros.session import Session
from hiu_ros.ros.slot import Worker
from hiu_ros.ros.stream import Stream
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
        try:
            self.options = parameters.declare(self)
        except parameters.ParameterError:
            self.destroy_node()
            raise
        # rclpy has no public way to what was given for parameters that are not declared.
        for words in parameters.misspelt(getattr(self, '_parameter_overrides', ())):
            self.get_logger().warning(words)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._factory = engine_factory
        self._engine: LastingEngine | None = None
        self._session: Session | None = None
        self._abandoned: Worker | None = None
        self._state = 'unconfigured'
        self.loading = False  #: whether it is being configured, which a signal may break off
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

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the weights and warm up; FAILURE with one clear line where that cannot be done."""
        self._dead = ''
        self.loading = True
        try:
            self._engine = LastingEngine(
                self._factory, self.options, self.get_logger().warning)
        except Exception as error:
            self._dead = f'cannot start: {error}'
            self.get_logger().fatal(self._dead)
            return FAILURE
        finally:
            self.loading = False
        self._state = 'inactive'
        engine = self._engine.current
        self.get_logger().info(f'{engine.model} on {engine.device}')
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the topics and start the worker; FAILURE where a topic cannot be opened."""
        self._dead = ''
        self._session = Session(
            self, lambda: self.options, self._engine, self._transforms, self._calibration,
            self._quiet_log, self._on_device_error, self._abandoned,
        )
        try:
            self._session.open()
        except Exception as error:
            # Wrong qos_overrides, for example.
            self._dead = f'cannot open the topics: {error}'
            self.get_logger().fatal(self._dead)
            self._close_topics()
            return FAILURE
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
        self._dead = ''
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
        session, self._session = self._session, None
        if session is not None and not session.close(STOP_PATIENCE):
            self.get_logger().warning('the frame in work did not end in time and is abandoned')
            self._abandoned = session.worker

    def _free(self) -> None:
        engine, self._engine = self._engine, None
        self._abandoned = None
        self._state = 'unconfigured'
        # Ids begin at 1 again: the same name is then another hand's.
        self._calibration.forget()
        if engine is not None:
            engine.close()

    def end(self) -> None:
        """Close and free everything, from whatever state, and take the node off the graph."""
        if self._state == 'active':
            self.trigger_deactivate()
        self._close_topics()
        self._free()
        self.destroy_node()

    def destroy_node(self) -> None:
        """Take the node off the graph."""
        super().destroy_node()
        # rclpy leaves it, and it holds the node: the middleware's shared memory would stay behind
        # a process that then ends at once.
        self._state_machine.destroy_when_not_in_use()

    def _on_device_error(self, error: DeviceError) -> None:
        self._dead = f'{type(error).__name__}: {error}'
        self.get_logger().error(f'no more images are processed: {self._dead}')

    # Timers, parameters, services

    def _on_listen(self) -> None:
        if self._dead and self._state == 'active':
            self.trigger_deactivate()
        elif self._session is not None:
            self._session.listen(self._paused)

    def _on_diagnostics(self) -> None:
        now = time.monotonic()
        engine = self._engine.current if self._engine is not None else None
        streams = self._session.streams if self._session is not None else {}
        reports = {}
        for name in self.options.cameras or ('',):
            stream = streams.get(name)
            summary = stream.log.summary(now) if stream else diagnostics.Summary(period=1.0)
            silence = ''
            if stream is not None and summary.silence >= self.options.warn_silence:
                silence = stream.silence
            if silence and summary.silence >= self.options.error_silence:
                self._quiet_log.warning(
                    f'{name}: no image: {silence}'.lstrip(': '), STANDING_PERIOD)
            reports[name] = summary, diagnostics.State(
                lifecycle=self._state, paused=self._paused,
                sleeping=stream is not None and not stream.listening,
                device=engine.device if engine else '',
                memory_bytes=engine.memory_bytes() if engine else 0,
                camera_info=stream.camera_state if stream else 'none',
                depth=stream.depth_state if stream else 'off',
                depth_fault=stream.depth_fault if stream else '',
                silence=silence, dead=self._dead, warnings=self._warnings(stream),
            )
        self._diagnostics.publish(diagnostics.to_message(
            self.get_clock().now().to_msg(), self.get_fully_qualified_name().lstrip('/'),
            reports, self.options,
        ))

    def _warnings(self, stream: Stream | None) -> tuple[str, ...]:
        own = self.get_fully_qualified_name()
        same = sum(
            f'{space.rstrip("/")}/{name}' == own for name, space in
            self.get_node_names_and_namespaces()
        )
        found = [f'{same} nodes have the name {own}'] if same > 1 else []
        clock = self.get_clock()
        if clock.ros_time_is_active and clock.now().nanoseconds == 0:
            found.append('use_sim_time is true and nothing came on /clock: ros2 bag play --clock')
        if stream is not None:
            found += filter(None, (stream.rivals, stream.region_fault(self.options)))
        return tuple(found)

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
        if self._paused and self._session is not None:
            self._session.pause()
        self._on_listen()
        response.success = True
        response.message = 'paused' if self._paused else 'running'
        if self._state != 'active':
            response.message += f' once the node is active; it is {self._state}'
        return response

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._engine is not None
        if self._engine is not None:
            self._engine.current.reset()
            self._calibration.forget()
        response.message = 'tracking starts again' if response.success else 'not configured'
        return response
