"""What following and placing have to reach, and a table of what they did."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Bar:
    """One demand. figure: key of the measured value; least: it must not be below the bar, else
    not above it."""

    figure: str
    text: str
    bar: float
    unit: str = ''
    least: bool = False

    def row(self, value: float | None) -> dict[str, object]:
        """A row of `COLUMNS` for a measured value, None or NaN where it was not measured."""
        measured = value is not None and value == value
        better = operator.ge if self.least else operator.le
        verdict = ('yes' if better(value, self.bar) else 'NO') if measured else 'not measured'
        sign = '>=' if self.least else '<='
        return {
            'figure': self.figure, 'text': self.text, 'value': value if measured else None,
            'bar': f'{sign} {self.bar:g}{" " + self.unit if self.unit else ""}', 'met': verdict}


COLUMNS: Final = {
    'text': ('figure', 's'), 'value': ('measured', '.4g'), 'bar': ('bar', 's'),
    'met': ('met', 's')}

BARS: Final = (
    Bar('switches_per_1000', 'id switches per 1000 hand-frames', 1.0),
    Bar('recall', 'recall', 0.97, least=True),
    Bar('false', 'false hands, share of found ones', 0.005),
    Bar('side', 'side right', 0.99, least=True),
    Bar('distance_known', 'distance error, size known, median', 3.0, '%'),
    Bar('distance_unknown', 'distance error, size unknown, median', 8.0, '%'),
    Bar('distance_depth_mm', 'distance error with noisy depth near 1 m, median', 8.0, 'mm'),
    Bar('reprojection_px', 'mesh reprojected onto true joints, median', 3.0, 'px'),
    Bar('jitter_sideways_mm', 'jitter at rest 0.7 m away, smoothed, sideways', 2.0, 'mm'),
    Bar('jitter_depth_mm', 'jitter at rest 0.7 m away, smoothed, in depth', 6.0, 'mm'),
    Bar('lag_frames', 'lag of smoothing, frames at 30 Hz', 1.0),
    Bar('clip_names', 'names of the one hand of the clip', 1.0),
    Bar('clip_found', 'frames of the clip with the hand found', 0.98, least=True),
)


def verdicts(values: Mapping[str, float]) -> list[dict[str, object]]:
    """A row for each bar."""
    return [bar.row(values.get(bar.figure)) for bar in BARS]


def missed(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Figures that were measured and do not reach their bar."""
    return [str(row['figure']) for row in rows if row['met'] == 'NO']
