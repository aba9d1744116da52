"""Plays a source as a camera would: images and camera_info at its own rate, whoever listens.

`python -m hiu_ros.ros.source_node --ros-args -p source:=clip.mp4 -p loop:=true`. Stamps are the
time of publishing; images are sensor data, best effort.
"""

import signal
import sys

from hiu_ros.ros.process import (
    PATIENCE,
    ROSArgumentsError,
    end_with_command,
    ending_signals,
    initialise,
    leave,
    leave_after,
    refuse_others,
)


def _leave(number: int, frame: object) -> None:
    """While imports run nothing is open yet, and an exception might become another one."""
    leave(0)


def _on_signal(number: int, frame: object) -> None:
    """The first one ends the node; a launch sends more, and they must not hit its end."""
    for one in ending_signals():
        signal.signal(one, signal.SIG_IGN)
    # The middleware may hang over a node that was broken off.
    leave_after(PATIENCE, 0)
    raise KeyboardInterrupt


def main() -> int:
    """0 at the end of the source or a signal, 1 where there is no source."""
    # Shells start what runs in the background with SIGINT ignored.
    for number in ending_signals():
        signal.signal(number, _leave)
    end_with_command()
    import rclpy
    from rclpy.exceptions import InvalidParameterTypeException
    from rclpy.executors import ExternalShutdownException

    from hiu_ros.perception.picture_source import SourceError
    from hiu_ros.ros.playing_node import SourceNode

    try:
        for number in ending_signals():
            signal.signal(number, _on_signal)
        initialise()
        refuse_others()
        SourceNode().play()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (SourceError, OSError, ROSArgumentsError, InvalidParameterTypeException) as error:
        print(f'source: {error}', file=sys.stderr)
        return 1
    finally:
        if rclpy.ok():
            rclpy.shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
