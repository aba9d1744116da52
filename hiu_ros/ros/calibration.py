"""Measuring one person's hand: held at a known distance, it tells its size.

Placement finds a hand's distance from its size in the image and its length in metres; the ratio
of both is all that an image gives. So with the distance z known and placement having said z' for
a hand taken to be l' long, the hand is l' z / z' long.
"""

import math
import time

import numpy as np
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future

from hiu_ros.hand.skeleton import KEYPOINT_NAMES
from hiu_ros.perception.result import Hand, Hands, ScaleSource
from hiu_ros.srv import CalibrateHandSize

_CHAIN = [KEYPOINT_NAMES.index(name) for name in (
    'wrist', 'middle_mcp', 'middle_pip', 'middle_dip', 'middle_tip')]
#: Measurements that a result needs at least.
ENOUGH = 5


def length(hand: Hand) -> float:
    """Wrist to middle fingertip along the bones, m."""
    chain = hand.keypoints_m[_CHAIN]
    return float(np.linalg.norm(np.diff(chain, axis=0), axis=1).sum())


class Calibration:
    """The service ~/calibrate_hand_size; `observe` is called with every frame's hands."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._wanted_id: str | None = None
        self._distance = math.nan
        self._lengths: list[float] = []
        self._why_not = ''
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)

    @property
    def running(self) -> bool:
        """Whether a measurement is under way."""
        return self._wanted_id is not None

    def observe(self, hands: Hands) -> None:
        """Take a measurement of the wanted hand, where one is under way."""
        wanted = self._wanted_id
        if wanted is None:
            return
        candidates = [hand for hand in hands if not wanted or hand.id == wanted]
        if len(candidates) != 1:
            self._why_not = f'{len(candidates)} hands in view, expected one'
        elif candidates[0].translation_m is None or (
                candidates[0].scale_source is not ScaleSource.CAMERA_INFO):
            self._why_not = 'the size needs camera_info, and no depth image'
        else:
            hand = candidates[0]
            self._lengths.append(length(hand) * self._distance / float(hand.translation_m[2]))

    async def on_request(
        self, request: CalibrateHandSize.Request, response: CalibrateHandSize.Response
    ) -> CalibrateHandSize.Response:
        """Average for the time asked for and set the parameter hand_length_m."""
        response.hand_length_m = math.nan
        if self.running:
            response.message = 'another measurement is under way'
            return response
        if not (0.1 <= request.distance_m <= 5.0 and 0.1 <= request.duration_s <= 60.0):
            response.message = (
                f'got distance_m {request.distance_m} and duration_s {request.duration_s}, '
                'expected 0.1 to 5 m and 0.1 to 60 s'
            )
            return response
        self._lengths, self._why_not = [], 'no hand was seen'
        self._distance, self._wanted_id = request.distance_m, request.id
        await self._sleep(request.duration_s)
        self._wanted_id = None
        lengths = np.array(self._lengths)
        if len(lengths) < ENOUGH:
            response.message = f'{len(lengths)} measurements are too few: {self._why_not}'
            return response
        measured = float(np.median(lengths))
        result = self._node.set_parameters([Parameter('hand_length_m', value=measured)])[0]
        response.success = result.successful
        spread = float(np.std(lengths))
        response.message = result.reason or (
            f'{measured:.4f} m, standard deviation {spread:.4f} m of {len(lengths)} measurements'
        )
        if response.success:
            response.hand_length_m = measured
        return response

    async def _sleep(self, duration: float) -> None:
        """Let the executor go on with other callbacks for so long."""
        done, end = Future(), time.monotonic() + duration

        def look() -> None:
            if time.monotonic() >= end and not done.done():
                done.set_result(None)

        timer = self._node.create_timer(0.05, look, clock=self._steady)
        await done
        self._node.destroy_timer(timer)
