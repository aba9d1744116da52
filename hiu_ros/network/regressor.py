"""The parametric hand regressor, shared by all stages."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hiu_ros.geometry.rotations import axis_angle_to_matrix, sixd_to_matrix
from hiu_ros.hand.skeleton import BONES, JOINT_COUNT, KEYPOINT_COUNT, SHAPE_COUNT
from hiu_ros.network.blocks import ConvBN, group
from hiu_ros.network.config import HIUConfig
from hiu_ros.network.readout import bone_fields, joint_positions

#: Crop units per metre at which a 0.18 m hand fills 1 / 1.5 of the crop.
TYPICAL_SCALE = 2 / 1.5 / 0.18


class HandParameters(NamedTuple):
    """What the regressor says of the hand in the crop; a right hand, virtual crop camera."""

    rotations: Tensor  #: (B, 16, 3, 3) MANO joint order, first the whole hand's
    shape: Tensor  #: (B, 10)
    camera: Tensor  #: (B, 3) s, tx, ty: u = s X + tx in crop units -1..1
    presence: Tensor  #: (B,) logit: there is a hand
    side: Tensor  #: (B,) logit: as shown, it is a right hand
    legible: Tensor  #: (B, 1) logit: what the maps say are one hand's joints; (B, 0) if not fitted


class Legibility(nn.Sequential):
    """Whether the joints that the maps say are those of one hand, from (B, inputs) features.

    Presence tells whether there is a hand, and is learned with the rest. This is fitted when all
    else is done, to what came of readings (`training.legibility_fit`).
    """

    def __init__(self, inputs: int, hidden: int = 64):
        super().__init__(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 1))


class Regressor(nn.Module):
    """concat(F0, TAM feature) to hand parameters; every stage predicts them absolutely.

    With `regressor_evidence` the perceptron also gets what the maps say: the joints' positions and
    certainty, and each bone's field averaged where its two joints are. `legibility` is None until
    it is fitted; its inputs are what the perceptron gets, and gives.
    """

    def __init__(self, cin: int, config: HIUConfig):
        super().__init__()
        self.config = config
        layers, stride = [], config.regressor_first_stride
        for cout, blocks in zip(config.regressor_channels, config.regressor_blocks):
            layers.append(group(config.block, cin, cout, blocks, stride))
            cin, stride = cout, 2
        self.body = nn.Sequential(*layers)
        if config.regressor_evidence:
            cin += 3 * KEYPOINT_COUNT + 3 * len(BONES)
        hidden = config.regressor_hidden
        self.perceptron = nn.Sequential(
            ConvBN(cin, hidden), ConvBN(hidden, hidden), ConvBN(hidden, hidden)
        )
        self.rotation_numbers = 3 if config.rotation == 'axis_angle' else 6
        self.parameters_head = nn.Linear(
            hidden, JOINT_COUNT * self.rotation_numbers + SHAPE_COUNT + 3
        )
        self.verdict_head = nn.Linear(hidden, 2)
        self._heard = cin
        self.legibility: Legibility | None = None
        nn.init.normal_(self.parameters_head.weight, std=1e-3)
        nn.init.zeros_(self.parameters_head.bias)
        if config.rotation == '6d':
            with torch.no_grad():
                identity = torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(JOINT_COUNT)
                self.parameters_head.bias[: identity.numel()] = identity

    def add_legibility(self) -> Legibility:
        """Give it a new `legibility`, and return that."""
        self.legibility = Legibility(self._heard + self.config.regressor_hidden).to(
            self.verdict_head.weight.device)
        return self.legibility

    def evidence(self, heatmaps: Tensor, pof: Tensor) -> Tensor:
        """(B, 63 + 60): joints in -1..1, their certainty, bones' mean fields; no gradient."""
        heatmaps, pof = heatmaps.detach().float(), pof.detach().float()
        where, certainty, attention = joint_positions(heatmaps, self.config.heatmap_readout)
        height, width = heatmaps.shape[2:]
        size = torch.tensor([width, height], device=where.device)
        units = (where + 0.5) / size * 2 - 1
        bones = bone_fields(attention, pof)
        return torch.cat([units.flatten(1), certainty, bones.flatten(1)], 1)

    def forward(self, x: Tensor, heatmaps: Tensor, pof: Tensor) -> HandParameters:
        x = F.adaptive_avg_pool2d(self.body(x), 1)
        if self.config.regressor_evidence:
            x = torch.cat([x, self.evidence(heatmaps, pof)[..., None, None].to(x.dtype)], 1)
        heard = x.flatten(1)
        x = self.perceptron(x).flatten(1)
        legible = x[:, :0]
        if self.legibility is not None:
            legible = self.legibility(torch.cat([heard, x], 1))
        verdict = self.verdict_head(x).float()
        numbers = self.parameters_head(x).float()
        turn, shape, camera = numbers.split(
            [JOINT_COUNT * self.rotation_numbers, SHAPE_COUNT, 3], 1
        )
        turn = turn.unflatten(1, (JOINT_COUNT, self.rotation_numbers))
        to_matrix = axis_angle_to_matrix if self.rotation_numbers == 3 else sixd_to_matrix
        scale = TYPICAL_SCALE * torch.exp(camera[:, :1].clamp(-2.5, 2.5))
        return HandParameters(
            to_matrix(turn), shape, torch.cat([scale, camera[:, 1:]], 1),
            verdict[:, 0], verdict[:, 1], legible.float(),
        )
