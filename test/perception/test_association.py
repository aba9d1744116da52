"""Which reading is which hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from hiu_ros.geometry.crop import Crop
from hiu_ros.perception.association import (
    Awaited,
    assign,
    joint_box,
    joint_distance,
    known_again,
    overlap,
    steadiness,
    without_duplicates,
)
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
    assert assign([lost], [reading(430)], [{0}]) == []


def test_a_hand_lost_just_now_is_not_known_again_farther_off_than_it_can_have_come():
    for patience, shift, known in ((0.7, 50, True), (0.7, 90, False), (3.0, 90, True)):
        lost = hand(patience=patience, lost=True)
        assert known_again(lost, JOINTS + [shift, 0], 6.0, TAN) is known


def test_a_hand_is_as_large_as_it_is_long_however_slender():
    slender = (JOINTS - JOINTS.mean(axis=0)) * [1, 0.1] + 300
    for points in (slender, slender[:, ::-1]):
        one = SimpleNamespace(keypoints_px=points + [60, 0], right=6.0, colour=TAN,
                              size=float(np.ptp(points, axis=0).max()))
        assert assign([hand(points)], [one], [{0}]) == [(0, 0)]


def test_joints_are_apart_by_so_much_of_the_larger_hand():
    small, large = JOINTS - JOINTS.mean(axis=0), 2 * (JOINTS - JOINTS.mean(axis=0))
    share = np.linalg.norm(small, axis=1).mean() / np.ptp(large, axis=0).max()
    assert joint_distance(small, large) == joint_distance(large, small) == pytest.approx(share)


def test_a_pose_may_change_a_little_at_once_and_more_with_time():
    size, way = np.ptp(JOINTS, axis=0).max(), np.where(np.arange(21) % 2, 1, -1)[:, None]
    before = JOINTS + [400, 0]

    def steady(change, step):
        return steadiness(JOINTS + change * size * way * [0, 1] + [0, 300], before, step)

    assert steady(0.1, 0.0) == 1 > 0.5 > steady(0.4, 0.0) == steady(0.4, -1.0)
    assert steady(0.4, 0.1) == 1 > 0.5 > steady(2.0, 0.1)


@pytest.mark.parametrize('box, share', [
    ([0, 0, 10, 10], 1), ([5, 0, 10, 10], 1 / 3), ([0, 0, 5, 5], 1 / 4), ([-5, -5, 10, 10], 1 / 7),
    ([0, 0, 20, 4], 2 / 7), ([10, 0, 10, 10], 0), ([30, 0, 10, 10], 0), ([30, 30, 10, 10], 0),
    ([2, 2, 0, 5], 0)])
def test_overlap_is_the_intersection_over_the_union(box, share):
    a, b = np.array([0.0, 0, 10, 10]), np.array(box, float)
    assert overlap(a, b) == overlap(b, a) == pytest.approx(share)
    assert overlap(b[[1, 0, 3, 2]], a) == pytest.approx(share)
    empty = np.zeros(4)
    assert overlap(empty, empty) == 0


def test_the_box_of_joints_holds_them_and_no_more():
    assert joint_box(np.array([[5.0, 90], [2, 80], [9, 85]])).tolist() == [2, 80, 7, 10]


def test_a_hand_is_not_one_that_is_farther_off_than_it_can_have_come():
    assert assign([hand()], [reading(60)], [{0}]) == [(0, 0)]
    assert assign([hand()], [reading(90)], [{0}]) == []
    # Less in a region that was made for another hand, or found.
    assert not assign([hand()], [reading(60)], [{1}])
    assert not assign([hand()], [reading(60)], [{None}])
    assert assign([hand()], [reading(25)], [{1}]) == [(0, 0)]
    # Never very far, but in its own colour.
    assert assign([hand(patience=5.0)], [reading(160)], [{0}]) == [(0, 0)]
    assert assign([hand(patience=5.0)], [reading(200)], [{0}]) == []


def test_a_hand_is_of_about_the_size_it_was_but_may_have_been_seen_in_part():
    middle = JOINTS.mean(axis=0)

    def sized(scale, whose):
        points = middle + scale * (JOINTS - middle)
        return assign([hand()], [SimpleNamespace(
            keypoints_px=points, size=float(np.ptp(points, axis=0).max()), right=6.0,
            colour=TAN)], [whose]) != []

    assert sized(1.8, {1}) and not sized(2.6, {1})
    assert sized(3.0, {0}) and not sized(12.0, {0})
    assert sized(0.6, {0}) and not sized(0.35, {0}) and not sized(0.35, {1})


def test_of_two_readings_a_hand_is_the_one_of_its_side_and_of_its_own_region():
    for first, second, expected in ((6.0, -6.0, 0), (-6.0, 6.0, 1)):
        two = [reading(10, right=first), reading(-10, right=second)]
        assert assign([hand()], two, [{0}, {0}]) == [(0, expected)]
    for own in (0, 1):
        whose = [{0 if own == k else None} for k in range(2)]
        assert assign([hand()], [reading(10), reading(-10)], whose) == [(0, own)]
    # A side that is hardly known decides nothing against the place.
    two = [reading(18, right=6.0), reading(2, right=-6.0)]
    assert assign([hand(right=0.1)], two, [{0}, {0}]) == [(0, 1)]
    two = [reading(18, right=0.05), reading(2, right=-0.05)]
    assert assign([hand(right=4.0)], two, [{0}, {0}]) == [(0, 1)]


def test_of_two_readings_far_off_a_hand_is_the_nearer_one():
    for first, second, expected in ((55, 64, 0), (64, -55, 1)):
        assert assign([hand()], [reading(first), reading(second)], [{0}, {0}]) == [(0, expected)]


def test_what_a_hand_and_a_newcomer_could_both_be_is_the_hand():
    newcomer, known = hand(JOINTS + [4, 0], named=False), hand()
    assert assign([newcomer, known], [reading(3)], [{0}]) == [(1, 0)]
    assert assign([known, newcomer], [reading(3)], [{1}]) == [(0, 0)]


def test_an_assignment_needs_hands_and_readings():
    assert assign([], [reading()], [{None}]) == assign([hand()], [], []) == []


CROP = Crop((250.0, 250.0), 200.0, resolution=50)
FULL, HALF = np.ones((50, 50)), np.zeros((50, 50))
HALF[:, :25] = 1


def found(shift=0.0, right=6.0, quality=0.9, mask=FULL, crop=CROP):
    one = reading(shift, right=right)
    one.quality, one.mask, one.crop = quality, mask, crop
    return one


def test_readings_at_one_place_are_one_hand_and_the_best_of_them_comes_first():
    three = [found(0, quality=0.7), found(300, quality=0.8), found(5, quality=0.9)]
    assert without_duplicates(three) == [[2, 0], [1]]
    assert without_duplicates([]) == []


def test_a_hand_is_told_by_its_best_reading_not_by_what_was_put_to_it():
    chain = [found(0, quality=0.9), found(25, quality=0.8), found(50, quality=0.7)]
    assert without_duplicates(chain) == [[0, 1], [2]]


def test_readings_of_two_sides_are_one_hand_only_where_they_hardly_differ():
    assert len(without_duplicates([found(), found(10, right=-6.0)])) == 1
    assert len(without_duplicates([found(), found(25)])) == 1
    assert len(without_duplicates([found(right=-6.0), found(25, right=-6.0)])) == 1
    assert len(without_duplicates([found(), found(25, right=-6.0)])) == 2
    assert len(without_duplicates([found(right=-6.0), found(25)])) == 2
    assert len(without_duplicates([found(), found(45)])) == 2


def test_a_blurred_reading_in_the_mask_of_a_sharp_one_is_a_part_of_that_hand():
    empty = np.zeros((50, 50))
    elsewhere = [Crop(centre, 200.0, resolution=50)
                 for centre in ((250.0, 360.0), (250.0, 140.0), (450.0, 250.0), (50.0, 250.0))]

    def count(*readings):
        hands = len(without_duplicates(readings))
        assert hands == len(without_duplicates(readings[::-1]))
        return hands

    assert count(found(), found(50, quality=0.5, mask=HALF)) == 1
    assert count(found(mask=HALF), found(50, quality=0.5)) == 1
    assert count(found(mask=0.6 * FULL), found(50, quality=0.5, mask=0.6 * HALF)) == 1
    assert count(found(mask=0.4 * FULL), found(50, quality=0.5, mask=0.6 * HALF)) == 2
    # Sharp ones are two hands whose masks have run into one.
    assert count(found(), found(50, quality=0.8, mask=HALF)) == 2
    assert count(found(quality=0.5), found(50, quality=0.45, mask=HALF)) == 2
    # A mask that lies elsewhere, covers little of the other or is empty says nothing.
    for crop in elsewhere:
        assert count(found(), found(50, quality=0.5, crop=crop)) == 2
    for half in (HALF, HALF.T):
        assert count(found(mask=half), found(50, quality=0.5, mask=half)) == 1
        assert count(found(mask=half), found(50, quality=0.5, mask=half[::-1, ::-1])) == 2
    assert count(found(), found(50, quality=0.5, mask=empty)) == 2
    assert count(found(mask=empty), found(50, quality=0.5, mask=empty)) == 2
    assert count(found(), found(150, quality=0.5, mask=HALF)) == 2
