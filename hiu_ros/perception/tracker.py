"""Hands followed from frame to frame under one name; all state of a camera lives here.

A hand is born of a reading that no followed hand explains, and gets its name, `left_3`, once it
was seen `min_hits` times: by then its side rests on several frames. Numbers count the hands of
one camera and are never used twice, and the same recording gives the same names. Should the
evidence turn and stay turned, the old name ends and a new one of the other side begins: a name
never lies about the side. A hand that is not seen is not in the result; it keeps its name for
`max_misses` frames, moving on ever more slowly where it was headed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hiu_ros.perception.association import assign, joint_box, overlap, without_duplicates
from hiu_ros.perception.estimator import Reading
from hiu_ros.perception.lifting import HandMemory
from hiu_ros.perception.options import TrackingOptions

#: Seconds between frames that come without a stamp.
FRAME = 1 / 30
#: A pause longer than this (s) ends all hands; so does time running back.
PAUSE = 2.0
#: Log odds of the side: what one frame adds at most, what remains of it after a frame, and where
#: a name changes or a single crop is trusted.
_SIDE_STEP, _SIDE_KEPT, _SIDE_TURNED, _SIDE_SURE = 3.0, 0.93, 4.0, 3.0
#: A hand not announced yet ends after so many misses.
_EARLY_MISSES = 1
#: Frames that a hand may be hidden by another one without missing.
_HIDDEN_MOST = 45
#: Weight of the newest score in the trust of a hand.
_TRUST_NEW = 0.25
#: Weight of the newest motion, and what remains of the motion of a hand that is not seen.
_MOTION_NEW, _MOTION_KEPT = 0.6, 0.7
#: Hand sizes that a hand may be off its prediction, and how much more with each miss.
_PATIENCE, _PATIENCE_GROWTH, _PATIENCE_MOST = 0.7, 0.15, 2.0


@dataclass(eq=False)
class Track:
    """One followed hand. Its joints are pixels, its motion pixels per second."""

    keypoints: np.ndarray
    stamp: float
    memory: HandMemory
    right: float = 0.0  #: log odds of being a right hand, over time
    trust: float = 0.0  #: score over the last frames
    name: str | None = None
    side: str = 'right'
    doubtful: bool = False  #: last read as the other side only
    hits: int = 0
    misses: int = 0  #: frames in a row
    hidden: int = 0  #: of these, frames in which another hand was in front
    motion: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def expected(self, stamp: float) -> np.ndarray:
        """Joints (21, 2) where the motion takes them; a missed hand slows down and stops."""
        frame = min((stamp - self.stamp) / (self.misses + 1), 0.2)
        frames = (1 - _MOTION_KEPT ** (self.misses + 1)) / (1 - _MOTION_KEPT)
        return self.keypoints + self.motion * frame * frames

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
        if self.hits and 0 < step < 0.5:
            moved = (reading.keypoints_px - self.keypoints).mean(axis=0) / step
            self.motion = self.motion + _MOTION_NEW * (moved - self.motion)
        else:
            self.motion = np.zeros(2)
        self.right = _SIDE_KEPT * self.right + reading.presence * float(
            np.clip(reading.right, -_SIDE_STEP, _SIDE_STEP))
        self.keypoints, self.stamp = reading.keypoints_px, stamp
        share = _TRUST_NEW if self.hits else 1.0
        self.trust = self.trust + share * (reading.score - self.trust)
        self.hits += 1


class Tracker:
    """The followed hands of one camera."""

    def __init__(self, options: TrackingOptions, max_hands: int, min_score: float,
                 new_memory=HandMemory) -> None:
        self.options, self.max_hands, self.min_score = options, max_hands, min_score
        self._new_memory = new_memory
        self.tracks: list[Track] = []
        self._named = 0
        self._stamp: float | None = None
        self._since_search = 0

    def reset(self) -> None:
        """Forget all hands; names go on counting."""
        self.tracks, self._stamp, self._since_search = [], None, 0

    def begin(self, stamp: float | None) -> float:
        """Start a frame, at a time in seconds or one frame after the last; returns the time.

        Time that runs back or a pause forgets the hands: a recording began anew.
        """
        if stamp is None:
            stamp = 0.0 if self._stamp is None else self._stamp + FRAME
        elif self._stamp is not None and not 0.0 <= stamp - self._stamp <= PAUSE:
            self.reset()
        self._stamp = float(stamp)
        self._since_search += 1
        return self._stamp

    def wants_search(self) -> bool:
        """Whether the finder is due: with no hand in sight or one just lost always, with all
        places taken never, else every few frames."""
        seen = [track for track in self.tracks if track.misses == 0]
        if len(seen) >= self.max_hands:
            return False
        lost = any(track.misses for track in self.tracks if track.name)
        return not seen or lost or self._since_search >= self.options.finder_interval

    def expected(self) -> list[np.ndarray]:
        """Joints that each followed hand should have in this frame."""
        return [track.expected(self._stamp) for track in self.tracks]

    def unexplained(self, boxes: Sequence[np.ndarray]) -> list[int]:
        """Indices of found boxes [x, y, w, h] that no hand in sight explains, best first."""
        self._since_search = 0
        explained = [
            joint_box(points) for track, points in zip(self.tracks, self.expected())
            if track.misses == 0
        ]
        free = max(0, self.max_hands - len(explained))
        new = []
        for k, box in enumerate(boxes):
            # One hand explains one box, the one that lies on it best.
            fits = [overlap(box, e) if _near(box, e) else -1.0 for e in explained]
            if fits and max(fits) >= 0:
                explained.pop(int(np.argmax(fits)))
            else:
                new.append(k)
        return new[:free]

    def update(
        self, readings: Sequence[Reading], askers: Sequence[int | None]
    ) -> list[tuple[Track, Reading]]:
        """Take the readings of this frame; returns the announced hands that it shows.

        askers: index of the followed hand that each reading's region was made for, None for a
        found one.
        """
        least = [self.min_score if who is None else min(self.options.keep_score, self.min_score)
                 for who in askers]
        present = [k for k, reading in enumerate(readings) if reading.score >= least[k]]
        groups = [[present[k] for k in group]
                  for group in without_duplicates([readings[k] for k in present])]
        groups.sort(key=lambda group: group[0])
        kept = [group[0] for group in groups]
        patience = [min(_PATIENCE + _PATIENCE_GROWTH * track.misses, _PATIENCE_MOST)
                    for track in self.tracks]
        pairs = assign(
            self.expected(), [track.right for track in self.tracks], patience,
            [readings[k] for k in kept], [{askers[k] for k in group} for group in groups])
        taken = {j: i for i, j in pairs}
        seen: list[tuple[Track, Reading]] = []
        for j, group in enumerate(groups):
            reading = readings[group[0]]
            if j in taken:
                track = self.tracks[taken[j]]
                # Two regions may show one hand, one of them cut for the other side.
                fitting = [k for k in group if readings[k].side == track.side]
                reading = readings[(fitting or group)[0]]
            elif reading.score >= self.min_score:
                track = Track(reading.keypoints_px, self._stamp, self._new_memory())
                self.tracks.append(track)
            else:
                continue
            track.see(reading, self._stamp)
            # What looks like a hand in single frames only is no hand: it goes on as if missed.
            if track.trust >= self.min_score:
                track.misses = 0
                seen.append((track, reading))
        self._forget({id(track) for track, _ in seen})
        announced = [pair for pair in seen if self._announce(pair[0])]
        announced = [(track, reading.as_side(track.side)) for track, reading in announced
                     if any(track is other for other in self.tracks)]
        # A hand read as one of the other side alone has no pose to show; both are tried next.
        for track, reading in announced:
            track.doubtful = reading.side != track.side
        return [(track, reading) for track, reading in announced if not track.doubtful]

    def _forget(self, seen: set[int]) -> None:
        """Count misses, and drop hands missed too often or one too many.

        A hand where another one is seen may be hidden by it: its misses do not count for a while.
        """
        shown = [joint_box(track.keypoints) for track in self.tracks if id(track) in seen]
        for track in self.tracks:
            if id(track) in seen:
                track.hidden = 0
                continue
            track.misses += 1
            box = joint_box(track.expected(self._stamp))
            if track.hidden < _HIDDEN_MOST and any(overlap(box, other) > 0.1 for other in shown):
                track.hidden += 1
        self.tracks = [
            track for track in self.tracks if track.misses - track.hidden <= (
                self.options.max_misses if track.name else _EARLY_MISSES)
        ]
        in_sight = [track for track in self.tracks if track.misses == 0]
        missed = [track for track in self.tracks if track.misses]
        # Names before newcomers, then the surer hands; sorting keeps the order among equals.
        in_sight.sort(key=lambda t: (t.name is None, -t.trust))
        missed.sort(key=lambda t: t.misses)
        kept = {id(t) for t in in_sight[:self.max_hands] + missed[:self.max_hands]}
        self.tracks = [track for track in self.tracks if id(track) in kept]

    def _announce(self, track: Track) -> bool:
        """Name a hand that was seen often enough; rename one whose side has turned."""
        side = 'right' if track.right > 0 else 'left'
        if track.name is None:
            track.side = side
            if track.hits < self.options.min_hits:
                return False
        elif side == track.side or abs(track.right) < _SIDE_TURNED:
            return True
        else:
            # What was learned of the other hand does not hold for this one.
            track.memory = self._new_memory()
        self._named += 1
        track.side, track.name = side, f'{side}_{self._named}'
        return True


def _near(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether two boxes [x, y, w, h] are of one hand, allowing for loose and tight ones."""
    away = np.abs((box[:2] + box[2:] / 2) - (other[:2] + other[2:] / 2))
    size = max(other[2:].max(), 1.0)
    return overlap(box, other) > 0.3 or bool((away < 0.3 * size).all())
