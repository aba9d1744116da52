"""Messages of two hands within the time that the package allows itself."""

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from hiu_ros.ros import message_cost  # noqa: E402
from hiu_ros.ros.topics import LATCHED, OUTPUTS  # noqa: E402


def test_keypoints_masks_meshes_and_markers_of_two_hands_take_three_milliseconds():
    assert message_cost.LIMIT == 0.003
    costs = []
    # A machine whose cores and caches others use is slow for seconds, which is not the messages'
    # fault: one quiet moment shows what they cost. A quiet machine has it at once.
    for _ in range(15):
        costs.append(np.percentile(message_cost.measure(60)['limited'], 10))
        if costs[-1] < message_cost.LIMIT:
            return
    raise AssertionError(f'{1000 * min(costs):.1f} ms at best')


def test_every_message_that_is_built_from_hands_is_measured():
    names = set(message_cost.builders(np.zeros((1, 3), int)))
    simple = {'annotated', 'wrist_pose/left', 'wrist_pose/right'}
    assert names >= set(OUTPUTS) - set(LATCHED) - simple


def test_the_hands_that_are_measured_are_whole():
    left, right = sorted(message_cost.two_hands(1)[0], key=lambda hand: hand.side)
    assert (left.side, right.side) == ('left', 'right')
    for hand in (left, right):
        assert len(hand.vertices_m) > 700 and hand.mask.size > 5000
        low = hand.keypoints_px.min(0)
        assert (low >= 0).all() and (hand.keypoints_px.max(0) < (640, 480)).all()
