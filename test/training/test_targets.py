"""Heat maps and part orientation fields made from keypoints."""

import pytest
import torch

from hiu_ros.hand.skeleton import BONES
from hiu_ros.training.targets import (
    POF_DISTANCE,
    bone_directions,
    heatmap_targets,
    pof_targets,
    to_map,
)


def one_bone(end=(20.0, 10.0), deep=0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Keypoints of which the first bone (1 to its parent 0) goes from `end` to (10, 10)."""
    keypoints = torch.full((1, 21, 2), -50.0)
    keypoints[0, 0], keypoints[0, 1] = torch.tensor([10.0, 10.0]), torch.tensor(end)
    metres = torch.zeros(1, 21, 3)
    metres[0, 1] = torch.tensor([0.03, 0.0, -deep])
    return keypoints, metres


def test_heat_is_one_at_the_joint_and_falls_with_its_sigma():
    heat = heatmap_targets(torch.tensor([[[5.0, 9.0]]]), 32, 3.0)[0, 0]
    assert heat[9, 5] == 1 and heat.argmax() == 9 * 32 + 5
    assert heat[9, 8].item() == pytest.approx(torch.tensor(-0.5).exp().item())
    assert torch.equal(heat[9, 2], heat[9, 8])


def test_map_pixels_keep_their_centres():
    corners = torch.tensor([[[-0.5, -0.5], [127.5, 127.5], [1.5, 1.5]]])
    assert to_map(corners, 128, 32)[0].tolist() == [[-0.5, -0.5], [31.5, 31.5], [0.0, 0.0]]


def test_field_points_from_child_to_parent():
    assert BONES[0] == (1, 0)
    keypoints, metres = one_bone(deep=0.04)
    directions, inside = pof_targets(keypoints, metres, 32)
    assert directions.shape == (1, 20, 3) and inside.shape == (1, 20, 32, 32)
    assert directions[0, 0].tolist() == pytest.approx([-1, 0, 0.8])
    assert inside[0, 0, 10, 15] == 1 and (inside[0, 0, 30] == 0).all()


def test_pure_space_field_is_the_unit_bone():
    directions, _ = pof_targets(*one_bone(deep=0.04), 32, 'space')
    assert directions[0, 0].tolist() == pytest.approx([-0.6, 0, 0.8])
    with pytest.raises(ValueError, match='POF variant'):
        pof_targets(*one_bone(), 32, 'time')


def test_field_reaches_its_distance_from_the_bone_and_past_its_ends():
    _, inside = pof_targets(*one_bone(), 128)
    reach = int(POF_DISTANCE * 128)
    column = inside[0, 0, :, 15]
    assert column[10 - reach] == column[10 + reach] == 1
    assert column[10 + reach + 1] == 0
    assert inside[0, 0, 10, 20 + reach] == 1 and inside[0, 0, 10, 20 + reach + 1] == 0


def test_field_of_a_slanted_bone_lies_along_it():
    keypoints, metres = one_bone(end=(70.0, 50.0))
    _, inside = pof_targets(keypoints, metres, 128)
    reach = POF_DISTANCE * 128
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing='ij')
    # The line from (10, 10) to (70, 50), by its normal (2, -3).
    beside = (2 * (x - 10) - 3 * (y - 10)).abs() / 13**0.5
    boxed = ((x - 40).abs() <= 30 + reach) & ((y - 30).abs() <= 20 + reach)
    assert torch.equal(inside[0, 0] > 0, (beside <= reach) & boxed)


def test_bone_directions_are_unit_and_safe_for_a_point():
    bones = bone_directions(torch.randn(2, 21, 3))
    assert torch.allclose(bones.norm(dim=-1), torch.ones(2, 20))
    assert torch.equal(bone_directions(torch.zeros(1, 21, 3)), torch.zeros(1, 20, 3))
