"""The topics of the node: names, types and quality of service, in one place.

Names are relative; with named cameras they stand below the camera's name. Every publisher and
subscription takes `qos_overrides` parameters, and says what to do where a peer's quality of
service does not fit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from geometry_msgs.msg import PoseStamped
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import (
    CameraInfo,
    CompressedImage,
    Image,
    JointState,
    PointCloud2,
    RegionOfInterest,
)
from visualization_msgs.msg import MarkerArray

from hiu_ros.msg import HandKeypointsArray, HandMaskArray, HandMeshArray, HandTopology
from hiu_ros.ros.parameters import ParameterError

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

IMAGE, CAMERA_INFO, DEPTH, REGIONS = 'image', 'camera_info', 'depth', 'regions'
INPUTS: Final = {IMAGE: Image, CAMERA_INFO: CameraInfo, DEPTH: Image, REGIONS: RegionOfInterest}

#: Input topic -> what image_transport puts behind its name where it is compressed.
COMPRESSED: Final = {IMAGE: '/compressed', DEPTH: '/compressedDepth'}

#: Output topic -> message type.
OUTPUTS: Final = {
    'hands': HandKeypointsArray,
    'masks': HandMaskArray,
    'labels': Image,
    'meshes': HandMeshArray,
    'topology': HandTopology,
    'markers': MarkerArray,
    'annotated': Image,
    'points': PointCloud2,
    'hand_joint_states': JointState,
    'wrist_pose/left': PoseStamped,
    'wrist_pose/right': PoseStamped,
}
#: Published once and kept for who comes later.
LATCHED: Final = ('topology',)

#: Every topic takes these as `qos_overrides` parameters.
OVERRIDES: Final = QoSOverridingOptions((
    QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
))


@contextmanager
def overridable(topic: str, end: str) -> Iterator[None]:
    """Turns errors of opening a resolved topic, wrong `qos_overrides` above all, into
    ParameterError.

    end: 'publisher' or 'subscription'. What rclpy says neither names the parameter nor what is
    allowed; some of it comes from the middleware, so it cannot be told from other faults.
    """
    try:
        yield
    except (RuntimeError, AssertionError, TypeError, ValueError, ParameterException) as error:
        raise ParameterError(
            f'{topic}: {error}; of qos_overrides.{topic}.{end}, reliability is reliable or '
            'best_effort, durability volatile or transient_local, history keep_last or keep_all, '
            'depth a whole number from 0 on') from error


def fixed_publisher(node: Node, kind: type, topic: str, depth: int) -> Publisher:
    """A reliable publisher of an absolute topic that all nodes share, such as /tf.

    Raises ParameterError where it cannot be opened.
    """
    with overridable(node.resolve_topic_name(topic), 'publisher'):
        return node.create_publisher(
            kind, topic, QoSProfile(depth=depth), qos_overriding_options=OVERRIDES)


def _forget_destroyed(node: Node) -> None:
    """Drop what rclpy keeps of every end that was ever opened: a weak reference, for ever.

    A lazy node opens its inputs whenever somebody comes to read: a kilobyte each time.
    """
    held = node.default_callback_group.entities
    held.difference_update([end for end in held if end() is None])


def below(camera: str, topic: str) -> str:
    """The relative name of a topic of a camera; the camera without a name adds nothing."""
    return f'{camera}/{topic}' if camera else topic


def publisher(node: Node, camera: str, topic: str) -> Publisher:
    """A publisher of OUTPUTS: reliable, depth 10, or latched with depth 1.

    Raises ParameterError where it cannot be opened.
    """
    _forget_destroyed(node)
    latched = topic in LATCHED
    qos = QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=1 if latched else 10,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
    name = below(camera, topic)
    resolved = node.resolve_topic_name(name)

    def incompatible(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        node.get_logger().warning(
            f'a subscriber of {resolved} asks for a {policy} that this topic does not offer and '
            f'gets nothing: let it ask for less, or set the parameter '
            f'qos_overrides.{resolved}.publisher.{policy.lower()}'
        )

    with overridable(resolved, 'publisher'):
        return node.create_publisher(
            OUTPUTS[topic], name, qos, qos_overriding_options=OVERRIDES,
            event_callbacks=PublisherEventCallbacks(incompatible_qos=incompatible),
        )


def subscription(
    node: Node, camera: str, topic: str, callback: Callable, compressed: bool = False
) -> Subscription:
    """A subscription of INPUTS: best effort, so that it hears every publisher; depth 1.

    Images come serialised (`raw`): those that a newer one replaces are then never unpacked.
    With `compressed` the topic's own name, remapped or not, gets the ending of COMPRESSED behind
    it where it has none.
    Raises ParameterError where it cannot be opened.
    """
    _forget_destroyed(node)
    qos = QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.VOLATILE,
    )
    name = below(camera, topic)
    kind = INPUTS[topic]
    if compressed:
        ending = COMPRESSED[topic]
        name = node.resolve_topic_name(name).removesuffix(ending) + ending
        kind = CompressedImage
    resolved = node.resolve_topic_name(name)

    def incompatible(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        node.get_logger().warning(
            f'a publisher of {resolved} offers a {policy} that does not fit, nothing is received '
            f'from it: set the parameter qos_overrides.{resolved}.subscription.{policy.lower()} '
            'to what it offers'
        )

    with overridable(resolved, 'subscription'):
        return node.create_subscription(
            kind, name, callback, qos, raw=topic == IMAGE, qos_overriding_options=OVERRIDES,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=incompatible),
        )


def rivals(node: Node, subscription: Subscription) -> str:
    """Who publishes a topic that one alone should, in words; empty where there is one at most."""
    topic = subscription.topic_name
    names = sorted(f'{end.node_namespace.rstrip("/")}/{end.node_name}'
                   for end in node.get_publishers_info_by_topic(topic))
    return '' if len(names) < 2 else (
        f'{len(names)} publish {topic}, whose hands are then confused: {", ".join(names)}')


def silence(node: Node, subscription: Subscription) -> str:
    """What the graph tells of a subscription to which nothing comes, in words."""
    topic, kind = subscription.topic_name, subscription.msg_type
    expected = f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'
    publishers = node.get_publishers_info_by_topic(topic)
    offered = sorted({end.topic_type for end in publishers})
    if not offered:
        return f'nobody publishes {topic}'
    if expected in offered:
        latched = any(end.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
                      for end in publishers)
        policies = f'qos_overrides.{topic}.subscription'
        lossy = kind is Image and (
            subscription.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT)
        return f'the publisher of {topic} sends none' + (
            ', or they are lost on their way, as those of more than half a megabyte may be: '
            'docs/ros.md, Large images' if lossy else '') + (
            f'; what it sent before is kept for readers with {policies}.durability '
            f'transient_local and {policies}.reliability reliable' if latched else '')
    cure = ''
    if kind is Image and offered == ['sensor_msgs/msg/CompressedImage']:
        # Of the two only the colour image comes raw, see `subscription`.
        of = IMAGE if subscription.raw else DEPTH
        cure = (f'; the parameter {"compressed" if of == IMAGE else "compressed_depth"} makes the '
                f'node read <{of}>{COMPRESSED[of]}')
    return f'{topic} carries {", ".join(offered)}, expected {expected}{cure}'
