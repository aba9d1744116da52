"""TF, by tf2_ros where it is installed, by tf2_msgs where only that is, else not at all."""

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile


class TransformSender:
    """Broadcasts transforms of a node; says once, in the log, where it cannot."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._broadcaster = self._publisher = None
        try:
            from tf2_ros import TransformBroadcaster

            self._broadcaster = TransformBroadcaster(node)
        except ImportError:
            try:
                from tf2_msgs.msg import TFMessage

                self._message = TFMessage
                self._publisher = node.create_publisher(TFMessage, '/tf', QoSProfile(depth=100))
            except ImportError:
                node.get_logger().info('no TF: neither tf2_ros nor tf2_msgs is installed')

    @property
    def available(self) -> bool:
        """Whether transforms can be sent at all."""
        return self._broadcaster is not None or self._publisher is not None

    def wanted(self) -> bool:
        """Whether anybody listens to TF."""
        # Counting does not follow remappings by itself, and robots with a namespace remap TF.
        return self.available and self._node.count_subscribers(
            self._node.resolve_topic_name('/tf')) > 0

    def send(self, transforms: list[TransformStamped]) -> None:
        """Broadcast; nothing happens for an empty list."""
        if not transforms:
            return
        if self._broadcaster is not None:
            self._broadcaster.sendTransform(transforms)
        elif self._publisher is not None:
            self._publisher.publish(self._message(transforms=transforms))
