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
    square = ((vertices ** 2).sum(-1, keepdim=True) + (centre ** 2).sum(-1)[:, None]
              - 2 * vertices @ centre.transpose(1, 2)).clamp_min(2e-5)
    lifted = (towards - 0.25 * square.sqrt()).clamp_min(0)
    blocked = (lifted * size * size / (square * square.sqrt())).clamp(max=0.5).sum(-1)
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
    hands = stage.slots[SECOND].stop
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


def _band_hits(band: Band | None, rest: torch.Tensor, joint: torch.Tensor,
               stage: Stage) -> torch.Tensor | None:
    if band is None:
        return None
    if band.joint == 0:
        return (rest[:, 0] - band.centre).abs() < band.half_width
    start = torch.from_numpy(stage.template.joints[band.joint]).float()
    bone = torch.from_numpy(stage.template.joints[band.joint + 1]).float() - start
    length = bone.norm()
    along = (rest - start) @ (bone / length) / length
    return (joint == band.joint) & ((along - band.centre).abs() * length < band.half_width)


def colour_fragments(found: Fragments, values: dict[str, torch.Tensor], plans: list[ScenePlan],
                     stage: Stage, library: SkinLibrary
                     ) -> tuple[torch.Tensor, torch.Tensor]:
    """sRGB colours (P, 3) of fragments, and which of them are bare or gloved main hand.

    values: attributes at the fragments: light, normal, rest, skin, uv, nail, lamp.
    """
    image, rest = found.image, values['rest']
    owner, joint = stage.owner[found.face], stage.face_joint[found.face]
    is_hand = owner <= SECOND
    gloss = stack([plan.light.gloss for plan in plans])[image]
    shine = stack([plan.light.shine for plan in plans])[image]

    albedo = _skin(found.face, image, values, plans, stage, library)
    polish = stack([plan.skin.polish for plan in plans])[image]
    gloss = gloss + 0.25 * values['nail'] * (0.3 + polish)

    dress = [plan.dress for plan in plans]
    sleeve = is_hand & (rest[:, 0] > stack([d.sleeve for d in dress])[image])
    bare = is_hand & ~sleeve
    glove = bare & (stack([float(d.glove) for d in dress])[image] > 0)
    at = glove.nonzero()[:, 0]
    if len(at):
        cloth = stack([d.glove_colour for d in dress])[image[at]]
        albedo[at] = cloth * (1 + 0.03 * noise(rest[at] * 30))[:, None]
    at = sleeve.nonzero()[:, 0]
    if len(at):
        turn = stack([d.turn for d in dress])[image[at]]
        albedo[at] = paint(
            torch.tensor([d.pattern for d in dress])[image[at]],
            stack([d.frequency for d in dress])[image[at]],
            stack([d.one for d in dress])[image[at]], stack([d.two for d in dress])[image[at]],
            (turn @ rest[at][..., None])[..., 0])
        gloss[at] = 0.02
    for number, d in enumerate(dress):
        for band in (d.watch, d.ring):
            if band is None:
                continue
            own = ((image == number) & bare).nonzero()[:, 0]
            own = own[_band_hits(band, rest[own], joint[own], stage)]
            albedo[own] = torch.from_numpy(band.colour).float()
            gloss[own], shine[own] = band.gloss, 30.0
    _paint_things(albedo, gloss, owner, image, rest, plans)

    direction = stack([plan.light.direction[0] for plan in plans])
    lamp = stack([plan.light.colour[0] for plan in plans])
    half = normalize(direction + torch.tensor([0.0, 0.0, -1.0]), dim=1)[image]
    facing = (normalize(values['normal'], dim=1) * half).sum(1).clamp_min(0)
    mirror = gloss * facing ** shine * values['lamp']
    colour = albedo * values['light'] + mirror[:, None] * lamp[image]
    hand = bare & (owner == MAIN) & (rest[:, 0] <= HAND_END)
    # Film's shoulder: what is too bright fades to white instead of being cut.
    over = (colour - 0.65).clamp_min_(0)
    colour = colour.clamp_(max=0.65) + 0.35 * (1 - torch.exp(-over / 0.35))
    return colour.sqrt_(), hand


def _skin(face, image, values, plans, stage, library):
    rest = values['rest']
    skins = [plan.skin for plan in plans]
    picture = torch.tensor([s.picture for s in skins])[image]
    mottling = stack([s.mottling for s in skins])[image]
    cloud = noise(rest * 9) + 0.7 * noise(rest * 33 + 0.37)
    colour = values['skin'] * (1 + mottling * cloud)[:, None]
    at = (picture >= 0).nonzero()[:, 0]
    if len(at):
        seen = library.colour(picture[at], stage.face_forearm[face[at]], values['uv'][at])
        seen = seen * stack([s.tint for s in skins])[image[at]]
        polish = (stack([s.polish for s in skins])[image[at]] * values['nail'][at])[:, None]
        nail = stack([s.nail for s in skins])[image[at]]
        colour[at] = seen + polish * (nail - seen)
    return colour


def _paint_things(albedo, gloss, owner, image, local, plans):
    for slot, name in ((HELD, 'held'), (FRONT, 'front')):
        for number, plan in enumerate(plans):
            thing = getattr(plan, name)
            if thing is None:
                continue
            at = ((owner == slot) & (image == number)).nonzero()[:, 0]
            same = torch.ones(len(at))
            colours = [torch.from_numpy(c).float().expand(len(at), 3)
                       for c in (thing.one, thing.two)]
            albedo[at] = paint(same.long() * thing.pattern, same * thing.frequency, *colours,
                               local[at])
            gloss[at] = thing.gloss
