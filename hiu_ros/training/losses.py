"""The losses of one batch, term by term; what has no label counts for nothing.

The first terms and their default weights are those of the paper's training code; the extensions
say so. Every term is a mean over valid items, weighted per sample. Terms that need no labels at
all are in `self_supervision`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hiu_ros.hand.model import HandGeometry, HandModel
from hiu_ros.hand.skeleton import BONES
from hiu_ros.network.hiu import StageOutput
from hiu_ros.network.readout import bone_fields, joint_positions
from hiu_ros.training.batch import Batch
from hiu_ros.training.schedule import narrowing
from hiu_ros.training.self_supervision import Agreement, SelfSupervision
from hiu_ros.training.silhouettes import Silhouettes, reproject
from hiu_ros.training.targets import (
    HEATMAP_SIGMA,
    bone_directions,
    heatmap_targets,
    pof_targets,
    to_map,
)

#: 2D weights: wrist, finger bases, two middle joints, tips.
JOINT_WEIGHTS = (2.5,) + (1.7, 1.0, 1.0, 1.7) * 5


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term; 0 switches a term off. The defaults are the paper's."""

    heatmap: float = 200.0
    pof: float = 100.0
    mask: float = 5.0
    keypoints_2d: float = 20.0  #: reprojected hand joints against 2D labels, crop units 0..1
    bones_3d: float = 10.0  #: 1 - cosine of bone vectors
    shape_prior: float = 10.0  #: mean squared shape coefficient
    silhouette: float = 0.01  #: the mesh's silhouette against the labelled mask
    pose_angles: float = 10.0  #: mean squared axis-angle number of the fingers, to second order:
    #: the chord 2 - 2 cos, whose gradient is finite at every angle
    pose_prior: float = 0.0  #: extension: the same squared, which spares small angles
    pof_inside: float = 0.0  #: extension: the field again, only where the bones are
    heatmap_2d: float = 0.0  #: extension: soft-argmax against 2D labels, crop units 0..1
    keypoints_3d: float = 0.0  #: extension: L1 of joints relative to the wrist, metres
    vertices: float = 0.0  #: extension: L1 of vertices relative to the wrist, metres
    rotations: float = 0.0  #: extension: squared difference of joint rotation matrices
    shape: float = 0.0  #: extension: squared difference of shape coefficients
    pof_bones: float = 0.0  #: extension: the mesh's bones against the predicted field
    mask_boundary: float = 0.0  #: extension: cross entropy again, only near the outline
    presence: float = 0.0  #: extension
    side: float = 0.0  #: extension


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """sum(w v) / (sum w + 1e-6); weights broadcast to values."""
    weights = weights.expand_as(values)
    return (values * weights).sum() / (weights.sum() + 1e-6)


def check_finite(total: Tensor, terms: Mapping[str, Tensor], step: int) -> None:
    """FloatingPointError, which tells the terms, for a loss that is not finite."""
    if not torch.isfinite(total):
        told = ', '.join(f'{name} {float(term):.4g}' for name, term in terms.items())
        raise FloatingPointError(f'the loss is {total.item()} at step {step} ({told}); a lower '
                                 'rate may help, or a longer warm-up')


def check_weights(network: nn.Module, step: int) -> None:
    """FloatingPointError for weights that are not finite, so that they are never saved: a step's
    gradients can be so where its loss was not."""
    if not all(torch.isfinite(weight).all() for weight in network.parameters()):
        raise FloatingPointError(f'the weights are no longer finite after step {step}; what was '
                                 'saved last is kept; a lower rate may help, or a longer warm-up')


class HandLoss:
    """Total loss of all stages and its terms.

    `sigmas`: heat map sigma per stage as a fraction of the map's side, `widening` (factor, steps)
    makes them wider at first; `stage_weights`: weight per stage (normalised to mean 1). Call with
    the stages' outputs, a `Batch` and the step.
    """

    def __init__(
        self,
        model: HandModel,
        weights: LossWeights,
        heatmap_readout: str,
        sigmas: tuple[float, ...] = (HEATMAP_SIGMA,),
        stage_weights: tuple[float, ...] = (1.0,),
        pof_variant: str = 'image',
        widening: tuple[float, int] = (1.0, 0),
        self_supervision: SelfSupervision | None = None,
    ):
        self.model = model
        self.weights = weights
        self.readout = heatmap_readout
        self.sigmas = sigmas
        self.widening = widening
        self.stage_weights = stage_weights
        self.pof_variant = pof_variant
        self.joint_weights = torch.tensor(JOINT_WEIGHTS) / sum(JOINT_WEIGHTS) * len(JOINT_WEIGHTS)
        self.compiled = False
        self.silhouettes = Silhouettes(model.faces)
        self.self_supervision = self_supervision or SelfSupervision()
        self.agreement = Agreement(self.self_supervision, heatmap_readout, pof_variant,
                                   self.silhouettes, self.joint_weights)

    def compile(self) -> None:
        """Fuse the many small kernels of the terms, for batches of one shape; see `compiled`."""
        self.compiled = True
        for name in ('pose', 'map_terms', 'hand_terms'):
            setattr(self, name, torch.compile(getattr(self, name), dynamic=False))

    def __call__(
        self, outputs: list[StageOutput], batch: Batch, step: int = 0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum over terms, mean over stages; and the last stage's terms, unweighted."""
        stages = len(outputs)
        shares = [self.stage_weights[min(k, len(self.stage_weights) - 1)] for k in range(stages)]
        total, terms = 0.0, {}
        size, crop = outputs[0].pof.shape[-1], batch.images.shape[-1]
        keypoints = to_map(batch.keypoints, crop, outputs[0].heatmaps.shape[-1])
        ends = to_map(batch.keypoints, crop, size)
        fields = pof_targets(ends, batch.keypoints_m, size, self.pof_variant)
        band = outline_band(batch.masks) if self.weights.mask_boundary else None
        wide = narrowing(step, *self.widening)
        own = self.self_supervision.share(step)
        for k, output in enumerate(outputs):
            sigma = self.sigmas[min(k, len(self.sigmas) - 1)] * wide
            if self.compiled:  # for each value of a plain number all would be compiled anew
                sigma = torch.full((), sigma, device=keypoints.device)
            hand = self.pose(output, mesh=own > 0 and self.self_supervision.silhouette > 0)
            terms = {**self.map_terms(output, batch, keypoints, sigma, fields, band),
                     **self.hand_terms(output, hand, batch)}
            stage = sum(getattr(self.weights, name) * term for name, term in terms.items())
            if own > 0:
                hands = batch.self_supervised
                if self.self_supervision.everywhere:
                    hands = torch.maximum(hands, batch.hands)
                agreement = self.agreement(output, hand, hands * batch.canonical)
                stage = stage + own * self.agreement.total(agreement)
                terms |= agreement
            total = total + stage * shares[k] / sum(shares)
        return total, {name: term.detach() for name, term in terms.items()}

    def pose(self, output: StageOutput, mesh: bool = False) -> HandGeometry:
        """The parametric hand of a stage; its vertices only where a term needs them."""
        if mesh or self.weights.vertices or self.weights.silhouette:
            return self.model(output.rotations, output.shape)
        joints = self.model.keypoints(output.rotations, output.shape)
        return HandGeometry(joints[:, :0], joints, joints[:, :0])

    def map_terms(
        self, output: StageOutput, batch: Batch, keypoints: Tensor, sigma: float | Tensor,
        fields: tuple[Tensor, Tensor], band: Tensor | None,
    ) -> dict[str, Tensor]:
        """Heat maps, part orientation fields and mask; keypoints in heat map pixels."""
        size = output.heatmaps.shape[-1]
        heatmaps = output.heatmaps.float()
        target = heatmap_targets(keypoints, size, sigma * size)
        terms = {}
        if self.readout == 'softargmax':
            share = target / target.sum((2, 3), keepdim=True).clamp_min(1e-6)
            surprise = -(share * heatmaps.flatten(2).log_softmax(2).view_as(heatmaps))
            terms['heatmap'] = weighted_mean(surprise.sum((2, 3)), batch.keypoint_weights)
        else:
            square = (heatmaps - target).square().mean((2, 3))
            terms['heatmap'] = weighted_mean(square, batch.keypoint_weights)
        if self.weights.heatmap_2d:
            where, _, _ = joint_positions(heatmaps, self.readout)
            distance = (where - keypoints).norm(dim=-1) / size
            terms['heatmap_2d'] = weighted_mean(distance, batch.keypoint_weights)
        everywhere, inside = self.pof_terms(output.pof.float(), *fields, batch)
        terms['pof'] = everywhere
        if self.weights.pof_inside:
            terms['pof_inside'] = inside
        return terms | mask_terms(mask_logits(output.mask, batch), batch, band)

    def pof_terms(
        self, pof: Tensor, directions: Tensor, inside: Tensor, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Squared error over the whole map, and over the bones, which are a small part of it.

        u, v need both ends in 2D, z (or all of a 3D field) both in 3D.

        The wanted field is one direction all over a bone and zero elsewhere, so the sums of
        squares need no map of it: with f the prediction and d the direction,
        sum (f - d inside)^2 = sum f^2 - 2 d sum_inside f + n d^2.
        """
        batch_size, bones = directions.shape[:2]
        cells = pof.shape[-1] * pof.shape[-2]
        flat_maps = pof.reshape(batch_size * bones, 3, cells)
        squares = flat_maps.square()
        where = inside.reshape(batch_size * bones, cells, 1)
        count = where.sum(1)
        wanted = directions.reshape(batch_size * bones, 3)
        change = wanted.square() * count - 2 * wanted * (flat_maps @ where)[..., 0]
        overall = (squares.sum(2) + change).clamp_min(0.0) / cells
        near = ((squares @ where)[..., 0] + change).clamp_min(0.0) / count.clamp_min(1.0)
        children_parents = _bone_ends(batch.keypoint_weights)
        flat = children_parents[:, :, None].expand(-1, -1, 3).clone()
        deep = batch.weights_3d[:, None] * (children_parents > 0)
        flat[:, :, 2] = deep
        if self.pof_variant == 'space':
            flat = deep[:, :, None].expand(-1, -1, 3)
        return weighted_mean(overall.view_as(flat), flat), weighted_mean(near.view_as(flat), flat)

    def hand_terms(
        self, output: StageOutput, hand: HandGeometry, batch: Batch
    ) -> dict[str, Tensor]:
        """Everything that goes through the parametric hand, and the verdicts."""
        w = self.weights
        joints = hand.keypoints
        terms = {}
        crop = batch.images.shape[-1]
        wanted = (batch.keypoints + 0.5) / crop
        distance = (reproject(joints, output.camera) - wanted).norm(dim=-1)
        # A perspective 2D label never fits a wrong-side crop's right hand: canonical ones only.
        joint_weights = self.joint_weights.to(distance.device)
        weights_2d = batch.keypoint_weights * joint_weights * batch.canonical[:, None]
        terms['keypoints_2d'] = weighted_mean(distance.clamp_max(1.0), weights_2d)
        known_3d = batch.weights_3d * batch.canonical
        cosine = (bone_directions(joints) * bone_directions(batch.keypoints_m)).sum(-1)
        terms['bones_3d'] = weighted_mean(1 - cosine, known_3d[:, None])
        if w.keypoints_3d or w.vertices:
            relative = batch.keypoints_m - batch.keypoints_m[:, :1]
            ours = joints - joints[:, :1]
            # The size of a hand cannot be seen in a crop: compare at the label's size.
            ratio = (palm_length(relative) / palm_length(ours))[:, None, None]
        if w.keypoints_3d:
            error = (ours * ratio - relative).abs().sum(-1)
            terms['keypoints_3d'] = weighted_mean(error, known_3d[:, None])
        if w.vertices:
            wanted, known = self.vertex_labels(batch)
            error = ((hand.vertices - joints[:, :1]) * ratio - wanted).abs().sum(-1).mean(1)
            terms['vertices'] = weighted_mean(error, known * (known_3d > 0))
        if w.silhouette:
            terms['silhouette'] = self.silhouette_term(output, hand, batch)
        known = batch.parameter_weights * batch.canonical
        if w.rotations:
            error = (output.rotations - batch.rotations).square().sum((2, 3))
            terms['rotations'] = weighted_mean(error, known[:, None])
        if w.shape:
            error = (output.shape - batch.shapes).square()
            terms['shape'] = weighted_mean(error, batch.shape_weights[:, None])
        terms['shape_prior'] = output.shape.square().mean()
        chord = 3 - output.rotations[:, 1:].diagonal(dim1=2, dim2=3).sum(-1)
        if w.pose_angles:
            terms['pose_angles'] = weighted_mean(chord, batch.hands[:, None]) / 3
        terms['pose_prior'] = weighted_mean(chord.square(), batch.hands[:, None]) / 16
        if w.pof_bones:
            terms['pof_bones'] = self.pof_bones_term(output, joints, batch)
        # Without a weight too: in several processes every parameter must have a gradient.
        entropy = F.binary_cross_entropy_with_logits(
            output.presence, batch.presence, reduction='none')
        terms['presence'] = weighted_mean(entropy, batch.presence_weights)
        entropy = F.binary_cross_entropy_with_logits(output.side, batch.sides, reduction='none')
        terms['side'] = weighted_mean(entropy, batch.side_weights)
        return terms

    def vertex_labels(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Vertices relative to the wrist (B, V, 3) and their weights (B,).

        Labelled ones where the batch has them, else those of the labelled parameters.
        """
        with torch.no_grad():
            posed = self.model(batch.rotations, batch.shapes)
        wanted = posed.vertices - posed.keypoints[:, :1]
        known = batch.parameter_weights * (batch.shape_weights > 0)
        # Labels of parameters are at their own size, the joints perhaps at another.
        relative = batch.keypoints_m - batch.keypoints_m[:, :1]
        scale = palm_length(relative) / palm_length(posed.keypoints - posed.keypoints[:, :1])
        wanted = wanted * scale[:, None, None]
        if batch.vertices is None:
            return wanted, known
        labelled = batch.vertex_weights > 0
        return (torch.where(labelled[:, None, None], batch.vertices, wanted),
                torch.where(labelled, batch.vertex_weights, known))

    def silhouette_term(self, output: StageOutput, hand: HandGeometry, batch: Batch) -> Tensor:
        """Mean absolute difference of drawn silhouette and labelled mask."""
        weights = batch.mask_weights * batch.hands * batch.canonical
        rows = weights.nonzero()[:, 0]
        masks = batch.masks[rows]
        drawn = self.silhouettes(hand.vertices[rows], output.camera[rows], masks.shape[-1])
        return weighted_mean((drawn - masks).abs().mean((1, 2)), weights[rows])

    def pof_bones_term(self, output: StageOutput, joints: Tensor, batch: Batch) -> Tensor:
        """The mesh's bone directions against the field read under the heat maps."""
        _, _, maps = joint_positions(output.heatmaps.float(), self.readout)
        read = bone_fields(maps, output.pof.float()).detach()
        bones = bone_directions(joints)
        if self.pof_variant == 'image':
            return weighted_mean((bones[..., 2] - read[..., 2]).square(),
                                 (batch.hands * batch.canonical)[:, None])
        return weighted_mean((bones - read).square().sum(-1),
                             (batch.hands * batch.canonical)[:, None])


def mask_logits(mask: Tensor, batch: Batch) -> Tensor:
    """Masks (B, 1, m, m) as logits (B, n/2, n/2), where the labels are."""
    return F.interpolate(mask.float(), batch.masks.shape[-2:], mode='bilinear',
                         align_corners=False)[:, 0]


def mask_terms(logits: Tensor, batch: Batch, band: Tensor | None) -> dict[str, Tensor]:
    """Cross entropy of masks (B, n/2, n/2) over the crop, and again in `band` if there is one."""
    entropy = F.binary_cross_entropy_with_logits(logits, batch.masks, reduction='none')
    terms = {'mask': weighted_mean(entropy.mean((1, 2)), batch.mask_weights)}
    if band is not None:
        terms['mask_boundary'] = weighted_mean(entropy, band * batch.mask_weights[:, None, None])
    return terms


def outline_band(masks: Tensor) -> Tensor:
    """Where a mask's outline is near: (B, n, n) masks 0..1, to 1 within three pixels of it."""
    both = torch.stack([masks, -masks], 1)
    thick = F.max_pool2d(F.max_pool2d(both, (7, 1), 1, (3, 0)), (1, 7), 1, (0, 3))
    return thick[:, 0] + thick[:, 1]


def palm_length(keypoints_m: Tensor) -> Tensor:
    """Wrist to middle finger base, (B, 21, 3) to (B,); at least 1 mm."""
    return (keypoints_m[:, 9] - keypoints_m[:, 0]).norm(dim=-1).clamp_min(1e-3)


def _bone_ends(weights: Tensor) -> Tensor:
    """Per joint (B, 21) to per bone (B, 20): the lesser of its two ends."""
    return torch.minimum(weights[:, [c for c, _ in BONES]], weights[:, [p for _, p in BONES]])
