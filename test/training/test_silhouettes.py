"""The hand drawn in the crop, as the network's camera says."""

import torch
from torch import tensor

from hiu_ros.training.silhouettes import Silhouettes, reproject


def test_points_are_where_weak_perspective_puts_them():
    points = tensor([[[0.1, -0.1, 0.7], [0.0, 0.0, 0.0]]])
    flat = reproject(points, tensor([[5.0, 0.2, 0.0]]))
    assert torch.allclose(flat, tensor([[[0.85, 0.25], [0.6, 0.5]]]))


def test_silhouette_covers_the_joints_and_not_the_corners(hand, perfect):
    batch, output = perfect(size=128)
    drawn = Silhouettes(hand.faces)(hand(output.rotations, output.shape).vertices,
                                    output.camera, 64)
    assert drawn.shape == (3, 64, 64) and 0 <= drawn.min() and drawn.max() <= 1
    at = ((batch.keypoints + 0.5) / 2 - 0.5).round().long()
    for k in range(3):
        assert drawn[k, at[k, :, 1], at[k, :, 0]].mean() > 0.8
        assert drawn[k, [0, 0, -1, -1], [0, -1, 0, -1]].max() == 0
    assert torch.allclose(drawn, batch.masks)


def test_nothing_to_draw(hand):
    drawn = Silhouettes(hand.faces)(torch.zeros(0, 777, 3), torch.zeros(0, 3), 32)
    assert drawn.shape == (0, 32, 32)
