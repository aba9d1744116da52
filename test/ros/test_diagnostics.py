"""Diagnostics: every level fires by its threshold, and nothing else does."""

import math
from dataclasses import replace

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('diagnostic_msgs')

from builtin_interfaces.msg import Time  # noqa: E402

from hiu_ros.ros.diagnostics import (  # noqa: E402
    ERROR,
    OK,
    WARN,
    FrameLog,
    State,
    Summary,
    judge,
    to_message,
    values,
)
from hiu_ros.ros.parameters import NodeOptions  # noqa: E402

OPTIONS = NodeOptions()
GOOD = Summary(
    period=1.0, received=30, published=28, dropped=2, ages=(0.05,) * 28, inference=(0.03,) * 28,
    hands=2, silence=0.02,
)
ACTIVE = State(device='cpu')


@pytest.mark.parametrize('summary, state, level, words', [
    (GOOD, ACTIVE, OK, '28.0 frames/s'),
    (replace(GOOD, period=2.0), ACTIVE, OK, '14.0 frames/s'),
    (Summary(period=1.0, silence=0.1), ACTIVE, OK, '0.0 frames/s'),
    (replace(GOOD, ages=(0.31,) * 28), ACTIVE, WARN, '0.31 s old'),
    (replace(GOOD, ages=(2.5,) * 28), ACTIVE, ERROR, '2.50 s old'),
    (replace(GOOD, ages=(1e9,) * 28), ACTIVE, ERROR, 'stamps are 1000000000 s old: of a rec'),
    (replace(GOOD, ages=(0.05,) * 24 + (0.4,) * 4), ACTIVE, WARN, 'old'),
    (replace(GOOD, ages=(-1.0,) * 28), ACTIVE, WARN, 'stamps are 1.00 s in the future'),
    (replace(GOOD, ages=(-0.01,) * 28), ACTIVE, OK, '28.0 frames/s'),
    (replace(GOOD, ages=(0.01,) * 28), ACTIVE, OK, '28.0 frames/s'),
    (replace(GOOD, dropped=28), ACTIVE, WARN, 'too fast'),
    (replace(GOOD, received=4, dropped=3), ACTIVE, OK, 'frames/s'),
    (replace(GOOD, silence=2.5), ACTIVE, WARN, 'no image for 2 s'),
    (replace(GOOD, silence=11.0), ACTIVE, ERROR, 'no image for 11 s'),
    (replace(GOOD, silence=11.0), replace(ACTIVE, silence='nobody publishes /image'), ERROR,
     'no image for 11 s: nobody publishes /image'),
    (replace(GOOD, faults=3, last_fault='step is 0'), ACTIVE, WARN, 'step is 0'),
    (replace(GOOD, published=0, faults=3, last_fault='x'), ACTIVE, ERROR, '3 unusable'),
    (replace(GOOD, published=0, waiting=0.2), ACTIVE, OK, '0.0 frames/s'),
    (replace(GOOD, published=0, waiting=0.5), ACTIVE, WARN, 'no result for 0.50 s'),
    (replace(GOOD, published=0, waiting=25.0), ACTIVE, ERROR, 'no result for 25.00 s'),
    (GOOD, replace(ACTIVE, camera_info='used'), OK, '28.0 frames/s'),
    (GOOD, replace(ACTIVE, camera_info='fx is 0'), WARN, 'camera_info is ignored: fx is 0'),
    (replace(GOOD, without_depth=2), ACTIVE, OK, '28.0 frames/s'),
    (replace(GOOD, without_depth=3), replace(ACTIVE, depth='used', depth_fault='/depth: late'),
     WARN, '3 of 28 frames had no depth, the last: /depth: late'),
    (replace(GOOD, with_depth=28, unfit=28), ACTIVE, WARN,
     'depth fits none of 28 hands: expected 16UC1'),
    (replace(GOOD, with_depth=28, unfit=28), ACTIVE, WARN,
     'no nearer than the depth camera measures'),
    (replace(GOOD, with_depth=28, by_depth=1), ACTIVE, OK, '28.0 frames/s'),
    (replace(GOOD, with_depth=2, unfit=2), ACTIVE, OK, '28.0 frames/s'),
    (replace(GOOD, with_depth=0, unfit=9), ACTIVE, OK, '28.0 frames/s'),
    (GOOD, replace(ACTIVE, dead='CUDA error'), ERROR, 'CUDA error'),
    (GOOD, replace(ACTIVE, warnings=('2 nodes have the name /a',)), WARN, '2 nodes'),
    (replace(GOOD, silence=math.inf), replace(ACTIVE, sleeping=True), OK, 'nobody listens'),
    (replace(GOOD, silence=math.inf), replace(ACTIVE, paused=True), OK, 'paused'),
    (replace(GOOD, silence=math.inf), replace(ACTIVE, lifecycle='inactive'), OK, 'inactive'),
    (GOOD, State(lifecycle='unconfigured', dead='lost'), ERROR, 'lost'),
])
def test_levels(summary, state, level, words):
    assert judge(summary, state, OPTIONS)[0] == level
    assert words in judge(summary, state, OPTIONS)[1]


@pytest.mark.parametrize('answer', [
    lambda log: log.result(0.1, 0.1, 1), lambda log: log.fault('x'), lambda log: log.start(9.0),
], ids=['result', 'fault', 'start'])
def test_waiting_counts_from_the_first_image_without_an_answer(answer):
    log = FrameLog()
    log.start(0.0)
    assert log.summary(1.0).waiting == 0.0
    for moment in (2.0, 3.0, 4.0):
        log.image(moment, False)
    assert log.summary(5.0).waiting == log.summary(8.0).waiting - 3.0 == 3.0
    answer(log)
    assert log.summary(9.0).waiting == 0.0
    log.image(10.0, False)
    assert log.summary(12.0).waiting == 2.0


def test_thresholds_are_the_parameters():
    summary = replace(GOOD, ages=(0.31,) * 28)
    assert judge(summary, ACTIVE, replace(OPTIONS, warn_age=0.4))[0] == OK
    assert judge(summary, ACTIVE, replace(OPTIONS, error_age=0.3))[0] == ERROR
    assert judge(replace(GOOD, silence=2.5), ACTIVE, replace(OPTIONS, warn_silence=3.0))[0] == OK
    assert judge(replace(GOOD, dropped=10), ACTIVE, replace(OPTIONS, warn_drops=0.3))[0] == WARN


def test_the_worst_finding_comes_first():
    summary = replace(GOOD, ages=(0.31,) * 28, silence=20.0)
    level, text = judge(summary, ACTIVE, OPTIONS)
    assert level == ERROR and text.startswith('no image') and 'old' in text
    level, text = judge(replace(summary, ages=(2.5,) * 28, silence=2.5), ACTIVE, OPTIONS)
    assert level == ERROR and text.startswith('results are 2.50 s old; no image')


def test_a_log_counts_by_period():
    log = FrameLog()
    log.start(100.0)
    for k in range(4):
        log.image(100.0 + k / 10, dropped=k == 3)
        log.result(0.2 + k / 100, 0.1, hands=k, without_depth=k > 1,
                   by_depth=None if k > 2 else 1)
    log.fault('too short')
    summary = log.summary(101.0)
    assert (summary.received, summary.published, summary.dropped, summary.faults) == (4, 4, 1, 1)
    assert summary.without_depth == 2
    assert (summary.with_depth, summary.by_depth) == (0 + 1 + 2, 3)
    assert summary.period == pytest.approx(1.0) and summary.hands == 3
    assert summary.silence == pytest.approx(0.7) and summary.last_fault == 'too short'
    assert summary.ages == pytest.approx((0.2, 0.21, 0.22, 0.23))
    after = log.summary(102.0)
    assert (after.received, after.faults) == (0, 0)
    assert after.last_fault == 'too short' and after.ages == summary.ages
    log.result(0.9, 0.3, hands=0)
    newest = log.summary(103.0)
    assert (newest.ages, newest.inference, newest.hands) == ((0.9,), (0.3,), 0)


def test_rates_are_of_the_whole_period_also_where_readers_go_and_come_in_it():
    log = FrameLog()
    log.start(100.0)
    log.summary(101.0)
    for k in range(20):
        log.image(101.0 + 0.04 * k, dropped=False)
        log.result(0.05, 0.03, hands=0)
    log.start(101.95)
    pairs = values(log.summary(102.0), ACTIVE)
    assert (pairs['rate in [Hz]'], pairs['rate out [Hz]']) == ('20.00', '20.00')


def test_hands_are_followed_no_more_where_no_result_came_for_as_long_as_a_pause_ends_them():
    """Because the camera is dead, or sends nothing but what cannot be used."""
    log = FrameLog()
    log.start(100.0)
    log.result(0.2, 0.1, hands=2)
    seen = []
    for second in range(101, 106):
        log.fault('cut short')
        seen.append(log.summary(float(second)).hands)
    assert seen == [2, 2, 2, 0, 0]
    log.result(0.2, 0.1, hands=1)
    assert log.summary(106.0).hands == 1
    log.start(107.0)
    assert log.summary(107.5).hands == 0


def test_depth_that_fits_no_hand_is_told_however_slow_the_node_is():
    """With two hands or fewer in every second, as on a weak computer."""
    log, told = FrameLog(), []
    log.start(100.0)
    for second, by_depth in enumerate((0, 0, 0, 1, 0, 0, 0), 101):
        log.result(0.2, 0.1, hands=1, by_depth=by_depth)
        told.append('depth fits none of' in judge(log.summary(float(second)), ACTIVE, OPTIONS)[1])
    assert told == [False, False, True, False, False, False, True]


def test_silence_counts_from_the_start_where_no_image_came():
    log = FrameLog()
    assert log.summary(5.0).silence == math.inf
    log.image(6.0, dropped=False)
    log.start(10.0)
    assert log.summary(13.0).silence == pytest.approx(3.0)


def test_values_are_rates_a_second_percentiles_and_mebibytes():
    times = tuple(k / 100 for k in range(101))
    pairs = values(replace(GOOD, period=2.0, ages=times, inference=times[::-1]),
                   replace(ACTIVE, memory_bytes=3 * 1024 * 1024))
    assert (pairs['rate in [Hz]'], pairs['rate out [Hz]']) == ('15.00', '14.00')
    for what in ('age at publish', 'inference'):
        assert pairs[f'{what}, median [ms]'] == '500.0' and pairs[f'{what}, p95 [ms]'] == '950.0'
    assert pairs['device memory [MiB]'] == '3'
    # Before the first frame there is nothing to take one of.
    none = values(Summary(period=1.0), ACTIVE)
    assert none['age at publish, p95 [ms]'] == none['inference, median [ms]'] == 'nan'


def test_message_names_node_and_camera():
    message = to_message(Time(sec=4), 'ns/hiu_node', {'left': (GOOD, ACTIVE)}, OPTIONS)
    assert message.header.stamp.sec == 4
    status = message.status[0]
    assert status.name == 'ns/hiu_node: left' and status.level == OK
    assert status.message == '28.0 frames/s' and status.hardware_id == 'ns/hiu_node'
    pairs = {pair.key: pair.value for pair in status.values}
    assert pairs == values(GOOD, ACTIVE)
    assert pairs['age at publish, p95 [ms]'] == '50.0' and pairs['rate in [Hz]'] == '30.00'
    assert pairs['last error'] == 'none' and pairs['device'] == 'cpu'
    idle = [values(GOOD, replace(ACTIVE, **{why: True})) for why in ('paused', 'sleeping')]
    assert pairs['hands followed'] == '2' and {v['hands followed'] for v in idle} == {'0'}
    bad = replace(GOOD, last_fault='step is 7')
    assert values(bad, ACTIVE)['last error'] == 'step is 7'
    assert values(bad, replace(ACTIVE, dead='CUDA error'))['last error'] == 'CUDA error'
