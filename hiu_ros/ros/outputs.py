"""One camera's output: publishers, and messages that are built only where somebody listens."""

import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Header

from hiu_ros.perception.frame import Frame
from hiu_ros.perception.result import Hands
from hiu_ros.ros import controllers, messages, topics
from hiu_ros.ros.engine import Engine
from hiu_ros.ros.markers import HandMarkers
from hiu_ros.ros.parameters import NodeOptions
from hiu_ros.ros.transforms import TransformSender

#: How long a farewell waits for its readers, s.
FAREWELL = 0.3
#: How long hands are of unknown distance before readers of their poses are told the cure, s: the
#: first images of a session often come before their camera_info.
UNPLACED = 1.0


class Limit:
    """Lets something happen at most at a rate, counted in wall time."""

    def __init__(self) -> None:
        self._last = -np.inf

    def __call__(self, rate: float) -> bool:
        """True where it may happen now; a rate of 0 always lets it."""
        now = time.monotonic()
        # A little early is better than a whole frame late.
        if rate > 0 and now - self._last < 0.9 / rate:
            return False
        self._last = now
        return True


class Outputs:
    """Publishers of one camera.

    `built` counts the messages built for each topic; a topic without a reader never counts.
    """

    def __init__(
        self, node: Node, camera: str, engine: Engine, transforms: TransformSender
    ) -> None:
        self.built: Counter[str] = Counter()
        self._node = node
        # Ids are unique below a camera only.
        self._frames = f'{camera}_' if camera else ''
        self._info_topic = topics.below(camera, topics.CAMERA_INFO)
        self._engine = engine
        self._transforms = transforms
        self._publishers: dict[str, Publisher] = {}
        try:
            for topic in topics.OUTPUTS:
                self._publishers[topic] = topics.publisher(node, camera, topic)
        except Exception:
            self._drop_publishers()
            raise
        self._markers = HandMarkers(engine.triangles)
        self._chosen = controllers.Chosen()
        self._marker_limit, self._annotated_limit = Limit(), Limit()
        #: Numbers of the hands in view, and of those that left since the last markers.
        self._present: set[int] = set()
        self._left: set[int] = set()
        #: Of the last image: its header, and no hands.
        self._last: tuple[Header, Hands] | None = None
        #: Since when hands that a wrist pose is asked of have no distance; whether that was told.
        self._unplaced: float | None = None
        self._told = False
        self._publishers['topology'].publish(messages.topology(
            engine.model, engine.vertex_count, engine.triangles
        ))

    def wanted(self, topic: str) -> bool:
        """Whether anybody reads a topic."""
        return self._publishers[topic].get_subscription_count() > 0

    def observed(self, options: NodeOptions) -> bool:
        """Whether anybody reads anything that comes with a frame."""
        topics_read = any(
            self.wanted(topic) for topic in topics.OUTPUTS if topic not in topics.LATCHED
        )
        return topics_read or (options.tf and self._transforms.wanted())

    def publish(
        self, hands: Hands, header: Header, frame: Frame, options: NodeOptions
    ) -> None:
        """Publish everything that somebody reads, every message with this very header."""
        self._last = header, Hands(hands.width, hands.height)
        self._send('hands', lambda: messages.keypoints(hands, header))
        # Also while no controller reads: who left meanwhile keeps nobody waiting later.
        chosen = self._chosen(hands, options.max_misses)
        self._send('hand_joint_states', lambda: controllers.joint_states(chosen, header))
        for side, hand in chosen.items():
            if hand.translation_m is not None:
                self._unplaced = None
                self._send(
                    f'wrist_pose/{side}', lambda hand=hand: controllers.wrist_pose(hand, header))
            elif self.wanted(f'wrist_pose/{side}'):
                self._tell_cure()
        if options.tf and self._transforms.wanted():
            self._transforms.send(
                controllers.transforms(
                    hands, header, options.frame_prefix + self._frames, options.tf_joints)
            )
            self.built['tf'] += 1
        self._send('masks', lambda: messages.masks(hands, header))
        self._send('labels', lambda: messages.labels(hands, header))
        self._send('meshes', lambda: messages.meshes(hands, header, self._engine.model))
        before, self._present = self._present, {hand.number for hand in hands}
        # Who is back by the next markers, or was never drawn, needs no DELETE.
        self._left = (self._left | before) - self._present if self.wanted('markers') else set()
        self._send('points', lambda: messages.points(hands, header))
        if self.wanted('markers') and self._marker_limit(options.marker_rate):
            self._markers.lifetime = options.marker_lifetime
            self._markers.alpha = options.mesh_alpha
            self._markers.mirrored = options.mirrored_input
            gone, self._left = self._left, set()
            self._send('markers', lambda: self._markers.build(hands, header, gone))
        if self.wanted('annotated') and self._annotated_limit(options.annotated_rate):
            self._send('annotated', lambda: messages.image(
                header, self._engine.draw(frame, hands), 'bgr8'
            ))

    def _tell_cure(self) -> None:
        """Say once what wrist poses need, should that not come by itself."""
        now = time.monotonic()
        self._unplaced = now if self._unplaced is None else self._unplaced
        if not self._told and now - self._unplaced >= UNPLACED:
            self._told = True
            self._node.get_logger().info(
                'wrist_pose and TF need the distance of a hand: publish camera_info on '
                + self._node.resolve_topic_name(self._info_topic))

    def _send(self, topic: str, build: Callable) -> None:
        if self.wanted(topic):
            self._publishers[topic].publish(build())
            self.built[topic] += 1

    def take_back(self) -> None:
        """Tell readers that there is nothing any more, until the next image.

        Empty arrays carry the header of the last image; without any image there is nothing to
        take back.
        """
        last, self._last = self._last, None
        if last is None:
            return
        header, nothing = last
        self._send('hands', lambda: messages.keypoints(nothing, header))
        self._send('masks', lambda: messages.masks(nothing, header))
        self._send('labels', lambda: messages.labels(nothing, header))
        self._send('meshes', lambda: messages.meshes(nothing, header, self._engine.model))
        self._send('points', lambda: messages.points(nothing, header))
        self._send('hand_joint_states', lambda: controllers.joint_states({}, header))
        self._send('markers', lambda: self._markers.clear(header))

    def close(self) -> None:
        """Take back what was shown, and drop the publishers."""
        self.take_back()
        until = time.monotonic() + FAREWELL
        for topic in ('hands', 'masks', 'labels', 'meshes', 'points', 'hand_joint_states',
                      'markers'):
            left = max(0.0, until - time.monotonic())
            if self.wanted(topic) and left:
                self._publishers[topic].wait_for_all_acked(Duration(seconds=left))
        self._drop_publishers()

    def _drop_publishers(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers = {}
