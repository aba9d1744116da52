"""Fit the hand model to the labelled joints of photographs, many hands at once.

Right hands only: a left hand's labels are mirrored before (`mirror_labels`) and the answer is
that of the mirrored crop. The camera is the network's: weak perspective (s, tx, ty) with
u = s X + tx, v = s Y + ty in crop units, crop pixel = (u + 1) n / 2 - 0.5.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from hiu_ros.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from hiu_ros.hand.model import HandModel
from hiu_ros.hand.skeleton import BONES, JOINT_COUNT, SHAPE_COUNT

STEPS = 260
RATE = 0.05
BATCH = 512

#: Joints that move little against each other; they give the first guess of the rotation.
_STIFF = (0, 5, 9, 13, 17)
#: MANO joints of each finger from the base, with the keypoints before, at and after its first.
_FINGERS = (
    ((13, 14, 15), (1, 2, 3, 4)),
    ((1, 2, 3), (5, 6, 7, 8)),
    ((4, 5, 6), (9, 10, 11, 12)),
    ((10, 11, 12), (13, 14, 15, 16)),
    ((7, 8, 9), (17, 18, 19, 20)),
)
#: Lowest and highest (bend, spread, twist) of base, middle and end joint, radians.
_FINGER_LIMITS = (
    ((-0.5, 1.65), (-0.35, 0.35), (-0.12, 0.12)),
    ((-0.1, 1.95), (-0.05, 0.05), (-0.05, 0.05)),
    ((-0.3, 1.45), (-0.05, 0.05), (-0.05, 0.05)),
)
_THUMB_LIMITS = (
    ((-0.6, 0.9), (-0.7, 0.7), (-0.5, 0.5)),
    ((-0.5, 1.1), (-0.3, 0.3), (-0.2, 0.2)),
    ((-0.8, 1.5), (-0.1, 0.1), (-0.1, 0.1)),
)
#: Which way the thumb's tip goes when it bends, on the hand at rest: away from its nail.
_THUMB_BEND = (-0.28, -0.23, -0.93)
#: A middle and an end joint bend together, the end joint by about this share.
_END_SHARE = 0.6

WEIGHT_IMAGE = 1.0
WEIGHT_DIRECTIONS = 0.05
WEIGHT_POINTS = 0.03
WEIGHT_LIMITS = 0.3
WEIGHT_POSE = 3e-4
WEIGHT_TOGETHER = 3e-3
WEIGHT_SHAPE = 1e-3
HUBER = 0.06


@dataclass(frozen=True)
class HandFits:
    """Fitted right hands.

    pose: (N, 16, 3) axis-angle; shape: (N, 10); camera: (N, 3) s, tx, ty in crop units.
    residual_px: (N,) mean distance of the 21 joints in the image, in palm lengths (wrist to
    middle base of the fitted hand seen from the front); bend_error: (N,) mean angle between
    labelled and fitted bones, radians; strain: (N,) how far joints are beyond their limits,
    radians summed over the hand.
    """

    pose: np.ndarray
    shape: np.ndarray
    camera: np.ndarray
    residual_px: np.ndarray
    bend_error: np.ndarray
    strain: np.ndarray


def mirror_labels(
    keypoints: np.ndarray, keypoints_m: np.ndarray, left: np.ndarray, pixels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N, 21, 2) and (N, 21, 3) with those where `left` (N,) as of the mirrored crop."""
    keypoints, keypoints_m = keypoints.copy(), keypoints_m.copy()
    keypoints[left, :, 0] = (pixels - 1) - keypoints[left, :, 0]
    keypoints_m[left, :, 0] *= -1
    return keypoints, keypoints_m


def fit_hands(
    model: HandModel, keypoints: np.ndarray, keypoints_m: np.ndarray, pixels: int,
    use_depth: np.ndarray | None = None,
) -> HandFits:
    """Fit pose, shape and camera to right hands' labels, in batches.

    keypoints: (N, 21, 2) pixels of a crop of `pixels` side; keypoints_m: (N, 21, 3) metres in
    the crop's axes, any origin. The image joints count most (Huber), directions of the bones and
    places in 3D little, beside joint limits and small weights that pull towards the rest pose
    and the mean shape. use_depth: (N,) bool, False where the 3D joints are not to be believed.
    """
    if use_depth is None:
        use_depth = np.ones(len(keypoints), bool)
    parts = []
    starts = range(0, len(keypoints), BATCH)
    for start in tqdm(starts, 'fits', mininterval=5, disable=len(starts) < 2):
        rows = slice(start, start + BATCH)
        parts.append(_fit_batch(
            model,
            torch.as_tensor((keypoints[rows] + 0.5) * 2 / pixels - 1, dtype=torch.float32),
            torch.as_tensor(keypoints_m[rows], dtype=torch.float32),
            torch.as_tensor(use_depth[rows], dtype=torch.float32),
        ))
    return HandFits(*(np.concatenate([getattr(part, field.name) for part in parts])
                      for field in fields(HandFits)))


def joint_axes(model: HandModel) -> Tensor:
    """(15, 3, 3) rows bend, spread and twist axis of every joint but the wrist, at rest."""
    identity = torch.eye(3).expand(1, JOINT_COUNT, 3, 3)
    rest = model.keypoints(identity, torch.zeros(1, SHAPE_COUNT))[0]
    axes = torch.zeros(JOINT_COUNT - 1, 3, 3)
    for finger, (joints, keypoints) in enumerate(_FINGERS):
        for place, joint in enumerate(joints):
            bone = rest[keypoints[place + 1]] - rest[keypoints[place]]
            if finger:
                bone = rest[keypoints[-1]] - rest[keypoints[0]]
            twist = torch.nn.functional.normalize(bone, dim=0)
            towards = torch.tensor(_THUMB_BEND if finger == 0 else (0.0, -1.0, 0.0))
            bend = torch.nn.functional.normalize(torch.linalg.cross(twist, towards), dim=0)
            axes[joint - 1] = torch.stack([bend, torch.linalg.cross(twist, bend), twist])
    return axes


def joint_limits() -> tuple[Tensor, Tensor]:
    """Lowest and highest coefficients (15, 3) of `joint_axes`, radians."""
    limits = torch.zeros(JOINT_COUNT - 1, 3, 2)
    for finger, (joints, _) in enumerate(_FINGERS):
        for place, joint in enumerate(joints):
            limits[joint - 1] = torch.tensor((_FINGER_LIMITS if finger else _THUMB_LIMITS)[place])
    return limits[..., 0], limits[..., 1]


def _fit_batch(model: HandModel, target: Tensor, target_m: Tensor, use_depth: Tensor) -> HandFits:
    axes, (lowest, highest) = joint_axes(model), joint_limits()
    child, parent = (list(ends) for ends in zip(*BONES))
    middles, ends = ([joints[k] - 1 for joints, _ in _FINGERS[1:]] for k in (1, 2))
    count = len(target)
    bends = _first_bends(target_m, lowest, highest).requires_grad_()
    first_turn = _first_rotation(model, target_m)
    turn = torch.zeros(count, 3, requires_grad=True)
    shape = torch.zeros(count, SHAPE_COUNT, requires_grad=True)
    palm_m = (target_m[:, 9] - target_m[:, 0]).norm(dim=-1).clamp(min=0.02)
    flat = target_m[..., :2] - target_m[..., :2].mean(1, keepdim=True)
    centred = target - target.mean(1, keepdim=True)
    scale = (flat * centred).sum((1, 2)) / flat.square().sum((1, 2)).clamp(min=1e-8)
    log_scale = scale.clamp(min=0.5).log().requires_grad_()
    place = target.mean(1).clone().requires_grad_()
    wanted_bones = torch.nn.functional.normalize(target_m[:, child] - target_m[:, parent], dim=-1)
    wanted = (target_m - target_m.mean(1, keepdim=True)) / palm_m[:, None, None]

    def pose() -> Tensor:
        fingers = axis_angle_to_matrix(torch.einsum('nja,jac->njc', bends, axes))
        whole = axis_angle_to_matrix(turn) @ first_turn
        return torch.cat([whole[:, None], fingers], dim=1)

    def compare() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        points = model.keypoints(pose(), shape)
        points = points - points.mean(1, keepdim=True)
        palm = (points[:, 9] - points[:, 0]).norm(dim=-1)
        seen = points[..., :2] * log_scale.exp()[:, None, None] + place[:, None]
        distance = (seen - target).norm(dim=-1) / (log_scale.exp() * palm).detach()[:, None]
        bones = torch.nn.functional.normalize(points[:, child] - points[:, parent], dim=-1)
        cosine = (bones * wanted_bones).sum(-1)
        beyond = (lowest - bends).clamp(min=0) + (bends - highest).clamp(min=0)
        return distance, cosine, points / palm.detach()[:, None, None], beyond, points

    optimiser = torch.optim.Adam([
        {'params': [bends, turn], 'lr': RATE}, {'params': [shape], 'lr': RATE},
        {'params': [log_scale, place], 'lr': 0.4 * RATE},
    ])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [RATE, RATE, 0.4 * RATE], total_steps=STEPS, pct_start=0.1)
    for _ in range(STEPS):
        distance, cosine, points, beyond, _ = compare()
        image = torch.where(distance < HUBER, distance.square() / (2 * HUBER),
                            distance - HUBER / 2)
        space = (WEIGHT_DIRECTIONS * (1 - cosine).mean(1)
                 + WEIGHT_POINTS * (points - wanted).square().sum(-1).mean(1))
        loss = (WEIGHT_IMAGE * image.mean(1) + use_depth * space
                + WEIGHT_LIMITS * beyond.square().sum((1, 2))
                + WEIGHT_TOGETHER * (bends[:, ends, 0] - _END_SHARE * bends[:, middles, 0])
                .square().sum(1)
                + WEIGHT_POSE * bends.square().sum((1, 2))
                + WEIGHT_SHAPE * shape.square().sum(1))
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        distance, cosine, _, beyond, points = compare()
        # The model's origin is its wrist; the fit kept its points about their mean.
        origin = place + points[:, 0, :2] * log_scale.exp()[:, None]
        camera = torch.cat([log_scale.exp()[:, None], origin], dim=1)
        return HandFits(
            matrix_to_axis_angle(pose()).numpy(), shape.detach().numpy(), camera.numpy(),
            distance.mean(1).numpy(), cosine.clamp(-1, 1).acos().mean(1).numpy(),
            beyond.sum((1, 2)).numpy(),
        )


def _first_rotation(model: HandModel, target_m: Tensor) -> Tensor:
    """Rotation (N, 3, 3) that lays the palm at rest on the labelled palm (Kabsch 1976)."""
    identity = torch.eye(3).expand(1, JOINT_COUNT, 3, 3)
    rest = model.keypoints(identity, torch.zeros(1, SHAPE_COUNT))[0, list(_STIFF)]
    seen = target_m[:, list(_STIFF)]
    rest, seen = rest - rest.mean(0), seen - seen.mean(1, keepdim=True)
    u, _, vt = torch.linalg.svd(torch.einsum('npc,pd->ncd', seen, rest))
    flip = torch.ones(len(seen), 3)
    flip[:, 2] = torch.linalg.det(u @ vt)
    return u @ torch.diag_embed(flip) @ vt


def _first_bends(target_m: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
    """Coefficients (N, 15, 3): bend angles between the labelled bones, within the limits."""
    first = torch.zeros(len(target_m), JOINT_COUNT - 1, 3)
    wrist = target_m[:, 0]
    palmward = torch.nn.functional.normalize(
        torch.linalg.cross(target_m[:, 5] - wrist, target_m[:, 17] - wrist), dim=-1)
    for joints, chain in _FINGERS[1:]:
        bones = torch.nn.functional.normalize(
            target_m[:, list(chain[1:])] - target_m[:, list(chain[:-1])], dim=-1)
        base = torch.nn.functional.normalize(target_m[:, chain[0]] - wrist, dim=-1)
        before = base
        for place, joint in enumerate(joints):
            angle = (before * bones[:, place]).sum(-1).clamp(-1, 1).acos()
            sign = torch.sign((bones[:, 0] * palmward).sum(-1)) if place == 0 else 1.0
            first[:, joint - 1, 0] = angle * sign
            before = bones[:, place]
    return first.clamp(lowest, highest)
