"""The score of a region: more of what speaks for a hand never makes it less of one."""

import numpy as np
import pytest

from hiu_ros.perception.verdict import clarity, evidence, verdict, verdict_alone, verdict_found

SHARP = np.full(21, 0.8)


def test_a_clear_hand_is_one_and_nothing_is_none():
    assert verdict(0.99, SHARP, 4.0) > 0.8
    assert verdict(0.02, np.full(21, 0.1), 0.3) < 0.05


@pytest.mark.parametrize('change', [
    {'presence': 0.9}, {'keypoint_scores': SHARP}, {'right': 3.0}, {'right': -3.0}])
def test_each_piece_of_evidence_counts(change):
    weak = {'presence': 0.5, 'keypoint_scores': np.full(21, 0.4), 'right': 0.5}
    assert verdict(**{**weak, **change}) > verdict(**weak) + 0.05


def test_a_single_sharp_joint_does_not_make_a_hand():
    blurred = np.full(21, 0.1)
    spot = blurred.copy()
    spot[8] = 1.0
    assert verdict(0.9, blurred, 4.0) < verdict(0.9, spot, 4.0) < 0.5 < verdict(0.9, SHARP, 4.0)


def test_side_counts_the_same_for_left_and_right():
    assert verdict(0.8, SHARP, 2.5) == verdict(0.8, SHARP, -2.5)


@pytest.mark.parametrize('presence', [0.0, 1.0])
@pytest.mark.parametrize('right', [-1e9, 0.0, 1e9])
def test_extremes_stay_between_0_and_1(presence, right):
    for scores in (np.zeros(21), np.ones(21)):
        assert 0 < verdict(presence, scores, right) < 1
        assert np.isfinite(evidence(presence, scores, right)).all()


def test_alone_a_clear_mask_stands_in_for_joints_that_cannot_be_told():
    followed = verdict(0.99, np.full(21, 0.2), 0.5)
    assert followed < 0.3 and verdict_alone(followed, 0.99, 0.94) > 0.5
    assert verdict_alone(followed, 0.99, 0.85) < 0.5
    assert verdict_alone(followed, 0.02, 0.94) < 0.3
    clearer = [verdict_alone(followed, 0.99, clear) for clear in (0.84, 0.87, 0.9, 0.93)]
    assert np.diff(clearer).min() > 0.05


def test_alone_it_lies_between_0_and_1():
    assert verdict_alone(0.0, 0.0, 0.0) >= 0 and verdict_alone(1.0, 1.0, 1.0) <= 1


def test_clarity_is_the_mean_of_what_the_mask_covers():
    mask = np.array([[0.1, 0.6], [0.8, 0.4]])
    assert clarity(mask) == pytest.approx(0.7) and clarity(0.4 * mask) == 0.0


def test_a_sure_finder_stands_in_for_a_network_in_doubt_and_the_other_way_round():
    assert verdict_found(0.4, 0.6) > 0.5
    assert verdict_found(0.55, 0.2) < 0.5 < verdict_found(0.95, 0.2)
    assert verdict_found(0.1, 0.5) < 0.5 < verdict_found(0.1, 0.8)


def test_less_is_asked_for_where_light_has_taken_something():
    scores = [verdict_found(0.3, 0.5, lost) for lost in (0.0, 0.5, 1.0)]
    assert scores[0] < 0.5 < scores[2] and scores == sorted(scores)
    assert verdict_found(0.01, 0.2, 1.0) < 0.1


@pytest.mark.parametrize('alone', [0.0, 0.5, 1.0])
def test_the_surer_the_finder_the_more_of_a_hand(alone):
    scores = [verdict_found(alone, found) for found in np.linspace(0, 1, 11)]
    assert scores == sorted(scores) and 0 < scores[0] < scores[-1] < 1
