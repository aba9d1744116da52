"""The depth image that belongs to a colour image, also where it comes a little later.

RGB-D drivers send depth after colour, as it has to be aligned first. What was there when an image
came would be the depth of the frame before: wrong by what a hand moves in between.
"""

import threading
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low
from time import monotonic

from sensor_msgs.msg import CompressedImage, Image

from hiu_ros.perception.tracker import LATE

#: Depth images are kept for so long, s, by their stamps: colour may come so much later, where it
#: is compressed or waits for the worker. No fewer than FEWEST are, and no more than MOST.
KEPT, FEWEST, MOST = 0.5, 8, 64
#: Depth as it comes; of both only the header is read here.
Depth = Image | CompressedImage
#: Longest wait for one, s; and what its stamp may differ by more than that of the last that came
#: too late.
WAIT, SPARE = 0.1, 0.002


def seconds(stamp: object) -> float:
    """A builtin_interfaces/Time in seconds."""
    return stamp.sec + 1e-9 * stamp.nanosec


@dataclass
class _Asked:
    """An image asked for: its time, how far off (s) its depth was, the tolerance, and until when
    (monotonic) depth would have been waited for."""

    time: float
    off: float
    tolerance: float
    until: float


class DepthImages:
    """The last depth images of a camera. `put` is called by one thread, `nearest` by another.

    It is waited for only where it was seen to help: where a depth image came, soon enough, that
    would have been nearer than the one that an image had got. A wait in vain ends that. Nor is it
    waited for where depth comes more seldom than images and the next will be no nearer than what
    is there.
    """

    def __init__(self) -> None:
        self._came = threading.Condition()
        self._images: deque[Depth] = deque()
        #: The images that what comes now would still have been waited for; more than one where
        #: depth comes later than the next image.
        self._asked: deque[_Asked] = deque()
        #: How far off (s) the depth was that came too late; None where none is waited for.
        self._late: float | None = None

    def put(self, depth: Depth) -> None:
        """Keep a depth image that came."""
        with self._came:
            self._keep(depth)
            self._learn(depth)
            self._came.notify_all()

    def _learn(self, depth: Depth) -> None:
        self._forget(monotonic())
        nearer = []
        for image in self._asked:
            here = _off(depth, image.time)
            if here < image.off and here <= image.tolerance:
                image.off = here
                nearer.append(here)
        self._late = min(nearer, default=self._late)

    def _forget(self, now: float) -> None:
        while self._asked and self._asked[0].until < now:
            self._asked.popleft()

    def _keep(self, depth: Depth) -> None:
        newest = seconds(depth.header.stamp)
        # Those from before a recording began anew are of no image that is still to come.
        if self._images and newest < seconds(self._images[-1].header.stamp) - LATE:
            self._images.clear()
        self._images.append(depth)
        while len(self._images) > FEWEST and not (
                len(self._images) <= MOST
                and 0 < newest - seconds(self._images[0].header.stamp) <= KEPT):
            self._images.popleft()

    def clear(self) -> None:
        """Forget all of them."""
        with self._came:
            self._images.clear()
            self._asked.clear()
            self._late = None
            self._came.notify_all()

    def nearest(self, time: float, tolerance: float) -> Depth | None:
        """The one whose stamp is nearest to an image's, s; None where none came yet.

        tolerance: how far off (s) it may be to be of use, and to be waited for. Images without a
        stamp (0) get the newest.
        """
        asked = monotonic()
        with self._came:
            self._forget(asked)
            waited = self._late is not None and time > 0 and self._nearer_due(time, tolerance)
            if waited:
                came = self._came.wait_for(lambda: self._here(time), WAIT)
            best = self._best(time)
            off = float('inf') if best is None else _off(best, time)
            if waited and self._late is not None:
                self._late = off if came and off <= tolerance else None
            if time > 0:
                self._asked.append(_Asked(time, off, tolerance, asked + WAIT))
            return best

    def _here(self, time: float) -> bool:
        """Whether the depth is there, or one that is younger, so that no other will come."""
        return self._late is None or any(
            seconds(depth.header.stamp) >= time or _off(depth, time) <= self._late + SPARE
            for depth in self._images)

    def _nearer_due(self, time: float, tolerance: float) -> bool:
        """Whether a depth image that is still to come will be of use and nearer than those here,
        by the usual time between two of them."""
        stamps = [seconds(depth.header.stamp) for depth in self._images]
        steps = [after - before for before, after in pairwise(stamps) if after > before]
        if len(steps) < 2:
            return True
        step = median_low(steps)
        ahead = (time - stamps[-1]) / step
        off = abs(ahead - max(1, round(ahead))) * step
        return off <= tolerance + SPARE and off < _off(self._best(time), time) - SPARE

    def _best(self, time: float) -> Depth | None:
        # The newest first: it is taken where stamps are alike, such as zero.
        return min(reversed(self._images), key=lambda depth: _off(depth, time), default=None)


def _off(depth: Depth, time: float) -> float:
    return abs(seconds(depth.header.stamp) - time)
