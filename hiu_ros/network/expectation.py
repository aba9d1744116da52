"""Joints that are expected in a crop: what the last stage is told of a hand that is followed.

A crop of two hands that touch does not say which one is asked for, and a hidden finger was seen a
frame ago. The last stage is shown where the joints were expected, beside what the stage before
found; what it makes of that is added to its features and to those of the hand's parameters. The
additions begin at zero and are left out for crops of which nothing is expected, so that a network
can learn to use them without any change to what it says of images on their own.
"""

import torch
from torch import Tensor, nn

from hiu_ros.hand.skeleton import BONES, KEYPOINT_COUNT
from hiu_ros.network.blocks import ConvBN, conv3x3, group
from hiu_ros.network.config import HIUConfig
from hiu_ros.network.readout import joint_positions

#: Channels at a quarter of the crop's size and at each level below it.
_WIDTHS = (64, 64, 96, 128)
_HIDDEN = 256
#: Standard deviation of an expected joint's map, as a fraction of the map's side.
_SIGMA = 0.04
#: Tasks whose decoders take an addition: heat maps, part orientation fields, mask.
TASKS = 3


class Expectation(nn.Module):
    """Additions to a stage from the joints that are expected.

    `expected` is (B, 21, 3): x, y in crop pixels and how sure, 0 (nothing known) to 1. Call with
    the stage's input and the heat maps of the stage before.
    """

    def __init__(self, cin: int, config: HIUConfig):
        super().__init__()
        self.config = config
        kind, widths = config.block, _WIDTHS
        self.first = conv3x3(kind, cin + 2 * KEYPOINT_COUNT, widths[0])
        self.groups = nn.ModuleList(
            group(kind, widths[max(level - 1, 0)], width, 1, stride=1 if level == 0 else 2)
            for level, width in enumerate(widths)
        )
        self.to_levels = nn.ModuleList(
            _silent(nn.Conv2d(width, channels, 1))
            for width, channels in zip(widths, config.encoder_channels)
        )
        self.to_tasks = nn.ModuleList(
            _silent(nn.Conv2d(widths[0], config.decoder_channels, 1)) for _ in range(TASKS)
        )
        numbers = 3 * KEYPOINT_COUNT + widths[-1] + config.regressor_hidden
        if config.regressor_evidence:
            numbers += 3 * KEYPOINT_COUNT + 3 * len(BONES)
        self.perceptron = nn.Sequential(ConvBN(numbers, _HIDDEN), ConvBN(_HIDDEN, _HIDDEN))
        self.to_hand = _silent(nn.Conv2d(_HIDDEN, config.regressor_hidden, 1))

    def forward(self, x: Tensor, heatmaps: Tensor, expected: Tensor
                ) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Additions to the four levels and the three tasks' features, and the coarsest feature
        (B, C) that `hand` takes."""
        known = is_expected(expected)[:, None, None, None]
        _, _, seen = joint_positions(heatmaps.float(), self.config.heatmap_readout)
        seen = seen / seen.amax((2, 3), keepdim=True).clamp_min(1e-6)
        wanted = expected_maps(expected, self.config.input_size, x.shape[-1])
        feature = self.first(torch.cat([x, seen.to(x.dtype), wanted.to(x.dtype)], 1))
        levels, tasks = [], []
        for level, layer in enumerate(self.groups):
            feature = layer(feature)
            if level == 0:
                tasks = [known * out(feature) for out in self.to_tasks]
            levels.append(known * self.to_levels[level](feature))
        return levels, tasks, feature.mean((2, 3))

    def hand(self, said: Tensor, evidence: Tensor | None, deep: Tensor, expected: Tensor
             ) -> Tensor:
        """Addition (B, hidden, 1, 1) to the last feature of the regressor.

        said: that feature. evidence: what the regressor read off the maps. deep: of `forward`.
        """
        units = (expected[..., :2] + 0.5) / self.config.input_size * 2 - 1
        units = units * (expected[..., 2:] > 0)
        numbers = [units.flatten(1), expected[..., 2], deep, said.flatten(1)]
        if evidence is not None:
            numbers.append(evidence)
        numbers = torch.cat([one.to(said.dtype) for one in numbers], 1)[..., None, None]
        addition = self.to_hand(self.perceptron(numbers))
        return addition * is_expected(expected)[:, None, None, None]


def is_expected(expected: Tensor) -> Tensor:
    """(B,) 1 where any joint of (B, 21, 3) is expected, else 0."""
    return (expected[..., 2] > 0).any(1).to(expected.dtype)


def expected_maps(expected: Tensor, crop_size: int, size: int) -> Tensor:
    """(B, 21, size, size) Gaussians about expected joints (B, 21, 3), as high as they are sure."""
    places = (expected[..., :2] + 0.5) * (size / crop_size) - 0.5
    line = torch.arange(size, dtype=places.dtype, device=places.device)
    along = torch.exp(-(line - places[..., None]).square() / (2 * (_SIGMA * size) ** 2))
    maps = along[:, :, 1, :, None] * along[:, :, 0, None, :]
    return maps * expected[..., 2, None, None]


def _silent(layer: nn.Conv2d) -> nn.Conv2d:
    """A layer that says nothing until it has learned to."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
