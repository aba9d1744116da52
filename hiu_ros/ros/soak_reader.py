"""Reads every output of a node and its diagnostics, and counts what it sees."""

import threading
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo

from hiu_ros.msg import HandKeypointsArray
from hiu_ros.ros.peer import Peer
from hiu_ros.ros.topics import LATCHED, OUTPUTS

#: Column of a sample -> value of the node's diagnostics whose median it is, ms.
TIMES = {'inference_ms': 'inference, median [ms]',
         'age_median_ms': 'age at publish, median [ms]',
         'age_p95_ms': 'age at publish, p95 [ms]'}


class Reader(Peer):
    """A peer below a namespace; with `with` its thread reads."""

    def __init__(self, namespace: str) -> None:
        #: Whose diagnostics are read: drivers of the same machine may send theirs, too.
        self._watched = f'{namespace.strip("/")}/hiu_node'
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._times: dict[str, list[float]] = {name: [] for name in TIMES}
        self._last = time.monotonic()
        super().__init__('soak_reader', namespace, enable_rosout=False)
        # One comes with every image, of a camera that has any, and costs less to count.
        self._has_info = False
        self._node.create_subscription(CameraInfo, 'camera_info', self._on_sent,
                                       qos_profile_sensor_data, raw=True)
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self._node.create_subscription(HandKeypointsArray, 'hands', self._on_hands, 10)
        for topic, kind in OUTPUTS.items():
            if topic != 'hands' and topic not in LATCHED:
                self._node.create_subscription(kind, topic, lambda data: None, 10, raw=True)

    def _on_sent(self, data: bytes) -> None:
        with self._lock:
            self._has_info = True
            self._counts['sent'] += 1

    def _on_hands(self, message: HandKeypointsArray) -> None:
        with self._lock:
            self._last = time.monotonic()
            self._counts['answered'] += 1
            self._counts['with_hands'] += bool(message.hands)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        with self._lock:
            for status in message.status:
                if status.hardware_id != self._watched:
                    continue
                values = {pair.key: pair.value for pair in status.values}
                self._counts['received'] += float(values['rate in [Hz]'])
                self._counts['dropped'] += int(values['dropped'])
                self._counts['unusable'] += int(values['unusable'])
                if float(values['rate out [Hz]']) > 0:
                    for name, key in TIMES.items():
                        self._times[name].append(float(values[key]))

    def wait(self, patience: float, alive: Callable[[], bool]) -> bool:
        """Whether the first answer comes while `alive`."""
        until = time.monotonic() + patience
        while time.monotonic() < until and alive():
            with self._lock:
                if self._counts['answered']:
                    self._counts.clear()
                    self._times = {name: [] for name in TIMES}
                    return True
            time.sleep(0.1)
        return False

    def silence(self) -> float:
        """Seconds since the last answer."""
        with self._lock:
            return time.monotonic() - self._last

    def sample(self) -> dict[str, float | None]:
        """Counts and times since the last sample; `sent` is None of a camera without camera_info.
        """
        with self._lock:
            counts, self._counts = self._counts, Counter()
            times, self._times = self._times, {name: [] for name in TIMES}
        names = ('sent', 'received', 'dropped', 'unusable', 'answered', 'with_hands')
        return {
            **{name: round(counts[name]) for name in names},
            **({} if self._has_info else {'sent': None}),
            **{name: round(float(np.median(values or [np.nan])), 1)
               for name, values in times.items()},
        }
