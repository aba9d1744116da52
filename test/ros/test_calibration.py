"""A hand's size: measured in one camera's frames that agree, refused with a reason otherwise."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from hiu_ros.srv import CalibrateHandSize  # noqa: E402
from rclpy.context import Context  # noqa: E402

from hiu_ros.perception.result import Hands, ScaleSource  # noqa: E402
from hiu_ros.ros.calibration import Calibration  # noqa: E402
from hiu_ros.ros.lifecycle_node import HiuNode  # noqa: E402

#: m; of the fake engine's hand.
LENGTH = 0.1801


@pytest.fixture
def measure(fake):
    """`measure([(camera, distance or None), ...])`: the response after these frames."""
    def measure(frames, source=ScaleSource.CAMERA_INFO, reason='', times=1, **request):
        node = SimpleNamespace(
            set_parameters=lambda values: [SimpleNamespace(successful=not reason, reason=reason)])
        calibration = Calibration(node)
        for camera, distance in frames:
            hands = () if distance is None else (
                replace(fake.make_hand(1, at=(0.0, 0.0, distance)), scale_source=source),)
            calibration.observe(camera, Hands(640, 480, hands))
        for _ in range(times):
            response = calibration.on_request(
                CalibrateHandSize.Request(**{'distance_m': 0.6, 'duration_s': 5.0} | request),
                CalibrateHandSize.Response())
        return response
    return measure


def test_frames_of_other_cameras_without_the_hand_do_not_matter(measure):
    response = measure([('left', 0.6), ('right', None)] * 6)
    assert response.success and response.hand_length_m == pytest.approx(LENGTH, rel=0.01)


def test_a_frame_that_is_far_off_does_not_move_the_result(measure):
    response = measure([('', 0.6)] * 10 + [('', 0.5)])
    assert response.success and response.hand_length_m == pytest.approx(LENGTH, rel=0.001)


@pytest.mark.parametrize('wanted, words', [
    ('', '2 hands in view'), ('left_9', '0 hands named left_9 in view'), ('right_1', '')])
def test_of_two_hands_in_view_one_is_named(fake, wanted, words):
    calibration = Calibration(SimpleNamespace(
        set_parameters=lambda values: [SimpleNamespace(successful=True, reason='')]))
    for _ in range(6):
        calibration.observe('', Hands(640, 480, (
            fake.make_hand(2, at=(0.0, 0.0, 0.9)), fake.make_hand(1, at=(0.0, 0.0, 0.6)))))
    response = calibration.on_request(CalibrateHandSize.Request(
        id=wanted, distance_m=0.6, duration_s=5.0), CalibrateHandSize.Response())
    assert response.success == (not words) and words in response.message
    if response.success:
        assert response.hand_length_m == pytest.approx(LENGTH, rel=0.001)


def test_a_hand_without_a_known_distance_is_no_measurement(fake):
    calibration = Calibration(None)
    for _ in range(6):
        calibration.observe('', Hands(640, 480, (fake.make_hand(1, at=None),)))
    response = calibration.on_request(CalibrateHandSize.Request(
        distance_m=0.6, duration_s=5.0), CalibrateHandSize.Response())
    assert not response.success and 'needs camera_info' in response.message


@pytest.mark.parametrize('wanted', ['', 'right_1'])
def test_a_hand_that_two_cameras_see_is_not_measured(measure, wanted):
    response = measure([('left', 0.6), ('right', 1.2)] * 20, id=wanted)
    assert not response.success and math.isnan(response.hand_length_m)
    assert 'cameras left and right' in response.message
    assert 'where one camera sees it' in response.message


@pytest.mark.parametrize('change, words', [
    ({'source': ScaleSource.DEPTH}, 'no depth image'),
    ({'times': 2}, '0 measurements are too few'),
    ({'reason': 'hand_length_m: got 0.6'}, 'hand_length_m: got 0.6'),
    ({'distance_m': 0.05}, 'distance_m 0.05'), ({'distance_m': 5.5}, 'distance_m 5.5'),
    ({'duration_s': 0.05}, 'duration_s 0.05'), ({'duration_s': 31.0}, 'duration_s 31'),
], ids=str)
def test_what_was_not_measured_is_told_and_sets_no_length(measure, change, words):
    response = measure([('', 0.6)] * 10, **change)
    assert not response.success and words in response.message
    assert math.isnan(response.hand_length_m)


@pytest.mark.parametrize('frames, words', [
    (0, '0 images in the last 5 s; the node does not look while it is paused or not active, nor '
        'while nobody reads a topic'),
    (3, '3 images in the last 5 s; ask for more with duration_s')])
def test_too_few_images_are_told_with_what_brings_more(measure, frames, words):
    response = measure([('', 0.6)] * frames)
    assert not response.success and words in response.message


def test_measurements_that_disagree_are_refused(measure):
    assert measure([('', 0.58), ('', 0.62)] * 10).success
    response = measure([('', 0.5), ('', 0.7)] * 10)
    assert not response.success and 'differ too much' in response.message
    assert math.isnan(response.hand_length_m)


def test_a_hand_from_before_a_cleanup_is_not_measured_under_the_same_name(fake, domain):
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = HiuNode(fake.FakeEngine, context=context)
    measured = []
    for _ in range(2):
        node.trigger_configure()
        if not measured:
            for _ in range(6):
                node._calibration.observe('', Hands(640, 480, (fake.make_hand(1),)))
        measured.append(node._calibration._ratios('right_1', 30.0)[0])
        node.trigger_cleanup()
    node.end()
    rclpy.shutdown(context=context)
    assert [len(ratios) for ratios in measured] == [6, 0]
