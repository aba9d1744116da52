"""A hand's size: measured in one camera's frames that agree, refused with a reason otherwise."""

import math
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from hiu_ros.srv import CalibrateHandSize  # noqa: E402

from hiu_ros.perception.result import Hands  # noqa: E402
from hiu_ros.ros.calibration import Calibration  # noqa: E402

#: m; of the fake engine's hand.
LENGTH = 0.1801


@pytest.fixture
def measure(fake):
    """`measure([(camera, distance or None), ...])`: the response after these frames."""
    def measure(frames, **request):
        node = SimpleNamespace(
            set_parameters=lambda values: [SimpleNamespace(successful=True, reason='')])
        calibration = Calibration(node)
        for camera, distance in frames:
            hands = () if distance is None else (fake.make_hand(1, at=(0.0, 0.0, distance)),)
            calibration.observe(camera, Hands(640, 480, hands))
        return calibration.on_request(
            CalibrateHandSize.Request(distance_m=0.6, duration_s=5.0, **request),
            CalibrateHandSize.Response())
    return measure


def test_frames_of_other_cameras_without_the_hand_do_not_matter(measure):
    response = measure([('left', 0.6), ('right', None)] * 6)
    assert response.success and response.hand_length_m == pytest.approx(LENGTH, rel=0.01)


@pytest.mark.parametrize('wanted', ['', 'right_1'])
def test_a_hand_that_two_cameras_see_is_not_measured(measure, wanted):
    response = measure([('left', 0.6), ('right', 1.2)] * 20, id=wanted)
    assert not response.success and math.isnan(response.hand_length_m)
    assert 'cameras left and right' in response.message
    assert 'where one camera sees it' in response.message


def test_measurements_that_disagree_are_refused(measure):
    assert measure([('', 0.58), ('', 0.62)] * 10).success
    response = measure([('', 0.5), ('', 0.7)] * 10)
    assert not response.success and 'differ too much' in response.message
    assert math.isnan(response.hand_length_m)
