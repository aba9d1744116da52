"""Hands followed from frame to frame under one name; all state of a camera lives here.

A hand is born of a reading that no followed hand explains, and gets its name, `left_3`, once it
was seen `min_hits` times and its side is clear: until then that rests on several frames. Numbers
count the hands of one camera and are never used twice, and the same recording gives the same
names. Should the evidence turn and stay turned, the old name ends and a new one of the other side
begins: a name never lies about the side. A hand that is not seen is not in the result; it keeps
its name for `max_misses` frames, moving on ever more slowly where it was headed, and is known
again by place, side and colour.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from hiu_ros.perception.association import (
    assign,
    joint_box,
    known_again,
    overlap,
    without_duplicates,
)
from hiu_ros.perception.colour import colour_difference
from hiu_ros.perception.hand_memory import HandMemory
from hiu_ros.perception.options import TrackingOptions
from hiu_ros.perception.reading import Reading
from hiu_ros.perception.smoothing import FRAME
from hiu_ros.perception.track import YOUNG, Track
from hiu_ros.perception.verdict import verdict_found

#: A pause longer than this (s) ends all hands; so does time running back by more than `LATE`: a
#: clock that is set right, or images that change places on their way, do not.
PAUSE, LATE = 2.0, 0.2
#: Log odds of the side where a name changes, and where a hand may be named at once.
_SIDE_TURNED, _SIDE_NAMED = 4.0, 2.5
#: A hand not announced yet ends after so many misses.
_EARLY_MISSES = 1
#: Frames that a hand may be hidden, by another one or by the edge of the image, without missing.
_HIDDEN_MOST = 45
#: Ratio of sizes from which on a found box is not explained by a hand.
_LOOSE = 1.9
#: Frames in which a hand was seen clearly, apart from all others, after which it is no part of
#: another; and the quality of clear readings, and trust in the hands that have them.
_APART, _CLEAR = 3, 0.6
#: Difference of colours from which on two hands are two.
_STRANGE = 5.0
#: How far above `announce_score` the finder doubts a hand, and how likely its reading must then
#: make it (`verdict_found`): there are coat racks that look much like hands.
_DOUBT, _LIKELY = 0.2, 0.8
#: Share of the least score of a new hand that the trust of a followed one may fall to.
_TRUST_KEPT = 0.8


class Tracker:
    """The followed hands of one camera."""

    def __init__(self, options: TrackingOptions, max_hands: int, min_score: float,
                 new_memory=HandMemory) -> None:
        self.options, self.max_hands, self.min_score = options, max_hands, min_score
        self.new_memory = new_memory
        self.tracks: list[Track] = []
        self.named = 0  #: hands that were named so far
        self._stamp: float | None = None
        self._size: tuple[int, int] | None = None
        self._view: Hashable = None
        self._since_search = 0
        self._pauses = 0  #: frames in a row, up to this one, that each came after a pause

    def reset(self) -> None:
        """Forget all hands; names go on counting."""
        self.tracks, self._stamp, self._since_search, self._pauses = [], None, 0, 0

    def begin(self, stamp: float | None, size: tuple[int, int] | None = None,
              view: Hashable = None) -> float:
        """Start a frame, at a time in seconds or one frame after the last; returns the time.

        size: width and height of the image. Time that runs back or a pause forgets the hands: a
        recording began anew. Where it runs back by little it stands still. Images of another size
        or view forget them, too: what was at a pixel is now elsewhere, and another hand may be
        there.
        """
        last, pauses = self._stamp, 0
        anew = (size, view) != (self._size, self._view)
        if stamp is None:
            stamp = 0.0 if last is None else last + FRAME
        elif last is not None:
            pauses = self._pauses + 1 if stamp - last > PAUSE else 0
            anew = anew or pauses > 0 or stamp < last - LATE
            stamp = stamp if anew else max(stamp, last)
        if anew:
            self.reset()
        self._size, self._view, self._pauses = size, view, pauses
        self._stamp = float(stamp)
        self._since_search += 1
        return self._stamp

    def wants_search(self) -> bool:
        """Whether the finder is due: with no hand in sight or one just lost always, with all
        places taken never, else every few frames."""
        seen = [track for track in self.tracks if track.misses == 0]
        if sum(track.name is not None for track in seen) >= self.max_hands:
            return False
        lost = any(track.misses for track in self.tracks if track.name)
        return not seen or lost or self._since_search >= self.options.finder_interval

    def expected(self) -> list[np.ndarray]:
        """Joints that each followed hand should have in this frame."""
        return [track.expected(self._stamp) for track in self.tracks]

    def unexplained(self, boxes: Sequence[np.ndarray], scores: Sequence[float]) -> list[int]:
        """Indices of found boxes [x, y, w, h] that no hand in sight explains, best first.

        scores: what the finder thinks of each. A hand whose joints are blurred explains none: it
        may have been lost in part.
        """
        self._since_search = 0
        explained = [
            (track, joint_box(points)) for track, points in zip(self.tracks, self.expected())
            if track.misses == 0 and not track.blurred
        ]
        free = max(0, self.max_hands - sum(track.name is not None for track, _ in explained))
        new = []
        for k, box in enumerate(boxes):
            # One hand explains one box, the one that lies on it best.
            fits = [overlap(box, own) if _near(box, own) else -1.0 for _, own in explained]
            if fits and max(fits) >= 0:
                track, _ = explained.pop(int(np.argmax(fits)))
                track.found = max(track.found, scores[k])
            else:
                new.append(k)
        return new[:free]

    def update(
        self, readings: Sequence[Reading], askers: Sequence[int | None],
        found: Sequence[float], lost: float = 0.0,
    ) -> list[tuple[Track, Reading]]:
        """Take the readings of this frame; returns the announced hands that it shows.

        askers: index of the followed hand that each reading's region was made for, None for a
        found one. found: the finder's scores of those, 0 for the others. lost: how much poor
        light has taken of the image, 0..1.
        """
        least = [self.min_score if who is None else min(self.options.keep_score, self.min_score)
                 for who in askers]
        present = [k for k, reading in enumerate(readings) if reading.score >= least[k]]
        groups = [[present[k] for k in group]
                  for group in without_duplicates([readings[k] for k in present])]
        groups.sort(key=lambda group: group[0])
        kept = [group[0] for group in groups]
        askers = self._without_younger(groups, askers)
        pairs = assign(
            [track.awaited(self._stamp) for track in self.tracks],
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
                track = Track(reading.keypoints_px, self._stamp, self.new_memory())
                self.tracks.append(track)
            else:
                continue
            track.see(reading, self._stamp)
            track.found = max(track.found, *(found[k] for k in group))
            # What looks like a hand in single frames only is no hand: it goes on as if missed.
            if track.trust >= _TRUST_KEPT * self.min_score:
                track.misses = 0
                seen.append((track, reading))
        _note_apart(seen)
        self._forget({id(track) for track, _ in seen})
        alive = {id(track) for track in self.tracks}
        announced = [(track, reading.as_side(track.side)) for track, reading in seen
                     if id(track) in alive and self._announce(track, reading, lost)]
        # A hand read as one of the other side alone has no pose to show; both are tried next.
        for track, reading in announced:
            track.doubtful = reading.side != track.side
        return [(track, reading) for track, reading in announced if not track.doubtful]

    def _without_younger(
        self, groups: Sequence[list[int]], askers: Sequence[int | None]
    ) -> list[int | None]:
        """Drop newcomers whose readings are one with those of an older hand of their side, unless
        they were seen apart or differ in colour, and number the askers anew."""
        dropped: set[int] = set()
        for group in groups:
            who = sorted({askers[k] for k in group if askers[k] is not None})
            for n, young in enumerate(who):
                if any(_part_of(self.tracks[young], self.tracks[older]) for older in who[:n]):
                    dropped.add(young)
        kept = [k for k in range(len(self.tracks)) if k not in dropped]
        self.tracks = [self.tracks[k] for k in kept]
        return [kept.index(k) if k in kept else None for k in askers]

    def _forget(self, seen: set[int]) -> None:
        """Count misses, and drop hands missed too often or one too many.

        A hand where another one is seen may be hidden by it, and one at the edge of the image may
        come back: their misses do not count for a while.
        """
        shown = [joint_box(track.keypoints) for track in self.tracks if id(track) in seen]
        for track in self.tracks:
            if id(track) in seen:
                track.hidden = 0
                continue
            track.misses += 1
            box = joint_box(track.expected(self._stamp))
            if track.hidden < _HIDDEN_MOST and (self._beyond(box) or any(
                    overlap(box, other) > 0.1 for other in shown)):
                track.hidden += 1
        self.tracks = [
            track for track in self.tracks if track.misses - track.hidden <= (
                self.options.max_misses if track.name else _EARLY_MISSES)
        ]
        in_sight = [track for track in self.tracks if track.misses == 0]
        missed = [track for track in self.tracks if track.misses]
        # Names before newcomers, those that will get one first, older hands before young ones,
        # then the surer ones; sorting keeps the order among equals.
        in_sight.sort(key=lambda t: (
            t.name is None, self._doubts(t), t.hits < YOUNG, -t.trust))
        missed.sort(key=lambda t: (t.name is None, t.misses))
        kept = {id(t) for t in in_sight[:self.max_hands] + missed[:self.max_hands]}
        self.tracks = [track for track in self.tracks if id(track) in kept]

    def _beyond(self, box: np.ndarray) -> bool:
        """Whether a quarter of a box [x, y, w, h] or more is out of the image."""
        if self._size is None:
            return False
        inside = np.minimum(box[:2] + box[2:], self._size) - np.maximum(box[:2], 0)
        return bool(np.prod(np.clip(inside, 0, None)) < 0.75 * np.prod(box[2:]))

    def _announce(self, track: Track, reading: Reading, lost: float) -> bool:
        """Name a hand that was seen often enough; rename one whose side has turned."""
        side = 'right' if track.right > 0 else 'left'
        if track.name is None:
            track.side = side
            # Where every image comes after a pause, no later one will tell more of the side.
            sure = (abs(track.right) >= _SIDE_NAMED or track.hits >= self.options.min_hits + 3
                    or self._pauses > 1)
            if track.hits < self.options.min_hits or not sure:
                return False
            doubts = self._doubts(track)
            if doubts > 1 or doubts and _LIKELY > verdict_found(
                    reading.score_alone, track.found, lost):
                return False
            former = self._lost_one(track)
            if former is not None:
                self.tracks = [other for other in self.tracks if other is not former]
                track.go_on_as(former)
                return True
        elif side == track.side or abs(track.right) < _SIDE_TURNED:
            return True
        else:
            # What was learned of the other hand does not hold for this one.
            track.memory = self.new_memory()
        self.named += 1
        track.side, track.name = side, f'{side}_{self.named}'
        return True

    def _doubts(self, track: Track) -> int:
        """What the finder thinks of a hand: 0 it is one, 1 its reading must make up for doubts,
        2 it is none."""
        sure = self.options.announce_score
        return int(track.found < sure) + int(track.found < sure + _DOUBT)

    def _lost_one(self, track: Track) -> Track | None:
        """The lost hand that a newcomer is by its side, colour and place; the last one seen."""
        lost = [other for other in self.tracks
                if other.name and other.side == track.side and known_again(
                    other.awaited(self._stamp), track.keypoints, track.right, track.colour)]
        return min(lost, key=lambda other: other.misses, default=None)


def _part_of(track: Track, older: Track) -> bool:
    """Whether a hand read as an older one too is nothing but a part of it."""
    return (track.hits < YOUNG and track.apart < _APART and older.name is not None
            and track.right * older.right > 0
            and not colour_difference(track.colour, older.colour) > _STRANGE)


def _note_apart(seen: Sequence[tuple[Track, Reading]]) -> None:
    """Count for each hand the frames in which it is clear, and none of the others is near it."""
    boxes = [joint_box(reading.keypoints_px) for _, reading in seen]
    for k, (track, reading) in enumerate(seen):
        alone = not any(overlap(boxes[k], box) > 0 for j, box in enumerate(boxes) if j != k)
        track.apart += alone and min(reading.quality, track.trust) >= _CLEAR


def _near(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether two boxes [x, y, w, h] are of one hand, allowing for loose and tight ones.

    A box of twice the size may show that only a part of a hand is followed.
    """
    if not 1 / _LOOSE < box[2:].max() / max(other[2:].max(), 1.0) < _LOOSE:
        return False
    away = np.abs((box[:2] + box[2:] / 2) - (other[:2] + other[2:] / 2))
    size = max(other[2:].max(), 1.0)
    return overlap(box, other) > 0.3 or bool((away < 0.3 * size).all())
