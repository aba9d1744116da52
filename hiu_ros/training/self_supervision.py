"""Terms that need no labels: what the maps say and what the parametric hand says must agree.

After HIU-DMTL: joints reprojected from the hand against those read off the heat maps, and the
hand's silhouette against the mask. A third compares the hand's bones with the part orientation
field. The paper's code lets gradients flow to both sides; here the maps are held by default, since
they can drift to a wrong mesh otherwise, and what the maps are not certain of counts nothing.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hiu_ros.hand.model import HandGeometry
from hiu_ros.hand.skeleton import BONES
from hiu_ros.network.hiu import StageOutput
from hiu_ros.network.readout import bone_fields, joint_positions
from hiu_ros.training.schedule import ramp
from hiu_ros.training.silhouettes import Silhouettes, reproject
from hiu_ros.training.targets import bone_directions

STOPS = ('maps', 'mesh', 'none')
#: A bone shorter than this part of the crop says little of its direction in the image.
_SHORT = 0.05
#: Masks that cover less or more of the crop than this are no hand's.
_AREA = (0.02, 0.9)
_CHILDREN = [child for child, _ in BONES]
_PARENTS = [parent for _, parent in BONES]


@dataclass(frozen=True)
class SelfSupervision:
    """Weights (the paper's are 10, 1 and none; all 0: off) and rules of the terms.

    The `..._stop` say which side gets no gradient: 'maps', 'mesh' or 'none'.
    """

    keypoints_2d: float = 0.0
    silhouette: float = 0.0
    pof: float = 0.0
    keypoints_2d_stop: str = 'maps'
    silhouette_stop: str = 'maps'
    pof_stop: str = 'maps'
    least_certainty: float = 0.5  #: maps less certain than this count nothing
    everywhere: bool = False  #: also on hands that have labels
    start: int = 0  #: steps of supervised training before
    ramp: int = 1000  #: steps until the weights are full

    def __post_init__(self) -> None:
        for name in ('keypoints_2d_stop', 'silhouette_stop', 'pof_stop'):
            if getattr(self, name) not in STOPS:
                raise ValueError(f'self_supervision.{name} is {getattr(self, name)!r}, expected '
                                 f'one of {STOPS}')

    @property
    def on(self) -> bool:
        """Whether any term has a weight."""
        return bool(self.keypoints_2d or self.silhouette or self.pof)

    def share(self, step: int) -> float:
        """What the weights are multiplied by at a step, 0..1."""
        return ramp(step, self.start, self.ramp) if self.on else 0.0


class Agreement:
    """Computes the terms of one stage."""

    def __init__(self, options: SelfSupervision, readout: str, pof_variant: str,
                 silhouettes: Silhouettes, joint_weights: Tensor):
        self.options = options
        self.readout = readout
        self.pof_variant = pof_variant
        self.silhouettes = silhouettes
        self.joint_weights = joint_weights

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """Weighted sum of what `__call__` returns."""
        o = self.options
        return sum(getattr(o, name) * terms[f'self_{name}']
                   for name in ('keypoints_2d', 'silhouette', 'pof') if getattr(o, name))

    def __call__(
        self, output: StageOutput, hand: HandGeometry, hands: Tensor
    ) -> dict[str, Tensor]:
        """Terms by name; `hands` (B,) weighs the crops they may be computed on.

        `self_share` is no term but the part of the joints that were certain enough.
        """
        o = self.options
        where, certainty, attention = joint_positions(output.heatmaps.float(), self.readout)
        certainty = certainty.detach()
        gate = certainty * (certainty >= o.least_certainty) * hands[:, None]
        terms = {'self_share': _mean((gate > 0).float(), hands[:, None])}
        joints = reproject(hand.keypoints, output.camera)
        if o.keypoints_2d:
            seen = (where + 0.5) / output.heatmaps.shape[-1]
            seen, drawn = _stop(o.keypoints_2d_stop, seen, joints)
            distance = (drawn - seen).norm(dim=-1).clamp_max(1.0)
            weights = gate * self.joint_weights.to(gate.device)
            terms['self_keypoints_2d'] = _mean(distance, weights)
        if o.silhouette:
            terms['self_silhouette'] = self._silhouette(output, hand, hands)
        if o.pof:
            terms['self_pof'] = self._pof(output, hand, joints, attention, gate)
        return terms

    def _silhouette(self, output: StageOutput, hand: HandGeometry, hands: Tensor) -> Tensor:
        """Mean absolute difference over the crop's pixels."""
        o = self.options
        mask = output.mask[:, 0].float().sigmoid()
        sure = mask.detach()
        certainty = ((2 * sure - 1).abs() * sure).sum((1, 2)) / sure.sum((1, 2)).clamp_min(1e-6)
        area = (sure > 0.5).float().mean((1, 2))
        good = (certainty >= o.least_certainty) & (area > _AREA[0]) & (area < _AREA[1])
        weights = hands * certainty * good
        rows = weights.nonzero()[:, 0]
        drawn = self.silhouettes(hand.vertices[rows], output.camera[rows], mask.shape[-1])
        seen, drawn = _stop(o.silhouette_stop, mask[rows], drawn)
        return _mean((drawn - seen).abs().mean((1, 2)), weights[rows])

    def _pof(self, output: StageOutput, hand: HandGeometry, joints: Tensor, attention: Tensor,
             gate: Tensor) -> Tensor:
        """Squared difference of a bone's direction and the field read under its two joints."""
        o = self.options
        read = bone_fields(attention, output.pof.float())
        space = bone_directions(hand.keypoints)
        # A map reaches over the field's edge: the length read is no part of the direction.
        if self.pof_variant == 'image':
            flat = joints[:, _PARENTS] - joints[:, _CHILDREN]
            long = flat.norm(dim=-1)
            bones = torch.cat([flat / long[..., None].clamp_min(1e-6), space[..., 2:]], -1)
            length = read[..., :2].norm(dim=-1)
            weight = torch.stack([(long / _SHORT).clamp_max(1.0)] * 2 + [torch.ones_like(long)],
                                 -1).detach()
        else:
            bones, length = space, read.norm(dim=-1)
            weight = torch.ones_like(read)
        certainty = length.detach().clamp_max(1.0)
        sure = certainty * (certainty >= o.least_certainty)
        ends = torch.minimum(gate[:, _CHILDREN], gate[:, _PARENTS])
        read = read / length[..., None].clamp_min(0.1)
        seen, bones = _stop(o.pof_stop, read, bones)
        return _mean((bones - seen).square() * weight, (sure * ends)[..., None])


def _stop(stop: str, maps: Tensor, mesh: Tensor) -> tuple[Tensor, Tensor]:
    return (maps.detach() if stop == 'maps' else maps,
            mesh.detach() if stop == 'mesh' else mesh)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    weights = weights.expand_as(values)
    return (values * weights).sum() / (weights.sum() + 1e-6)
