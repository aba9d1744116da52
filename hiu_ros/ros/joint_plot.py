"""A plot of joint states over time, as a controller gets them."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from hiu_ros.perception.drawing import FINGER_COLOURS

_PAPER, _INK, _RULE = (255, 255, 255), (70, 70, 70), (225, 225, 225)
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 30, 30


def plot(
    title: str, times: np.ndarray, curves: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray] | None = None, limits: tuple[float, float] = (-0.4, 2.0),
    size: tuple[int, int] = (640, 300),
) -> np.ndarray:
    """A panel (height, width, 3) uint8 BGR of `size` (width, height).

    curves: finger -> rad at times (N,) s, NaN where there was no hand; drawn thick. truth: the
    same, drawn thin and dark.
    """
    width, height = size
    panel = np.full((height, width, 3), _PAPER, np.uint8)
    end = max(float(times[-1]), 1e-6)

    def pixels(values: np.ndarray) -> np.ndarray:
        x = _LEFT + times / end * (width - _LEFT - _RIGHT)
        share = (np.asarray(values) - limits[0]) / (limits[1] - limits[0])
        return np.stack([x, height - _BOTTOM - share * (height - _TOP - _BOTTOM)], 1)

    def text(words: str, x: int, y: int, colour: Sequence[int] = _INK) -> None:
        cv2.putText(panel, words, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)

    for value in np.arange(np.ceil(2 * limits[0]), 2 * limits[1] + 1e-6) / 2:
        y = round(float(pixels(np.full(len(times), value))[0, 1]))
        cv2.line(panel, (_LEFT, y), (width - _RIGHT, y), _RULE, 1)
        text(f'{value + 0.0:.1f}', 12, y + 4)
    for second in range(int(end) + 1):
        x = round(_LEFT + second / end * (width - _LEFT - _RIGHT))
        cv2.line(panel, (x, _TOP), (x, height - _BOTTOM), _RULE, 1)
        text(f'{second} s', x - 8, height - 12)
    for finger, values in (truth or {}).items():
        _curve(panel, pixels(values), tuple(0.55 * c for c in FINGER_COLOURS[finger]), 1)
    at = _LEFT + 8 * len(title) + 24
    text(title, _LEFT, 18)
    for finger, values in curves.items():
        _curve(panel, pixels(values), FINGER_COLOURS[finger], 2)
        cv2.line(panel, (at, 14), (at + 16, 14), FINGER_COLOURS[finger], 3, cv2.LINE_AA)
        text(finger, at + 21, 18)
        at += 34 + 8 * len(finger)
    return panel


def _curve(panel: np.ndarray, points: np.ndarray, colour: Sequence[float], width: int) -> None:
    """A line through the points, with gaps where they are not finite."""
    run: list[np.ndarray] = []
    for point in [*points, np.array([np.nan, np.nan])]:
        if np.isfinite(point).all():
            run.append(point)
            continue
        if len(run) > 1:
            line = np.rint(16 * np.array(run)).astype(np.int32)
            cv2.polylines(panel, [line], False, colour, width, cv2.LINE_AA, 4)
        run = []
