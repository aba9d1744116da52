"""Log lines are not repeated for every image, and none is lost for good."""

from types import SimpleNamespace

import pytest

from hiu_ros.ros.quiet_log import LOG_PERIOD, STANDING_PERIOD, QuietLog


@pytest.fixture
def log():
    lines, now = [], SimpleNamespace(seconds=0.0)
    logger = SimpleNamespace(info=lines.append, warning=lines.append)
    return SimpleNamespace(
        quiet=QuietLog(logger, lambda: now.seconds), lines=lines, now=now)


def test_a_fault_of_every_image_is_one_line_in_five_seconds(log):
    for frame in range(301):
        log.now.seconds = frame / 30
        log.quiet.warning(f"image ignored: 'rgb{frame}' has {frame} bytes, expected 900")
    assert len(log.lines) == 1 + int(10 / LOG_PERIOD)


def test_a_standing_fault_comes_back_once_a_minute(log):
    for second in range(0, 181):
        log.now.seconds = second
        log.quiet.warning('camera_info is for 640 x 480 images', STANDING_PERIOD)
    assert len(log.lines) == 1 + int(180 / STANDING_PERIOD)


def test_a_standing_fault_with_other_numbers_is_told_but_not_thirty_times_a_second(log):
    for frame in range(301):
        log.now.seconds = frame / 30
        log.quiet.warning(f'camera_info is ignored: fx is -{frame}', STANDING_PERIOD)
    assert len(log.lines) == 1 + int(10 / LOG_PERIOD)


@pytest.mark.parametrize('particular', [
    lambda frame: repr(f"{chr(97 + frame % 26)}'s"),  # Python puts it in double quotes
    lambda frame: str((-1e-5, 1e-5, 0.1, float('nan'), -0.1, float('inf'), 1e300)[frame % 7]),
], ids=['apostrophe', 'numbers'])
def test_names_and_numbers_are_particulars_however_they_are_written(log, particular):
    for frame in range(301):
        log.now.seconds = frame / 30
        log.quiet.warning(f'image ignored: it is of {particular(frame)}, not of this camera')
    assert len(log.lines) == 1 + int(10 / LOG_PERIOD)


def test_words_that_look_like_numbers_are_none(log):
    for word in ('information', 'infinite', 'nanosec', 'e-stop'):
        log.quiet.warning(f'no {word} came')
    assert len(log.lines) == 4


def test_other_faults_are_told_at_once(log):
    log.quiet.warning('left: image ignored: 3 bytes')
    log.quiet.warning('right: image ignored: 3 bytes')
    log.quiet.info('time went back')
    assert len(log.lines) == 3


def test_a_long_life_does_not_fill_the_memory(log):
    for day in range(1000):
        log.now.seconds = 100.0 * day
        log.quiet.warning(f'fault {day}', STANDING_PERIOD)
    assert len(log.lines) == 1000 and len(log.quiet._said) < 300
