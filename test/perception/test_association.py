"""Which reading is which hand."""

from types import SimpleNamespace

import numpy as np

from hiu_ros.perception.association import Awaited, assign
from hiu_ros.perception.colour import UNKNOWN

JOINTS = np.random.default_rng(2).uniform(0, 100, (21, 2)) + 200
TAN, PALE = np.array([50.0, 18.0, 24.0]), np.array([75.0, 8.0, 10.0])


def hand(keypoints=JOINTS, colour=TAN, right=30.0, patience=0.7, named=True, lost=False):
    return Awaited(keypoints, right, colour, patience, named, lost)


def reading(shift=0.0, colour=TAN, right=6.0):
    points = JOINTS + [shift, 0]
    return SimpleNamespace(keypoints_px=points, size=float(np.ptp(points, axis=0).max()),
                           right=right, colour=colour)


def test_of_two_readings_at_one_distance_a_hand_is_the_one_of_its_colour():
    for first, second, expected in ((TAN, PALE, 0), (PALE, TAN, 1)):
        readings = [reading(20, first), reading(-20, second)]
        assert assign([hand()], readings, [{0}, {0}]) == [(0, expected)]


def test_two_hands_that_have_crossed_unseen_are_told_apart_by_colour():
    hands = [hand(JOINTS, TAN), hand(JOINTS + [30, 0], PALE)]
    readings = [reading(12, PALE), reading(18, TAN)]
    assert assign(hands, readings, [{0}, {1}]) == [(0, 1), (1, 0)]


def test_a_lost_hand_does_not_come_back_in_another_colour():
    assert assign([hand(lost=True)], [reading(0, PALE)], [{0}]) == []
    assert assign([hand(lost=True)], [reading(0, TAN + [10, 1, 1])], [{0}]) == [(0, 0)]


def test_a_hand_in_sight_may_change_its_colour_as_when_a_lamp_is_lit():
    assert assign([hand()], [reading(0, PALE)], [{0}]) == [(0, 0)]


def test_a_colour_that_is_not_known_changes_nothing():
    for colour, other in ((UNKNOWN, PALE), (TAN, UNKNOWN)):
        assert assign([hand(colour=colour, lost=True)], [reading(0, other)], [{0}]) == [(0, 0)]


def test_a_hand_lost_long_ago_may_come_back_far_away_in_its_own_colour_only():
    lost = hand(patience=5.0, lost=True)
    far = [reading(300, colour) for colour in (TAN + [4, 1, 1], TAN + [0, 5, 0], PALE, UNKNOWN)]
    assert [assign([lost], [one], [{1}]) for one in far] == [[(0, 0)], [], [], []]
    assert assign([lost], [reading(300, TAN, right=-6.0)], [{1}]) == []
    assert assign([hand(patience=5.0, right=30.0)], [reading(300)], [{1}]) == []
    assert assign([lost], [reading(430)], [{1}]) == []
