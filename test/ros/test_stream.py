"""One camera's input: what is told of its camera_info."""

import math

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from hiu_ros.ros.parameters import NodeOptions  # noqa: E402
from hiu_ros.ros.quiet_log import QuietLog  # noqa: E402
from hiu_ros.ros.slot import Slots  # noqa: E402
from hiu_ros.ros.stream import Stream  # noqa: E402

OPTIONS = NodeOptions()


class Lines(list):
    """A logger that keeps its lines."""

    warning = info = list.append


def info(focal=125.0):
    k = [focal, 0.0, 80.0, 0.0, focal, 60.0, 0.0, 0.0, 1.0]
    return CameraInfo(width=160, height=120, k=k, d=[0.0] * 5, distortion_model='plumb_bob')


def image(width, height):
    data = np.zeros((height, width), np.uint8).tobytes()
    message = Image(width=width, height=height, encoding='mono8', step=width, data=data)
    return serialize_message(message), 0.0


@pytest.fixture
def stream():
    return Stream(None, '', OPTIONS, Slots(), QuietLog(Lines()))


def test_a_camera_info_refused_for_every_image_is_never_told_as_used(stream):
    assert stream.camera_state == 'none'
    stream._on_info(info())
    for _ in range(3):
        assert stream.unpack(image(80, 60), OPTIONS).frame.camera is None
        stream._on_info(info())
        assert '160 x 120' in stream.camera_state
    assert stream.unpack(image(160, 120), OPTIONS).frame.camera is not None
    assert stream.camera_state == 'used'


def test_a_camera_info_that_is_no_camera_is_told_until_a_good_one_comes(stream):
    stream._on_info(info(math.nan))
    assert stream.unpack(image(160, 120), OPTIONS).frame.camera is None
    assert 'not finite' in stream.camera_state
    stream._on_info(info())
    assert stream.camera_state == 'used'
