"""How the node does: counts and times of the last seconds, judged against thresholds, at 1 Hz.

`FrameLog` collects, from any thread; `judge` turns its summary into a level and words; only
`to_message` knows the message type. Levels and names follow REP 107.
"""

import math
import threading
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from hiu_ros.perception.tracker import PAUSE

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
#: Times of the last so many frames make the medians and percentiles.
HISTORY = 300
#: WARN where a larger share of the frames has no depth; the first ones often have none.
WITHOUT_DEPTH = 0.1
#: WARN where depth fits none of so many hands in a row: of another unit, not aligned to colour, or
#: empty there, as where hands are too near for the sensor.
DEPTH_FITS_NONE = 3
#: Ages from which on stamps are of another clock, s: nothing here waits for so long.
ANOTHER_CLOCK = 3600.0


@dataclass(frozen=True)
class Summary:
    """One camera, or the sum of all, since the summary before; times in seconds."""

    period: float
    received: int = 0
    published: int = 0
    dropped: int = 0
    faults: int = 0
    ages: tuple[float, ...] = ()
    inference: tuple[float, ...] = ()
    without_depth: int = 0  #: of those published, where depth is asked for
    with_depth: int = 0  #: hands in frames with depth
    by_depth: int = 0  #: of those, the ones that it told the distance of
    unfit: int = 0  #: hands in frames with depth, over periods, since one that it told that of
    hands: int = 0
    silence: float = math.inf
    waiting: float = 0.0  #: since the first image that no result or fault came after
    last_fault: str = ''


@dataclass(frozen=True)
class State:
    """What the node knows besides counts."""

    lifecycle: str = 'active'
    paused: bool = False
    sleeping: bool = False  #: lazy, and nobody listens
    device: str = ''
    memory_bytes: int = 0  #: of the accelerator, 0 on a CPU
    camera_info: str = 'none'  #: 'used', 'none', 'none, why' or why it is not used
    depth: str = 'off'  #: 'off', 'used' or why it is not used
    depth_fault: str = ''  #: why the last frame that had no depth had none
    silence: str = ''  #: why no image may come, where none does
    dead: str = ''  #: why no frame can be processed any more
    warnings: tuple[str, ...] = ()


@dataclass
class FrameLog:
    """Counts and times of one camera; every method may be called from any thread."""

    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _since: float = 0.0
    _counts: dict[str, int] = field(default_factory=dict)
    _ages: deque = field(default_factory=lambda: deque(maxlen=HISTORY))
    _inference: deque = field(default_factory=lambda: deque(maxlen=HISTORY))
    _last_image: float | None = None
    _started: float | None = None
    _unanswered: float | None = None
    _hands: int = 0
    _unfit: int = 0
    _followed: float = -math.inf  #: moment until which those hands are known to be followed
    _fault: str = ''

    def start(self, now: float) -> None:
        """The camera is listened to from now on."""
        with self._lock:
            # Where it was listened to before, what was counted is of all of this period.
            self._since = now if self._started is None else self._since
            self._started, self._last_image, self._unanswered = now, None, None
            self._hands, self._unfit = 0, 0

    def image(self, now: float, dropped: bool) -> None:
        """An image came; `dropped` where an older one had to give way to it."""
        with self._lock:
            self._last_image = now
            self._unanswered = now if self._unanswered is None else self._unanswered
            self._add('received')
            if dropped:
                self._add('dropped')

    def result(
        self, age: float, inference: float, hands: int, without_depth: bool = False,
        by_depth: int | None = None,
    ) -> None:
        """A frame's results were published: age of its stamp by then, and the network's time.

        `without_depth` where depth is asked for and the frame had none. by_depth: hands whose
        distance is that of the frame's depth image; None without such an image.
        """
        with self._lock:
            self._add('published')
            if without_depth:
                self._add('without_depth')
            if by_depth is not None:
                self._add('with_depth', hands)
                self._add('by_depth', by_depth)
            self._unanswered = None
            self._ages.append(age)
            self._inference.append(inference)
            self._hands = hands

    def fault(self, text: str) -> None:
        """A frame could not be used."""
        with self._lock:
            self._add('faults')
            self._unanswered = None
            self._fault = text

    def _add(self, name: str, number: int = 1) -> None:
        self._counts[name] = self._counts.get(name, 0) + number

    def summary(self, now: float) -> Summary:
        """Everything since the last summary; starts the next period.

        Times are of the frames of this period, too; where there was none, of the last ones.
        """
        with self._lock:
            counts, self._counts = self._counts, {}
            recent = min(counts.get('published', 0), HISTORY) or HISTORY
            since, self._since = self._since, now
            self._unfit += counts.get('with_depth', 0)
            if counts.get('by_depth'):
                self._unfit = 0
            if counts.get('published'):
                self._followed = now + PAUSE
            elif now > self._followed:
                self._hands = 0
            heard = self._last_image if self._last_image is not None else self._started
            return Summary(
                period=max(now - since, 1e-6), hands=self._hands, last_fault=self._fault,
                unfit=self._unfit,
                ages=tuple(self._ages)[-recent:], inference=tuple(self._inference)[-recent:],
                silence=now - heard if heard is not None else math.inf,
                waiting=now - self._unanswered if self._unanswered is not None else 0.0, **counts,
            )


def judge(summary: Summary, state: State, options: object) -> tuple[int, str]:
    """Level and words. `options` holds the thresholds named warn_* and error_* in PARAMETERS.

    The worst finding counts; its words come first.
    """
    findings: list[tuple[int, str]] = []
    if state.dead:
        findings.append((ERROR, state.dead))
    if state.lifecycle != 'active' or state.paused or state.sleeping:
        why = state.lifecycle if state.lifecycle != 'active' else (
            'paused' if state.paused else 'nobody listens, the image topic is not subscribed')
        findings.append((OK, why))
    else:
        findings += _frame_findings(summary, state, options)
    findings += [(WARN, text) for text in state.warnings]
    if not findings:
        return OK, f'{summary.published / summary.period:.1f} frames/s'
    findings.sort(key=lambda finding: -_rank(finding[0]))
    return findings[0][0], '; '.join(text for _, text in findings)


def _rank(level: bytes | int) -> int:
    return level[0] if isinstance(level, bytes) else level


def _frame_findings(
    summary: Summary, state: State, options: object
) -> list[tuple[int, str]]:
    found = []
    if summary.silence >= options.warn_silence:
        level = ERROR if summary.silence >= options.error_silence else WARN
        why = f': {state.silence}' if state.silence else ''
        found.append((level, f'no image for {summary.silence:.0f} s{why}'))
    if summary.faults:
        level = WARN if summary.published else ERROR
        found.append((level, f'{summary.faults} unusable images, the last: {summary.last_fault}'))
    if summary.published:
        age = float(np.percentile(summary.ages, 95))
        if age >= ANOTHER_CLOCK:
            found.append((ERROR, f'stamps are {age:.0f} s old: of a recording, which takes '
                          'use_sim_time, or of a clock of the camera'))
        elif age >= options.error_age:
            found.append((ERROR, f'results are {age:.2f} s old'))
        elif age >= options.warn_age:
            found.append((WARN, f'results are {age:.2f} s old'))
        elif np.median(summary.ages) < -0.05:
            ahead = -float(np.median(summary.ages))
            found.append((WARN, f'stamps are {ahead:.2f} s in the future'))
    elif summary.waiting and summary.waiting >= options.warn_age:
        level = ERROR if summary.waiting >= options.error_age else WARN
        found.append((level, f'no result for {summary.waiting:.2f} s'))
    share = summary.dropped / summary.received if summary.received else 0.0
    if summary.received >= 5 and share > options.warn_drops:
        found.append((WARN, f'{share:.0%} of the images come too fast to be used'))
    if state.camera_info.partition(',')[0] not in ('used', 'none'):
        found.append((WARN, f'camera_info is ignored: {state.camera_info}'))
    if summary.without_depth > WITHOUT_DEPTH * summary.published:
        found.append((WARN, f'{summary.without_depth} of {summary.published} frames had no depth, '
                      f'the last: {state.depth_fault}'))
    if summary.with_depth and summary.unfit >= DEPTH_FITS_NONE:
        found.append((WARN, f'depth fits none of {summary.unfit} hands: expected 16UC1 in '
                      'millimetres or 32FC1 in metres, aligned to colour, a camera_info, and '
                      'hands no nearer than the depth camera measures'))
    return found


def values(summary: Summary, state: State) -> dict[str, str]:
    """The key-value pairs of the status."""

    def times(samples: tuple[float, ...], percent: float) -> str:
        return f'{1000 * np.percentile(samples, percent):.1f}' if samples else 'nan'

    return {
        'state': state.lifecycle,
        'rate in [Hz]': f'{summary.received / summary.period:.2f}',
        'rate out [Hz]': f'{summary.published / summary.period:.2f}',
        'dropped': str(summary.dropped),
        'unusable': str(summary.faults),
        'age at publish, median [ms]': times(summary.ages, 50),
        'age at publish, p95 [ms]': times(summary.ages, 95),
        'inference, median [ms]': times(summary.inference, 50),
        'inference, p95 [ms]': times(summary.inference, 95),
        'hands followed': str(0 if state.paused or state.sleeping else summary.hands),
        'camera_info': state.camera_info,
        'depth': state.depth,
        'without depth': str(summary.without_depth),
        'hands placed by depth': f'{summary.by_depth} of {summary.with_depth}',
        'device': state.device,
        'device memory [MiB]': f'{state.memory_bytes / 2**20:.0f}',
        'last error': state.dead or summary.last_fault or 'none',
    }


def to_message(
    stamp: object, name: str, reports: dict[str, tuple[Summary, State]], options: object
) -> DiagnosticArray:
    """One status a camera, named `<node>: <camera>`; `stamp` is builtin_interfaces/Time."""
    message = DiagnosticArray()
    message.header.stamp = stamp
    for camera, (summary, state) in reports.items():
        level, text = judge(summary, state, options)
        pairs = [KeyValue(key=key, value=value) for key, value in values(summary, state).items()]
        message.status.append(DiagnosticStatus(
            level=level, name=f'{name}: {camera or "hands"}', message=text, hardware_id=name,
            values=pairs,
        ))
    return message
