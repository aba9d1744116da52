"""Commands that start nodes in processes of their own, and end them however the command ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ament_index_python.packages import get_package_share_directory

from hiu_ros.command_errors import in_words
from hiu_ros.perception.picture_source import SourceError
from hiu_ros.ros.launch_values import profiles_variable
from hiu_ros.ros.player import NodeEnded
from hiu_ros.ros.process import COMMAND, ROSArgumentsError, check_domain, ending_signals

#: How long a process may take to end before it is killed, s.
PATIENCE = 15.0


def environment() -> dict[str, str]:
    """Where nodes and command meet: this machine, a domain of their own, with room for images."""
    result = dict(os.environ)
    result.setdefault('ROS_DOMAIN_ID', str(10 + os.getpid() % 90))
    result.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    profile = Path(get_package_share_directory('hiu_ros')) / 'config' / 'fastdds.xml'
    result.setdefault(profiles_variable(), str(profile))
    return result


def start(command: Sequence[str]) -> subprocess.Popen:
    """A process in a session of its own: Ctrl-C ends the command, which ends it.

    Of a command that is killed it learns by `process.end_with_command`.
    """
    return subprocess.Popen(command, start_new_session=True,
                            env={**os.environ, COMMAND: str(os.getpid())})


def end(processes: Sequence[subprocess.Popen]) -> int:
    """End what still runs, the last one first; the first one's exit code."""
    for process in reversed(processes):
        if process.poll() is None:
            # At SIGINT one that still imports would leave a traceback behind the reason told.
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    return processes[0].returncode if processes else 0


def run_with_children(
    name: str, run: Callable[[list[subprocess.Popen]], int],
    errors: tuple[type[Exception], ...] = (),
) -> int:
    """Exit code of a command; it adds the processes that it starts to the list it is given.

    SourceError, NodeEnded, ROSArgumentsError, OSError and `errors` become one line and exit code
    1, Ctrl-C, SIGTERM and a closed terminal become 130.
    """
    os.environ.update(environment())
    processes: list[subprocess.Popen] = []
    numbers = ending_signals()[1:]  # SIGINT is Python's own
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    try:
        check_domain()
        return run(processes)
    except KeyboardInterrupt:
        return 130
    except (SourceError, NodeEnded, ROSArgumentsError, OSError, *errors) as error:
        print(f'{name}: {in_words(error)}', file=sys.stderr)
        return 1
    finally:
        # A second Ctrl-C must not leave behind what the first one is ending.
        for number in (signal.SIGINT, *numbers):
            signal.signal(number, signal.SIG_IGN)
        end(processes)
        for number in (signal.SIGINT, *numbers):
            signal.signal(number, signal.default_int_handler)
