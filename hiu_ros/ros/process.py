"""The life of the node's process: start, spin, and an orderly end at SIGINT, SIGTERM and SIGHUP.

Python runs signal handlers between bytecodes of the main thread, which here mostly waits inside
the middleware. So a pipe (signal.set_wakeup_fd) wakes a small thread, and that one wakes the
executor; the node then closes its topics, while they still work, and the process ends with 0.

This module imports nothing but the standard library: its handlers stand before the slow imports.
"""

import ctypes
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

#: An end that takes longer is cut short, s.
PATIENCE = 2.0
#: Higher domains have no ports in DDS (DDSI-RTPS, 9.6.1).
LAST_DOMAIN = 232


#: Environment variable with the number of the command that started the process and must not be
#: outlived, and what asks Linux to end it with that (prctl(2)).
COMMAND = 'HIU_COMMAND'
_SIGNAL_OF_PARENT = 1
#: How ROS arguments are written, for errors of those that are not.
_WRITTEN = '--ros-args -p name:=value -r from:=to --params-file FILE'
#: A signal where a start cannot be broken off comes again so much later, s.
_AGAIN = 0.05


class _Stopped(BaseException):
    """A signal came while the node was still starting."""


def _importing(name: str) -> bool:
    """Whether the import of the module is under way. That of torch goes through C++ that ends the
    process over an exception of Python."""
    specification = getattr(sys.modules.get(name), '__spec__', None)
    return getattr(specification, '_initializing', False)


class ROSArgumentsError(ValueError):
    """What stands before or behind --ros-args, in a parameters file named there or in the
    environment's variables cannot be."""


def ending_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask to end: also a terminal's that is closed, unless nohup ignores that."""
    closed = () if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (signal.SIGHUP,)
    return signal.SIGINT, signal.SIGTERM, *closed


class Stop:
    """`ending_signals`: end at once, behind the making of the node, break off the start, or end
    the spinning, by `phase`. The networks' loading is broken off whoever asked for it, and of a
    start nothing else."""

    def __init__(self) -> None:
        self.asked = False
        self.phase = 'importing'  #: then 'making', 'starting', 'spinning', 'ending'
        self.wake: Callable[[], None] = lambda: None
        #: Whether networks are being loaded; until it is known, every moment of a start counts.
        self.loading: Callable[[], bool] = lambda: True
        self._broken_off = False
        if threading.current_thread() is not threading.main_thread():
            return
        receive, send = os.pipe()
        os.set_blocking(send, False)
        for number in ending_signals():
            signal.signal(number, self._on_signal)
        signal.set_wakeup_fd(send, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(receive,), daemon=True).start()

    def _on_signal(self, number: int, frame: object) -> None:
        self.asked = True
        if self.phase == 'importing':
            leave(0)
        start = self.phase == 'starting' or self.phase == 'spinning' and self.loading()
        # Not by `asked`, which _watch may have set before: this waits for the end of a long call.
        if start and not self._broken_off:
            # rclpy cannot close a topic whose opening was broken off.
            if not self.loading() or _importing('torch'):
                again = threading.Timer(_AGAIN, os.kill, (os.getpid(), number))
                again.daemon = True
                again.start()
                return
            self._broken_off = True
            raise _Stopped

    def _watch(self, receive: int) -> None:
        if os.read(receive, 1):
            leave_after(PATIENCE, 0)
            self.asked = True
            self.wake()


def end_with_command() -> None:
    """End the process, by SIGTERM, when the command that `COMMAND` names ends; at once where it
    has. So nothing is left of a command that was killed. On Linux alone."""
    command = os.environ.get(COMMAND)
    if not command or not sys.platform.startswith('linux'):
        return
    ctypes.CDLL(None).prctl(_SIGNAL_OF_PARENT, signal.SIGTERM)
    if str(os.getppid()) != command:
        leave(0)


def how_ended(code: int) -> str:
    """What a process's exit code tells of its end, behind its name: it has no log of a signal."""
    if code >= 0:
        return f'ended with {code}; its log tells why'
    hint = ', as the system does where memory runs out' if code == -signal.SIGKILL else ''
    return f'was ended by signal {-code} ({signal.strsignal(-code)}){hint}'


def leave(code: int) -> None:
    """End the process now, whatever its threads do and though its output cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as where it was started with that closed
            with suppress(OSError):
                stream.flush()
    os._exit(code)


def leave_after(seconds: float, code: int) -> None:
    """End the process then, should it not have ended by itself."""
    timer = threading.Timer(seconds, lambda: leave(code))
    timer.daemon = True
    timer.start()


def check_domain() -> None:
    """ROSArgumentsError for a ROS_DOMAIN_ID that is no number, or one that DDS has no ports for,
    over which its libraries end the process."""
    import rclpy

    domain = os.environ.get('ROS_DOMAIN_ID', '')
    number = re.match(r'\s*[+-]?\d+', domain)
    zenoh = 'zenoh' in rclpy.get_rmw_implementation_identifier()
    if domain and not number or number and int(number[0]) > LAST_DOMAIN and not zenoh:
        raise ROSArgumentsError(f'ROS_DOMAIN_ID is {domain!r}, expected a number from 0 to '
                                f'{LAST_DOMAIN}')


def initialise(arguments: list[str] | None = None, context: Any = None) -> None:
    """rclpy.init without its signal handlers; ROSArgumentsError for arguments that ROS refuses.

    arguments: None for those of the process; context: None for the default one.
    """
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    check_domain()
    try:
        rclpy.init(args=arguments, context=context,
                   signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        # Unknown ones come as their list alone; some texts of rcl have several lines.
        text = ' '.join(str(error).split())
        if 'logging' in text:
            raise ROSArgumentsError(
                f'{text}; set ROS_LOG_DIR to a folder that can be written') from None
        cure = '' if 'params file' in text else f'; they are written {_WRITTEN}'
        raise ROSArgumentsError(f'ROS arguments: {text}{cure}') from None


def refuse_others() -> None:
    """ROSArgumentsError for arguments of the process outside of --ros-args, which ROS would pass
    over."""
    from rclpy.utilities import remove_ros_args

    if others := remove_ros_args(sys.argv[1:]):
        raise ROSArgumentsError(f'arguments {others} stand outside of --ros-args and would do '
                                f'nothing; write {_WRITTEN}')


def run(load: Callable[[], Callable[[], Any]], arguments: list[str] | None = None) -> int:
    """Make the node by what `load` imports, start it where its `autostart` says so, spin until
    asked to end.

    0: ended as asked. 1: could not start; one line in the log says why. So, too, with a traceback
    but in good order, where a callback raises what none expects.
    """
    stop = Stop()
    end_with_command()
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.lifecycle import TransitionCallbackReturn
    from rclpy.task import Future

    from hiu_ros.ros.parameters import ParameterError

    node, code, asked = None, 0, Future()
    try:
        initialise(arguments)
        if arguments is None:
            refuse_others()
        executor = SingleThreadedExecutor()
        make_node = load()
        stop.phase = 'making'
        node = make_node()
        stop.loading = lambda: node.loading
        stop.phase = 'starting'
        if stop.asked:
            raise _Stopped
        executor.add_node(node)
        if node.options.autostart:
            started = (
                node.trigger_configure() == TransitionCallbackReturn.SUCCESS
                and node.trigger_activate() == TransitionCallbackReturn.SUCCESS
            )
            code = 0 if started else 1
        stop.wake = lambda: asked.done() or asked.set_result(None)
        stop.phase = 'spinning'
        if code == 0 and not stop.asked:
            executor.spin_until_future_complete(asked)
    except (_Stopped, ExternalShutdownException):
        pass
    except (ParameterError, ROSArgumentsError) as error:
        rclpy.logging.get_logger('hiu_node').fatal(f'cannot start: {error}')
        code = 1
    except Exception:
        # A signal that hits an import shows up as that import's error.
        if not stop.asked:
            traceback.print_exc()
            code = 1
    stop.phase = 'ending'
    if code:
        # The middleware may hang over a node that was broken off.
        leave_after(PATIENCE, code)
    if node is not None and rclpy.ok():
        node.end()
    if rclpy.ok():
        rclpy.shutdown()
    if stop.asked or code:
        # All is closed; a kernel that the worker left behind must not crash the interpreter's end,
        # nor the middleware hang in it.
        leave(0 if stop.asked else code)
    return code
