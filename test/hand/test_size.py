from dataclasses import replace

import numpy as np
import pytest
import torch

from hiu_ros.geometry.rotations import axis_angle_to_matrix
from hiu_ros.hand.model import HandModel, load_template
from hiu_ros.hand.size import LENGTH_RANGE, hand_length, shape_for_length, shape_of_other

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


def other_hand(mix):
    """The same hand, whose shapes are other combinations (10, 10) of ours."""
    return replace(TEMPLATE, **{name: np.tensordot(mix, getattr(TEMPLATE, name), 1)
                                for name in ('shapedirs', 'joint_dirs', 'tip_dirs')})


def test_what_another_hand_model_calls_a_shape_has_bones_as_long():
    rng = np.random.default_rng(0)
    mix, _ = np.linalg.qr(rng.normal(size=(10, 10)))
    other, still = other_hand(mix), np.eye(3, dtype=np.float32)[None, None].repeat(16, 1)
    for shape in rng.normal(0, 1, (5, 10)):
        answer = shape_of_other(TEMPLATE, shape, other)
        made, wanted, unturned = (
            HandModel(hand).keypoints(torch.from_numpy(still), torch.tensor(s[None]).float())[0]
            for hand, s in ((other, answer), (TEMPLATE, shape), (other, shape)))
        bones = [np.linalg.norm(np.diff(points, axis=0), axis=-1)[[1, 2, 3, 5, 6, 7, 9, 10, 11]]
                 for points in (made, wanted, unturned)]
        assert np.abs(bones[0] - bones[1]).max() < 1e-3 < np.abs(bones[2] - bones[1]).max()
        assert np.linalg.norm(answer) < np.linalg.norm(shape) + 0.1  # never less likely


def test_a_shape_of_the_same_hand_model_is_one_with_the_same_bones():
    assert np.abs(shape_of_other(TEMPLATE, np.zeros(10), TEMPLATE)).max() < 1e-6
    shape = np.array([1.5, *np.zeros(9)])
    assert hand_length(TEMPLATE, shape_of_other(TEMPLATE, shape, TEMPLATE)) == pytest.approx(
        hand_length(TEMPLATE, shape), rel=0.01)
    left = shape_of_other(TEMPLATE, shape, TEMPLATE.mirrored())
    assert np.allclose(left, shape_of_other(TEMPLATE, shape, TEMPLATE))
