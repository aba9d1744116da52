"""Measuring one person's hand: held at a known distance, it tells its size.

Placement finds a hand's distance from its size in the image and its length in metres; the ratio
of both is all that an image gives. So with the distance z known and placement having said z' for
a hand taken to be l' long, the hand is l' z / z' long.
"""

import math
import threading
import time
from collections import deque

import numpy as np
from rclpy.node import Node
from rclpy.parameter import Parameter

from hiu_ros.hand.skeleton import KEYPOINT_NAMES
from hiu_ros.perception.result import Hand, Hands, ScaleSource
from hiu_ros.srv import CalibrateHandSize

_CHAIN = [KEYPOINT_NAMES.index(name) for name in (
    'wrist', 'middle_mcp', 'middle_pip', 'middle_dip', 'middle_tip')]
#: Measurements that a result needs at least.
ENOUGH = 5
#: Largest standard deviation of the measurements, as a share of the length.
WIDEST = 0.1
#: Frames that are remembered, and the longest time asked for, s.
FRAMES, LONGEST = 1000, 30.0


def length(hand: Hand) -> float:
    """Wrist to middle fingertip along the bones, m."""
    chain = hand.keypoints_m[_CHAIN]
    return float(np.linalg.norm(np.diff(chain, axis=0), axis=1).sum())


class Calibration:
    """The service ~/calibrate_hand_size over the frames that `observe` was given.

    It looks back: the hand is held at the distance first, then the service is called. So it
    answers at once and no frame waits for it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        #: Moment, camera, and id -> length / distance of its hands; NaN without a distance.
        self._frames: deque[tuple[float, str, dict[str, float]]] = deque(maxlen=FRAMES)

    def observe(self, camera: str, hands: Hands) -> None:
        """Remember what a camera's frame says of the sizes of its hands."""
        ratios = {}
        for hand in hands:
            known = (hand.translation_m is not None and hand.translation_m[2] > 0
                     and hand.scale_source is ScaleSource.CAMERA_INFO)
            ratios[hand.id] = length(hand) / float(hand.translation_m[2]) if known else math.nan
        with self._lock:
            self._frames.append((time.monotonic(), camera, ratios))

    def forget(self) -> None:
        """Start again: another size is assumed from now on, or other hands are seen."""
        with self._lock:
            self._frames.clear()

    def on_request(
        self, request: CalibrateHandSize.Request, response: CalibrateHandSize.Response
    ) -> CalibrateHandSize.Response:
        """Average over the seconds before the call and set the parameter hand_length_m."""
        response.hand_length_m = math.nan
        if not (0.1 <= request.distance_m <= 5.0 and 0.1 <= request.duration_s <= LONGEST):
            response.message = (
                f'got distance_m {request.distance_m} and duration_s {request.duration_s}, '
                f'expected 0.1 to 5 m and 0.1 to {LONGEST:.0f} s'
            )
            return response
        ratios, why_not = self._ratios(request.id, request.duration_s)
        if len(ratios) < ENOUGH:
            response.message = f'{len(ratios)} measurements are too few: {why_not}'
            return response
        lengths = request.distance_m * np.array(ratios)
        measured, spread = float(np.median(lengths)), float(np.std(lengths))
        found = (f'{measured:.4f} m, standard deviation {spread:.4f} m of {len(lengths)} '
                 'measurements')
        if spread > WIDEST * measured:
            response.message = f'{found} that differ too much: hold the hand still and open'
            return response
        result = self._node.set_parameters([Parameter('hand_length_m', value=measured)])[0]
        response.success = result.successful
        response.message = result.reason or found
        if response.success:
            response.hand_length_m = measured
            self.forget()
        return response

    def _ratios(self, wanted: str, duration: float) -> tuple[list[float], str]:
        """Measurements of the wanted (or only) hand, and what stood in the way of more."""
        since = time.monotonic() - duration
        with self._lock:
            frames = [(camera, [r for id_, r in ratios.items() if not wanted or id_ == wanted])
                      for moment, camera, ratios in self._frames if moment >= since]
        seeing = sorted({camera for camera, mine in frames if mine})
        if len(seeing) > 1:
            # Each gives ids and distances of its own.
            return [], (f'cameras {" and ".join(seeing)} see such a hand: hold it where one '
                        'camera sees it')
        cure = 'ask for more with duration_s' if frames else (
            'the node does not look while it is paused or not active, nor while nobody reads a '
            'topic of it')
        why_not = f'{len(frames)} images in the last {duration:g} s; {cure}'
        found = []
        for _, mine in (frame for frame in frames if not seeing or frame[0] in seeing):
            if len(mine) != 1:
                why_not = f'{len(mine)} hands {f"named {wanted} " if wanted else ""}in view, not 1'
            elif not math.isfinite(mine[0]):
                why_not = 'the size needs camera_info, and no depth image'
            else:
                found.append(mine[0])
        return found, why_not
