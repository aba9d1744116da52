"""A hand that perception hands out has arrays of one shape and type that nobody can change."""

from dataclasses import replace

import numpy as np
import pytest

from hiu_ros.perception.result import Hand, Hands


@pytest.fixture
def hand():
    return Hand(
        'right_1', 'right', 0.9, 0.8, np.zeros(4), np.zeros((21, 2)), np.ones(21), np.ones(21),
        np.zeros((21, 3)), np.zeros((5, 3)), np.zeros(48), np.zeros(10), np.eye(3),
        np.zeros((2, 3)), translation_m=[0, 0, 1])


@pytest.mark.parametrize('change, message', [
    ({'keypoints_px': np.zeros((20, 2))}, r'keypoints_px has shape \(20, 2\), expected \(21, 2\)'),
    ({'mask': np.zeros(4)}, 'mask has shape'),
    ({'translation_m': np.zeros(2)}, 'translation_m has shape'),
    ({'keypoints_px': np.full((21, 2), np.nan)}, 'keypoints_px holds values that are not finite'),
    ({'vertices_m': np.where(np.eye(5, 3), np.inf, 0)}, 'vertices_m holds values that are not'),
    ({'pose': np.where(np.arange(48) == 7, np.nan, 0)}, 'pose holds values that are not finite'),
    ({'side': 'both'}, 'both'),
    ({'id': ''}, 'id is empty'),
])
def test_what_is_no_hand_is_refused(hand, change, message):
    with pytest.raises(ValueError, match=message):
        replace(hand, **change)


def test_arrays_have_their_types_and_are_read_only(hand):
    assert hand.keypoints_valid.dtype == bool and hand.mask.dtype == np.uint8
    for name in ('box', 'keypoints_px', 'keypoints_m', 'vertices_m', 'translation_m'):
        array = getattr(hand, name)
        assert array.dtype == np.float32
        with pytest.raises(ValueError, match='read-only'):
            array[0] = 1


def test_arrays_that_a_hand_is_made_of_stay_those_of_their_maker(hand):
    mine = np.zeros((21, 2), np.float32)
    changed = replace(hand, keypoints_px=mine)
    mine += 1
    assert (changed.keypoints_px == 0).all()
    assert replace(changed, score=0.1).keypoints_px is changed.keypoints_px


def test_what_is_not_known_of_a_hand_need_not_be_told(hand):
    bare = Hand('left_1', 'left', 0.9, 0.8, *(getattr(hand, name) for name in (
        'box', 'keypoints_px', 'keypoint_scores', 'keypoints_valid', 'keypoints_m', 'vertices_m',
        'pose', 'shape', 'wrist_rotation', 'mask')))
    assert bare.translation_m is None and bare.mask_origin == (0, 0)
    assert np.isnan([bare.depth_sigma_m, bare.residual_px]).all()


def test_no_two_hands_of_an_image_have_one_id(hand):
    assert len(Hands(4, 4, (hand, replace(hand, id='right_2')))) == 2
    with pytest.raises(ValueError, match='id twice'):
        Hands(4, 4, (hand, hand))


def test_the_number_of_a_hand_is_the_one_in_its_id(hand):
    assert (hand.number, replace(hand, id='left_12', side='left').number) == (1, 12)
