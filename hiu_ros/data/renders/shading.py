"""Light on vertices and material of fragments: from a posed stage to colours."""

import numpy as np
import torch
from torch.nn.functional import normalize

from hiu_ros.data.renders.appearance import SkinLibrary, noise, paint
from hiu_ros.data.renders.poses import capsule_points
from hiu_ros.data.renders.scenes import Band, ScenePlan
from hiu_ros.data.renders.stage import FRONT, HAND_END, HELD, MAIN, SECOND, Stage
from hiu_ros.geometry.rasteriser import Fragments, fragments

#: Light that goes through skin reddens the edge of shade: how far each colour wraps round.
_WRAP = (0.28, 0.16, 0.12)
_SHADOW_TEXELS = 72
_SHADOW_HALF = 0.17
_SHADOW_BIAS = 0.006


def stack(values) -> torch.Tensor:
    """Float tensor of a list of numbers or arrays."""
    return torch.from_numpy(np.stack([np.asarray(v, dtype=np.float32) for v in values]))


def ambient_occlusion(vertices: torch.Tensor, normals: torch.Tensor,
                      keypoints: torch.Tensor) -> torch.Tensor:
    """Openness (B, W) in 0..1 of surface points among the spheres that fill the hand."""
    centres, _, radius = capsule_points(keypoints.numpy())
    keep = slice(1, None, 2)
    centre = torch.from_numpy(centres[:, keep]).float()
    size = torch.from_numpy(radius[keep]).float() * 1.25
    towards = normals @ centre.transpose(1, 2) - (normals * vertices).sum(-1, keepdim=True)
    square = torch.baddbmm((vertices ** 2).sum(-1, keepdim=True), vertices,
                           centre.transpose(1, 2), alpha=-2)
    square = square.add_((centre ** 2).sum(-1)[:, None]).clamp_min_(2e-5)
    gap = square.sqrt()
    lifted = towards.sub_(gap, alpha=0.25).clamp_min_(0)
    blocked = lifted.mul_(size * size).div_(square.mul_(gap)).clamp_(max=0.5).sum(-1)
    return torch.exp(-0.85 * blocked)


def lamp_visibility(vertices: torch.Tensor, centre: torch.Tensor, direction: torch.Tensor,
                    stage: Stage) -> torch.Tensor:
    """Share (B, W) of a distant lamp that reaches each vertex, from a filtered shadow map."""
    helper = torch.zeros_like(direction)
    helper[torch.arange(len(direction)), direction.abs().argmin(1)] = 1
    right = normalize(torch.linalg.cross(helper, direction), dim=1)
    down = torch.linalg.cross(-direction, right)
    local = vertices - centre[:, None]
    scale = _SHADOW_TEXELS / (2 * _SHADOW_HALF)
    half = (_SHADOW_TEXELS - 1) / 2
    x = (local * right[:, None]).sum(-1) * scale + half
    y = (local * down[:, None]).sum(-1) * scale + half
    depth = 1.0 - (local * direction[:, None]).sum(-1)
    # Absent slots lie far away; what is behind the camera must not throw shadows.
    depth = torch.where(vertices[..., 2] > 0, depth, -1.0)
    found = fragments(torch.stack([x, y, depth], -1), stage.welded_faces,
                      _SHADOW_TEXELS, _SHADOW_TEXELS, cull=True)
    near = found.scatter(found.depth, 9.0).view(len(vertices), -1)
    lit = torch.zeros_like(depth)
    column, row = x.round().long(), y.round().long()
    for step_x in (-1, 0, 1):
        for step_y in (-1, 0, 1):
            u = (column + step_x).clamp(0, _SHADOW_TEXELS - 1)
            v = (row + step_y).clamp(0, _SHADOW_TEXELS - 1)
            blocker = near.gather(1, v * _SHADOW_TEXELS + u)
            lit += (depth - blocker < _SHADOW_BIAS).float()
    return lit / 9


def light_vertices(vertices: torch.Tensor, normals: torch.Tensor, keypoints: torch.Tensor,
                   plans: list[ScenePlan], stage: Stage) -> tuple[torch.Tensor, torch.Tensor]:
    """Diffuse light (B, W, 3) and visibility of the first lamp (B, W)."""
    x, y, z = normals.unbind(-1)
    basis = torch.stack([torch.ones_like(x), x, y, z, x * y, y * z, z * x, x * x - y * y,
                         3 * z * z - 1], -1)
    harmonics = stack([plan.light.harmonics for plan in plans])
    ambient = (basis @ harmonics).clamp_min(0.01)
    lonely = all(plan.second is None for plan in plans)
    hands = stage.slots[MAIN if lonely else SECOND].stop
    openness = torch.ones_like(x)
    openness[:, :hands] = ambient_occlusion(vertices[:, :hands], normals[:, :hands], keypoints)
    direction = stack([plan.light.direction for plan in plans])
    colour = stack([plan.light.colour for plan in plans])
    strength = stack([plan.light.shadow for plan in plans])[:, None]
    visible = lamp_visibility(vertices, keypoints.mean(1), direction[:, 0], stage)
    visible = 1 - strength * (1 - visible)
    light = ambient * openness[..., None]
    wrap = torch.tensor(_WRAP)
    for lamp, seen in ((0, visible), (1, 0.5 + 0.5 * openness)):
        facing = (normals * direction[:, None, lamp]).sum(-1, keepdim=True)
        # Thin shadow edges are softened by the same scattering.
        diffuse = ((facing + wrap) / (1 + wrap)).clamp_min(0) * seen[..., None]
        light = light + diffuse * colour[:, None, lamp]
    return light, visible


def skin_vertices(plans: list[ScenePlan], stage: Stage) -> torch.Tensor:
    """Procedural skin colour (B, V, 3) of a hand slot's welded vertices."""
    skin = [plan.skin for plan in plans]
    palm, red, nail = stage.palm[:, None], stage.red[:, None], stage.nail[:, None]
    tone, inner = stack([s.tone for s in skin]), stack([s.palm for s in skin])
    colour = tone[:, None] + palm * (inner - tone)[:, None]
    flush = stack([s.redness for s in skin])[:, None, None] * red
    colour = colour * (1 - flush * torch.tensor([0.05, 0.75, 0.70]))
    return colour + nail * (stack([s.nail for s in skin])[:, None] - colour)


def colour_fragments(found: Fragments, values: dict[str, torch.Tensor], plans: list[ScenePlan],
                     stage: Stage, library: SkinLibrary
                     ) -> tuple[torch.Tensor, torch.Tensor]:
    """sRGB colours (P, 3) of fragments, and which of them are bare or gloved main hand.

    values: attributes at the fragments: light, normal, rest, skin, uv, nail, lamp.
    """
    colour = torch.empty_like(values['rest'])
    hand = torch.empty(len(colour), dtype=torch.bool)
    # Fragments come image by image, so that each image's share is a slice.
    ends = torch.searchsorted(found.image, torch.arange(len(plans) + 1)).tolist()
    for plan, start, stop in zip(plans, ends, ends[1:]):
        own = slice(start, stop)
        colour[own], hand[own] = _colour_image(
            found.face[own], {k: v[own] for k, v in values.items()}, plan, stage, library)
    return colour, hand


def _colour_image(face, values, plan, stage, library):
    """Colours and hand flags of one image's fragments."""
    rest, dress, light = values['rest'], plan.dress, plan.light
    owner = stage.owner[face]
    is_hand = owner <= SECOND
    albedo = _skin(face, values, plan.skin, stage, library)
    gloss = light.gloss + 0.25 * values['nail'] * (0.3 + plan.skin.polish)
    shine = light.shine
    sleeve = is_hand & (rest[:, 0] > dress.sleeve)
    bare = is_hand & ~sleeve
    if dress.glove:
        cloth = _vector(dress.glove_colour) * (1 + 0.03 * noise(rest * 30))[:, None]
        albedo = torch.where(bare[:, None], cloth, albedo)
    at = sleeve.nonzero()[:, 0]
    if len(at):
        albedo[at] = paint(dress.pattern, dress.frequency, _vector(dress.one),
                           _vector(dress.two), rest[at] @ _vector(dress.turn).T)
        gloss[at] = 0.02
    for band in (dress.watch, dress.ring):
        if band is not None:
            at = (bare & _band_hits(band, face, rest, stage)).nonzero()[:, 0]
            albedo[at], gloss[at] = _vector(band.colour), band.gloss
    for slot, thing in ((HELD, plan.held), (FRONT, plan.front)):
        if thing is not None:
            at = (owner == slot).nonzero()[:, 0]
            albedo[at] = paint(thing.pattern, thing.frequency, _vector(thing.one),
                               _vector(thing.two), rest[at])
            gloss[at] = thing.gloss

    half = _vector(light.direction[0] + np.array([0.0, 0.0, -1.0]))
    facing = (normalize(values['normal'], dim=1) @ normalize(half, dim=0)).clamp_min_(0)
    mirror = gloss * facing ** shine * values['lamp']
    colour = albedo * values['light'] + mirror[:, None] * _vector(light.colour[0])
    # Film's shoulder: what is too bright fades to white instead of being cut.
    over = (colour - 0.65).clamp_min_(0)
    colour = colour.clamp_(max=0.65) + 0.35 * (1 - torch.exp(-over / 0.35))
    hand = bare & (owner == MAIN) & (rest[:, 0] <= HAND_END)
    return colour.sqrt_(), hand


def _vector(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def _skin(face, values, skin, stage, library):
    """Colour (P, 3) as if every fragment were skin."""
    if skin.picture < 0:
        rest = values['rest']
        cloud = noise(rest * 9) + 0.7 * noise(rest * 33 + 0.37)
        return values['skin'] * (1 + skin.mottling * cloud)[:, None]
    seen = library.colour(skin.picture, stage.face_forearm[face], values['uv'])
    seen = seen * _vector(skin.tint)
    if skin.polish:
        seen = seen + (skin.polish * values['nail'])[:, None] * (_vector(skin.nail) - seen)
    return seen


def _band_hits(band: Band, face, rest, stage: Stage) -> torch.Tensor:
    """Fragments (P,) that lie under a watch or a ring."""
    if band.joint == 0:
        return (rest[:, 0] - band.centre).abs() < band.half_width
    joints = stage.template.joints
    start = _vector(joints[band.joint])
    bone = _vector(joints[band.joint + 1]) - start
    length = float(bone.norm())
    along = (rest - start) @ (bone / length)
    near = (along - band.centre * length).abs() < band.half_width
    return near & (stage.face_joint[face] == band.joint)
