"""A camera for the demo: publishes pictures to a node and waits for what it makes of them."""

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message, serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from hiu_ros.perception.picture_source import Picture
from hiu_ros.ros import messages
from hiu_ros.ros.peer import Peer
from hiu_ros.ros.process import how_ended
from hiu_ros.ros.topics import LATCHED, OUTPUTS

#: How long the node may take to start, and a frame to be answered, s.
START_PATIENCE, ANSWER_PATIENCE = 120.0, 20.0
#: How long what comes with the hands is waited for behind them, s: `annotated_rate` may leave a
#: picture out.
REST_PATIENCE = 1.0
FRAME_ID = 'camera_optical_frame'
#: Topics that a picture is waited for on.
AWAITED = ('hands', 'annotated')


class NodeEnded(RuntimeError):
    """The node ended, or never got ready; its own log says why."""


@dataclass(frozen=True)
class Answer:
    """What came back for one picture; `ids` is None where nothing did."""

    ids: list[str] | None
    annotated: np.ndarray | None
    latency: float


class Player(Peer):
    """Publishes below a namespace and records every topic there by `write` (see `Bag.write`).

    Images are recorded as JPEG below their own name and `/compressed`, and everything at the time
    of its picture, so that the bag plays as fast as the source.
    """

    def __init__(
        self, namespace: str, process: subprocess.Popen,
        write: Callable[[str, str, int, bytes], None],
    ) -> None:
        self._process = process
        self._record = write
        self._namespace = namespace
        self._condition = threading.Condition()
        self._answers: dict[tuple[int, int], dict[str, Any]] = {}
        self._arrived: dict[tuple[int, int], float] = {}
        self._recording = False
        self._base = float(int(time.time()))
        self._now = int(self._base) * 10**9
        super().__init__('player', namespace)
        self._image = self._node.create_publisher(Image, 'image', 2)
        self._info = self._node.create_publisher(CameraInfo, 'camera_info', 2)
        self._clock = self._node.create_publisher(Clock, 'clock', 2)
        for topic, kind in OUTPUTS.items():
            qos = QoSProfile(depth=20, durability=(
                DurabilityPolicy.TRANSIENT_LOCAL if topic in LATCHED else DurabilityPolicy.VOLATILE
            ))
            self._node.create_subscription(
                kind, topic, lambda data, topic=topic: self._on_message(topic, data), qos, raw=True
            )
        self._node.create_subscription(
            DiagnosticArray, '/diagnostics',
            lambda data: self._write('/diagnostics', DiagnosticArray, data), 10, raw=True,
        )

    def _check_node(self) -> None:
        self.check()
        if self._process.poll() is not None:
            raise NodeEnded(f'the node {how_ended(self._process.returncode)}')

    def wait_until_ready(self) -> None:
        """Until the node answers a picture; NodeEnded where that takes too long."""
        end = time.monotonic() + START_PATIENCE
        topics = [f'{self._namespace}/{topic}' for topic in AWAITED]
        while not (self._image.get_subscription_count()
                   and all(self._node.count_publishers(topic) for topic in topics)):
            self._check_node()
            if time.monotonic() > end:
                raise NodeEnded(f'the node was not ready after {START_PATIENCE:.0f} s')
            time.sleep(0.05)
        # Peers miss what is sent before they have met: send a grey picture until it is answered.
        grey = np.full((240, 320, 3), 127, np.uint8)
        while True:
            header, _ = self._publish(Picture(grey, 0.0), self._base - 10.0)
            if len(self._wait((header.stamp.sec, header.stamp.nanosec), 1.0)) == len(AWAITED):
                break
            self._check_node()
            if time.monotonic() > end:
                raise NodeEnded(f'the node gave no answer for {START_PATIENCE:.0f} s')
        self._recording = True

    def ask(self, picture: Picture) -> Answer:
        """Publish a picture and wait for its hands and its annotated image."""
        header, sent = self._publish(picture, self._base + picture.time)
        key = (header.stamp.sec, header.stamp.nanosec)
        parts = self._wait(key, ANSWER_PATIENCE)
        with self._condition:
            self._answers.clear()
        if 'hands' not in parts:
            return Answer(None, None, float('nan'))
        ids = [hand.id for hand in parts['hands'].hands]
        return Answer(ids, parts.get('annotated'), self._arrived[key] - sent)

    def _wait(self, key: tuple[int, int], patience: float) -> dict[str, Any]:
        end, shortened = time.monotonic() + patience, False
        with self._condition:
            while time.monotonic() < end:
                parts = self._answers.get(key, {})
                if all(topic in parts for topic in AWAITED):
                    break
                if 'hands' in parts and not shortened:
                    end, shortened = min(end, time.monotonic() + REST_PATIENCE), True
                self._check_node()
                self._condition.wait(0.2)
            return dict(self._answers.get(key, {}))

    def free_run(self, pictures: Sequence[Picture], rate: float) -> dict[str, float]:
        """Publish at a rate without waiting; share answered and age of the answers."""
        self._recording = False
        self._base += 1000.0
        self._arrived.clear()
        sent: dict[tuple[int, int], float] = {}
        begin = time.monotonic()
        for index, picture in enumerate(pictures):
            time.sleep(max(0.0, begin + index / rate - time.monotonic()))
            header, moment = self._publish(picture, self._base + index / rate)
            sent[header.stamp.sec, header.stamp.nanosec] = moment
        time.sleep(1.0)
        with self._condition:
            self._answers.clear()
        ages = [1000 * (self._arrived[key] - sent[key]) for key in sent if key in self._arrived]
        return {
            'rate': rate, 'sent': len(sent), 'answered': len(ages),
            'latency_median_ms': round(float(np.median(ages or [np.nan])), 1),
            'latency_p95_ms': round(float(np.percentile(ages or [np.nan], 95)), 1),
        }

    def _publish(self, picture: Picture, seconds: float) -> tuple[Header, float]:
        stamp = Time(sec=int(seconds), nanosec=int(1e9 * (seconds % 1)))
        if self._recording:
            self._now = stamp.sec * 10**9 + stamp.nanosec
        header = Header(stamp=stamp, frame_id=FRAME_ID)
        self._clock.publish(Clock(clock=stamp))
        if picture.info is not None:
            info = messages.camera_info(header, picture.info)
            self._info.publish(info)
            self._write('camera_info', CameraInfo, serialize_message(info))
        image = messages.image(header, picture.image, 'bgr8')
        self._write_picture('image', header, picture.image)
        sent = time.monotonic()
        self._image.publish(image)
        return header, sent

    def _on_message(self, topic: str, data: bytes) -> None:
        now = time.monotonic()
        if topic not in AWAITED:
            self._write(topic, OUTPUTS[topic], data)
            return
        message = deserialize_message(data, OUTPUTS[topic])
        content: Any = message
        if topic == 'annotated':
            content = np.frombuffer(message.data, np.uint8).reshape(
                message.height, message.width, 3)
            self._write_picture(topic, message.header, content)
        else:
            self._write(topic, OUTPUTS[topic], data)
        key = (message.header.stamp.sec, message.header.stamp.nanosec)
        with self._condition:
            self._answers.setdefault(key, {})[topic] = content
            if topic == 'hands':
                self._arrived[key] = now
            self._condition.notify_all()

    def _write_picture(self, topic: str, header: Header, picture: np.ndarray) -> None:
        if not self._recording:
            return
        ok, data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
        if ok:
            packed = CompressedImage(header=header, format='jpeg', data=messages.octets(data))
            self._write(f'{topic}/compressed', CompressedImage, serialize_message(packed))

    def _write(self, topic: str, kind: type, data: bytes) -> None:
        if not self._recording and topic not in LATCHED:
            return
        package = kind.__module__.partition('.')[0]
        name = topic if topic.startswith('/') else f'{self._namespace}/{topic}'
        with self._condition:
            self._record(name, f'{package}/msg/{kind.__name__}', self._now, data)
