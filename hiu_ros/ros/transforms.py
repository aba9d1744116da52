"""TF, where tf2_msgs is installed. tf2_ros, which adds nothing to sending, is not needed."""

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node

from hiu_ros.ros.topics import fixed_publisher


class TransformSender:
    """Broadcasts transforms of a node; says once, in the log, where it cannot.

    As tf2_ros broadcasts: on /tf, which robots with a namespace remap, reliable, depth 100. Takes
    `qos_overrides` parameters like every other topic; raises ParameterError for wrong ones.
    """

    def __init__(self, node: Node) -> None:
        self._node, self._publisher, self._told = node, None, False
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            node.get_logger().info('no TF: tf2_msgs is not installed')
            return
        self._message = TFMessage
        self._publisher = fixed_publisher(node, TFMessage, '/tf', depth=100)

    @property
    def available(self) -> bool:
        """Whether transforms can be sent at all."""
        return self._publisher is not None

    def wanted(self) -> bool:
        """Whether anybody listens to TF."""
        return self._publisher is not None and self._publisher.get_subscription_count() > 0

    def send(self, transforms: list[TransformStamped]) -> None:
        """Broadcast those that have a parent: every listener of TF calls another one an error."""
        placed = [one for one in transforms if one.header.frame_id.strip('/')]
        if placed and self._publisher is not None:
            self._publisher.publish(self._message(transforms=placed))
        if len(placed) < len(transforms) and not self._told:
            self._told = True
            self._node.get_logger().warning(
                'no TF of images whose header has an empty frame_id: set it at the camera')
