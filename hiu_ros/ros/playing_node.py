"""The node of source_node.py: publishes the pictures of a source, each at its time."""

import time

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from hiu_ros.perception.picture_source import Picture, SourceError
from hiu_ros.ros import messages
from hiu_ros.ros.sources import open_source


class SourceNode(Node):
    """Publishes `image`, and `camera_info` where the source knows it."""

    def __init__(self) -> None:
        super().__init__('source')
        # A camera's number comes as an integer.
        either = ParameterDescriptor(dynamic_typing=True)
        self.what = str(self.declare_parameter('source', '', either).value)
        self.loop = self.declare_parameter('loop', True).value
        self.frame_id = self.declare_parameter('frame_id', 'camera_optical_frame').value
        self._image = self.create_publisher(Image, 'image', qos_profile_sensor_data)
        self._info = self.create_publisher(CameraInfo, 'camera_info', qos_profile_sensor_data)

    def play(self) -> None:
        """Until the source ends, or for ever with `loop`; SourceError where there is none."""
        if not self.what:
            raise SourceError('the parameter `source` is empty; expected a video file, a camera '
                              'number, a folder of images or a bag')
        told = False
        while rclpy.ok():
            source = open_source(self.what)
            begin, picture = time.monotonic(), None
            for picture in source.pictures:
                if not source.live:
                    time.sleep(max(0.0, begin + picture.time - time.monotonic()))
                if not rclpy.ok():
                    return
                self._listen()
                self._publish(picture)
            if picture is None:
                raise SourceError(f'{source.name} has no pictures'
                                  + (f': {source.skipped}' if source.skipped else ''))
            if source.skipped and not told:
                self.get_logger().warning(source.skipped)
                told = True
            if not self.loop or source.live:
                return
            # The last picture stands as long as the others, or a single one would flood the graph.
            time.sleep(max(0.0, begin + picture.time + 1 / source.rate - time.monotonic()))

    def _listen(self) -> None:
        """Hear /clock, or answer who asks for parameters."""
        rclpy.spin_once(self, timeout_sec=0)

    def _publish(self, picture: Picture) -> None:
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self.frame_id)
        if picture.info is not None:
            self._info.publish(messages.camera_info(header, picture.info))
        self._image.publish(messages.image(header, picture.image, 'bgr8'))
