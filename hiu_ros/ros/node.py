"""The hand node: `ros2 run hiu_ros hiu_node` or `python -m hiu_ros.ros.node`.

Subscribes (relative names; below `<camera>/` with named cameras):
    image (sensor_msgs/Image, or image/compressed), camera_info,
    depth (sensor_msgs/Image, or depth/compressedDepth), regions
Publishes:
    hands, masks, labels, meshes, topology (latched), markers, annotated, points,
    hand_joint_states, wrist_pose/left, wrist_pose/right; /tf; /diagnostics at 1 Hz
Services:
    ~/enable (std_srvs/SetBool): pause and resume. ~/reset_tracking (std_srvs/Trigger)
    ~/calibrate_hand_size (hiu_ros/CalibrateHandSize)
"""

from collections.abc import Callable
from typing import Any

from hiu_ros.brief_waits import wait_briefly
from hiu_ros.ros.process import run


def load() -> Callable[[], Any]:
    """The node's class; imported here, so that a signal finds its handler while imports run."""
    from hiu_ros.ros.lifecycle_node import HiuNode

    return HiuNode


def main(arguments: list[str] | None = None) -> int:
    """Run the node until it is asked to end; gives the exit code."""
    wait_briefly()
    return run(load, arguments)


if __name__ == '__main__':
    raise SystemExit(main())
