import numpy as np
import pytest
import torch

from hiu_ros.evaluation.kinds import KINDS, kinds_of
from hiu_ros.geometry.rotations import axis_angle_to_matrix
from hiu_ros.hand.model import HandModel, load_template

PIXELS = np.stack([np.linspace(0, 100, 21), np.linspace(0, 50, 21)], 1)


def keypoints(curl=0.0, turn=(0.0, 0.0, 0.0), side='right'):
    """A hand with all finger joints but the thumb's bent by `curl`, then turned as a whole."""
    template = load_template('fast')
    pose = torch.zeros(1, 16, 3)
    pose[:, 1:13, 2] = curl
    hand = HandModel(template)(axis_angle_to_matrix(pose), torch.zeros(1, 10)).keypoints[0]
    points = hand.numpy()
    if side == 'left':
        points = points * [-1, 1, 1]
    turned = axis_angle_to_matrix(torch.tensor(turn)).numpy()
    return points @ turned.T


def test_flat_and_rolled_hands_are_told_apart():
    curl = max((0.0, 1.5, -1.5), key=lambda c: -np.ptp(keypoints(c)[5:9], axis=0).max())
    assert 'open' in kinds_of(PIXELS, keypoints(), 'right')
    assert 'fist' in kinds_of(PIXELS, keypoints(curl), 'right')
    assert not {'open', 'fist'} & kinds_of(PIXELS, keypoints(curl / 2.2), 'right')


@pytest.mark.parametrize('side', ['left', 'right'])
def test_palm_back_and_edge_are_told_apart(side):
    # At rest the palm looks along -y; a quarter turn about x brings it to -z, to the camera.
    palm = kinds_of(PIXELS, keypoints(turn=(np.pi / 2, 0, 0), side=side), side)
    back = kinds_of(PIXELS, keypoints(turn=(-np.pi / 2, 0, 0), side=side), side)
    edge = kinds_of(PIXELS, keypoints(side=side), side)
    assert not {'back', 'edge-on'} & palm
    assert 'back' in back and 'edge-on' not in back
    assert 'edge-on' in edge and 'back' not in edge


def test_small_occluded_and_dark_hands():
    points = keypoints()
    assert 'small' in kinds_of(PIXELS / 2, points, 'right')
    assert 'small' not in kinds_of(PIXELS, points, 'right')
    seen = np.arange(21) < 12
    assert 'occluded' in kinds_of(PIXELS, points, 'right', seen)
    assert 'occluded' not in kinds_of(PIXELS, points, 'right', ~(np.arange(21) < 3))
    image = np.full((10, 10, 3), 200, np.uint8)
    image[:5] = 30
    mask = np.zeros((10, 10), np.uint8)
    mask[:5] = 255
    assert 'dark' in kinds_of(PIXELS, points, 'right', None, image, mask)
    assert 'dark' not in kinds_of(PIXELS, points, 'right', None, image, 255 - mask)


def test_every_kind_is_explained():
    found = kinds_of(PIXELS / 2, keypoints(), 'right', np.zeros(21, bool),
                     np.zeros((4, 4, 3), np.uint8), np.ones((4, 4)))
    assert found == {'open', 'edge-on', 'occluded', 'dark', 'small'} <= set(KINDS)


def fingers(**moved):
    """A made-up hand, fingers straight and down: the back of a left one, a right one's palm."""
    points = np.zeros((21, 3))
    points[1:] = [[k // 4 - 2, 1 + k % 4, 0] for k in range(20)]
    for joint, away in moved.items():
        points[int(joint[1:])] += away
    return points


@pytest.mark.parametrize('joint', [6, 7, 10, 11, 14, 15, 18, 19])
def test_one_bent_finger_makes_a_hand_neither_open_nor_a_fist(joint):
    assert 'open' in kinds_of(PIXELS, fingers(), 'right')
    assert 'open' not in kinds_of(PIXELS, fingers(**{f'j{joint}': [0, 0, 1]}), 'right')
    # The thumb does not count.
    assert 'open' in kinds_of(PIXELS, fingers(j3=[0, 0, 1]), 'right')


def test_one_straight_finger_makes_no_fist():
    rolled = {f'j{tip}': [0, -3, 0] for tip in (8, 12, 16, 20)}
    assert 'fist' in kinds_of(PIXELS, fingers(**rolled), 'right')
    for tip in (8, 12, 16, 20):
        straight = {name: away for name, away in rolled.items() if name != f'j{tip}'}
        assert not {'open', 'fist'} & kinds_of(PIXELS, fingers(**straight), 'right')


@pytest.mark.parametrize('degrees, edge', [(0, False), (65, False), (75, True), (90, True),
                                           (105, True), (115, False)])
def test_the_palm_is_edge_on_within_20_degrees_wherever_the_hand_is(degrees, edge):
    turn = axis_angle_to_matrix(torch.tensor([0.0, np.radians(degrees), 0.0])).numpy()
    for place in (0, [0.5, -2.0, 3.0]):
        for side in ('left', 'right'):
            kinds = kinds_of(PIXELS, fingers() @ turn.T + place, side)
            assert ('edge-on' in kinds) == edge
            assert edge or ('back' in kinds) == ((degrees < 90) == (side == 'left'))


def test_kinds_begin_where_their_meaning_says():
    image, mask = np.zeros((2, 2, 3), np.uint8), np.array([[1, 1], [1, 0]])
    image[0], image[1] = 69, [71, 71, 71]
    assert 'dark' in kinds_of(PIXELS, fingers(), 'right', None, image, mask)
    assert 'dark' not in kinds_of(PIXELS, fingers(), 'right', None, image + 2, mask)
    for size, small in ((63.9, True), (64.1, False)):
        wide = PIXELS * size / 100
        assert ('small' in kinds_of(wide, fingers(), 'right')) == small
        assert ('small' in kinds_of(wide[:, ::-1], fingers(), 'right')) == small
    for seen, occluded in ((14, True), (15, False)):
        kinds = kinds_of(PIXELS, fingers(), 'right', np.arange(21) < seen)
        assert ('occluded' in kinds) == occluded
