"""Scores of following: CLEAR MOT (Bernardin and Stiefelhagen 2008) and IDF1 (Ristani et al. 2016).

Definitions as in trackeval: a match needs a box overlap of at least one half, matches of the frame
before are kept where they still hold, an id switch is a hand whose id differs from the last one
that it was matched with, and IDF1 rests on the one assignment of ids to hands that is best over
the whole video; unlike there, it counts matched pairs only, not all that overlap. Hands that are
hardly seen count neither as missed nor, when found, as false.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from hiu_ros.perception.association import overlap

OVERLAP = 0.5


@dataclass(frozen=True, eq=False)
class Seen:
    """A hand of one frame, true or found. box: [x, y, w, h] of its joints, px. counted: whether it
    must be found (of a true hand)."""

    id: Hashable
    box: np.ndarray
    side: str
    counted: bool = True


@dataclass
class FollowingScores:
    """Sums over frames; `row` gives the scores. Ids must be unique over all videos added."""

    true: int = 0
    found: int = 0
    matches: int = 0
    missed: int = 0
    false: int = 0
    switches: int = 0
    sides_right: int = 0
    _last: dict[Hashable, Hashable] = field(default_factory=dict)
    _before: dict[Hashable, Hashable] = field(default_factory=dict)
    _common: dict[tuple[Hashable, Hashable], int] = field(default_factory=dict)

    def add(self, truth: Sequence[Seen], found: Sequence[Seen]) -> list[tuple[int, int]]:
        """Count one frame; returns pairs of indices (true, found) that match."""
        similar = np.array([[overlap(t.box, f.box) for f in found] for t in truth])
        similar = similar.reshape(len(truth), len(found))
        bonus = np.array([[float(self._before.get(t.id) == f.id) for f in found] for t in truth])
        value = np.where(similar >= OVERLAP, similar + 1000 * bonus.reshape(similar.shape), 0.0)
        rows, columns = linear_sum_assignment(-value)
        pairs = [(int(i), int(j)) for i, j in zip(rows, columns) if value[i, j] > 0]
        self._before = {truth[i].id: found[j].id for i, j in pairs}
        aside = {j for i, j in pairs if not truth[i].counted}
        # A find on a hardly seen hand is no fault, even where another find matched it better.
        matched = {j for _, j in pairs}
        for i, t in enumerate(truth):
            if not t.counted:
                aside |= {j for j in range(len(found))
                          if j not in matched and similar[i, j] >= OVERLAP / 2}
        counted = [(i, j) for i, j in pairs if truth[i].counted]
        self.true += sum(t.counted for t in truth)
        self.found += len(found) - len(aside)
        self.matches += len(counted)
        self.missed += sum(t.counted for t in truth) - len(counted)
        self.false += len(found) - len(aside) - len(counted)
        for i, j in counted:
            name, hand = found[j].id, truth[i].id
            self.switches += self._last.get(hand, name) != name
            self._last[hand] = name
            self._common[hand, name] = self._common.get((hand, name), 0) + 1
            self.sides_right += truth[i].side == found[j].side
        return counted

    def row(self) -> dict[str, float]:
        """Scores: shares of true hands, but `false` of found ones and `switches` per 1000."""
        true, found = max(self.true, 1), max(self.found, 1)
        hands = sorted({hand for hand, _ in self._common}, key=repr)
        names = sorted({name for _, name in self._common}, key=repr)
        table = np.zeros((len(hands), len(names)))
        for (hand, name), count in self._common.items():
            table[hands.index(hand), names.index(name)] = count
        rows, columns = linear_sum_assignment(-table)
        return {
            'hand_frames': self.true,
            'recall': self.matches / true,
            'false': self.false / found,
            'switches': self.switches,
            'switches_per_1000': 1000 * self.switches / true,
            'side': self.sides_right / max(self.matches, 1),
            'mota': 1 - (self.missed + self.false + self.switches) / true,
            'idf1': 2 * float(table[rows, columns].sum()) / max(self.true + self.found, 1),
        }
