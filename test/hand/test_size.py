import numpy as np
import pytest
import torch

from hiu_ros.geometry.rotations import axis_angle_to_matrix
from hiu_ros.hand.model import HandModel, load_template
from hiu_ros.hand.size import LENGTH_RANGE, hand_length, shape_for_length

TEMPLATE = load_template('fast')


def test_a_hand_is_as_long_as_its_bones_from_the_wrist_to_the_tip_of_the_middle_finger():
    generator = torch.Generator().manual_seed(0)
    pose = 0.5 * torch.randn(6, 16, 3, generator=generator)
    shapes = torch.randn(6, 10, generator=generator)
    points = HandModel(TEMPLATE).keypoints(axis_angle_to_matrix(pose), shapes)
    bones = points[:, [9, 10, 11, 12]] - points[:, [0, 9, 10, 11]]
    lengths = hand_length(TEMPLATE, shapes.numpy())
    assert np.allclose(lengths, bones.norm(dim=-1).sum(-1), atol=1e-6)
    assert np.allclose(hand_length(TEMPLATE.mirrored(), shapes.numpy()), lengths)
    assert hand_length(TEMPLATE, shapes[2].numpy()) == pytest.approx(lengths[2])


def test_the_shape_of_a_known_length_is_the_nearest_one():
    start = np.random.default_rng(1).normal(0, 0.5, 10)
    shape = shape_for_length(TEMPLATE, start, 0.2)
    rng = np.random.default_rng(2)
    for other in shape_for_length(TEMPLATE, shape + rng.normal(0, 0.3, (50, 10)), 0.2):
        assert hand_length(TEMPLATE, other) == pytest.approx(0.2, abs=1e-6)
        assert np.linalg.norm(other - start) > np.linalg.norm(shape - start)


def test_each_of_several_hands_gets_its_own_length():
    lengths = np.array([0.15, 0.19, 0.24])
    assert np.allclose(hand_length(TEMPLATE, shape_for_length(
        TEMPLATE, np.zeros((3, 10)), lengths)), lengths, atol=1e-6)
    start = np.zeros(10)
    shape_for_length(TEMPLATE, start, 0.24)
    assert not start.any()


def test_shape_for_length_makes_the_hand_so_long_and_changes_little_else():
    shapes = np.random.default_rng(0).normal(0, 0.5, (8, 10))
    long = shape_for_length(TEMPLATE, shapes, 0.21)
    assert np.allclose(hand_length(TEMPLATE, long), 0.21, atol=1e-6)
    same = shape_for_length(TEMPLATE, shapes, hand_length(TEMPLATE, shapes))
    assert np.allclose(same, shapes, atol=1e-9)
    for length in LENGTH_RANGE:
        assert hand_length(TEMPLATE, shape_for_length(TEMPLATE, shapes[0], length)) == (
            pytest.approx(length, abs=1e-5))


@pytest.mark.parametrize('length', [21.0, 0.31, 0.079, 0.0, -0.2, float('nan'), float('inf')])
def test_a_length_that_no_hand_has_is_refused(length):
    with pytest.raises(ValueError, match='not that of a hand.*0.08 to 0.3 m'):
        shape_for_length(TEMPLATE, np.zeros(10), length)
    with pytest.raises(ValueError, match='not that of a hand'):
        shape_for_length(TEMPLATE, np.zeros((2, 10)), np.array([0.19, length]))
