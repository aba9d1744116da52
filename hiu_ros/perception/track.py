"""One followed hand: where it is and is headed, which side it is, and what its readings are worth.
"""

from dataclasses import dataclass, field

import numpy as np

from hiu_ros.perception.association import Awaited, steadiness
from hiu_ros.perception.colour import UNKNOWN
from hiu_ros.perception.hand_memory import HandMemory
from hiu_ros.perception.reading import Reading
from hiu_ros.perception.smoothing import FRAME

#: Log odds of the side: what one frame adds at most, what remains of it after a frame, how much
#: comes together at most, and where a single crop is trusted.
_SIDE_STEP, _SIDE_KEPT, _SIDE_MOST, _SIDE_SURE = 3.0, 0.97, 60.0, 3.0
#: Mean keypoint score from which on what a frame says of the side counts in full.
_SIDE_SHARP = 0.8
#: Weight of the newest score in the trust of a hand.
_TRUST_NEW = 0.25
#: Weight of the newest motion, and what remains of the motion of a hand that is not seen.
_MOTION_NEW, _MOTION_KEPT = 0.6, 0.7
#: Seconds between two frames that tell a motion: images that arrive in a burst may be stamped so,
#: and after a long time it is another one.
_STEP_LEAST, _STEP_MOST = 0.01, 0.5
#: Weight of the newest size in the usual size of a hand. Where hands touch, what is seen of one
#: may be a part of it: its region stays so much of that size at least.
_SIZE_NEW, _SIZE_LEAST = 0.1, 0.85
#: Weight of the newest colour in the usual colour of a hand, at least; at first it is their mean.
_COLOUR_NEW = 0.05
#: The region of a hand that was missed grows by so much a frame, up to so much.
_SEARCH_GROWTH, _SEARCH_MOST = 0.1, 1.4
#: Hand sizes that a hand may be off its prediction after `FRAME`, how much more with each second
#: more, and how much after so few frames that its motion is not known.
_PATIENCE, _PATIENCE_SECOND, _PATIENCE_NEW, _MOVING = 0.7, 4.5, 1.7, 2
#: Frames for which a hand with a name may still turn out to be an older one, and for which its
#: colour is not settled.
YOUNG = 15
#: Quality of readings from which on a hand's place is sure, and below which it is blurred and
#: looked at with more of what is around.
_SHARP, _BLURRED, _SEARCH_BLURRED = 0.2, 0.4, 1.15


@dataclass(eq=False)
class Track:
    """One followed hand. Its joints are pixels, its motion pixels per second."""

    keypoints: np.ndarray
    stamp: float
    memory: HandMemory
    right: float = 0.0  #: log odds of being a right hand, over time
    trust: float = 0.0  #: what its readings were worth over the last frames
    sharpness: float = 0.0  #: quality of its readings over the last frames
    found: float = 0.0  #: highest score that the finder gave it
    name: str | None = None
    side: str = 'right'
    doubtful: bool = False  #: last read as the other side only
    hits: int = 0
    apart: int = 0  #: frames in which it was seen clearly, and no other hand near it
    misses: int = 0  #: frames in a row
    hidden: int = 0  #: of these, frames in which it was behind another hand or out of the image
    motion: np.ndarray = field(default_factory=lambda: np.zeros(2))
    colour: np.ndarray = field(default_factory=UNKNOWN.copy)  #: usual L*a*b* (3,)
    size: float = 0.0  #: usual larger side of the joints' box, px

    def expected(self, stamp: float) -> np.ndarray:
        """Joints (21, 2) where the motion takes them; a missed hand slows down and stops."""
        frame = min((stamp - self.stamp) / (self.misses + 1), 0.2)
        frames = (1 - _MOTION_KEPT ** (self.misses + 1)) / (1 - _MOTION_KEPT)
        return self.keypoints + self.motion * frame * frames

    def awaited(self, stamp: float) -> Awaited:
        """What it should look like at a time."""
        patience = _PATIENCE if self.hits > _MOVING else _PATIENCE_NEW
        patience += _PATIENCE_SECOND * max(stamp - self.stamp - FRAME, 0.0)
        return Awaited(
            self.expected(stamp), self.right, self.colour, patience, named=self.name is not None,
            lost=self.misses > 0 and self.hits >= YOUNG)

    @property
    def blurred(self) -> bool:
        """Whether its joints are blurred, as those of a hand that may have been lost in part."""
        return self.sharpness < _BLURRED

    @property
    def sure(self) -> bool:
        """Whether its place is known, so that no other hand need be looked for there."""
        return self.name is not None and self.misses == 0 and self.sharpness >= _SHARP

    def margin(self, crowded: bool) -> float:
        """How much larger its region is than usual: for a hand that was missed, where hands touch,
        and where joints are blurred, as they are when a part of a hand is out of the region."""
        margin = min(1.0 + _SEARCH_GROWTH * self.misses, _SEARCH_MOST)
        usual = max(self.size, 1.0) / max(float(np.ptp(self.keypoints, axis=0).max()), 1.0)
        if self.blurred:
            # Joints that are guessed spread: the region must not grow with them.
            margin = max(margin, _SEARCH_BLURRED) * min(1.0, usual)
        if crowded:
            margin = max(margin, min(_SIZE_LEAST * usual, 2.0))
        return margin

    @property
    def side_to_try(self) -> str | None:
        """The side that its next crop is cut for, None to try both."""
        turned = (self.right > 0) != (self.side == 'right')
        if self.doubtful or turned or abs(self.right) < _SIDE_SURE:
            return None
        return self.side

    @property
    def side_score(self) -> float:
        """0..1, how sure its side is."""
        right = 1 / (1 + np.exp(-self.right))
        return float(right if self.side == 'right' else 1 - right)

    def see(self, reading: Reading, stamp: float) -> None:
        """Take a reading of this hand."""
        step = stamp - self.stamp
        steady = steadiness(reading.keypoints_px, self.keypoints, step)
        if not 0 <= step < _STEP_MOST:
            self.motion = np.zeros(2)
        elif step >= _STEP_LEAST:
            moved = (reading.keypoints_px - self.keypoints).mean(axis=0) / step
            self.motion = self.motion + _MOTION_NEW * (moved - self.motion)
        sharp = min(1.0, float(reading.keypoint_scores.mean()) / _SIDE_SHARP)
        right = _SIDE_KEPT * self.right + reading.presence * sharp * float(
            np.clip(reading.right, -_SIDE_STEP, _SIDE_STEP))
        self.right = float(np.clip(right, -_SIDE_MOST, _SIDE_MOST))
        self.keypoints, self.stamp = reading.keypoints_px, stamp
        share = _SIZE_NEW if self.hits else 1.0
        self.size = self.size + share * (reading.size - self.size)
        if not np.isfinite(self.colour).all():
            self.colour = reading.colour
        elif np.isfinite(reading.colour).all():
            share = max(_COLOUR_NEW, 1 / (self.hits + 1))
            self.colour = self.colour + share * (reading.colour - self.colour)
        share = _TRUST_NEW if self.hits else 1.0
        self.trust = self.trust + share * (reading.score * steady - self.trust)
        self.sharpness = self.sharpness + share * (reading.quality - self.sharpness)
        self.hits += 1

    def go_on_as(self, lost: 'Track') -> None:
        """Take over the name, and what was learned, of a hand that this one turned out to be."""
        self.name, self.side, self.memory = lost.name, lost.side, lost.memory
        self.right, self.colour = lost.right, lost.colour
        self.hits, self.apart = self.hits + lost.hits, lost.apart
        self.found = max(self.found, lost.found)
