"""Scene plans to pictures, masks and labels, many at once."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from hiu_ros.data.renders.appearance import SkinLibrary
from hiu_ros.data.renders.scenes import ScenePlan
from hiu_ros.data.renders.shading import (
    colour_fragments,
    light_vertices,
    skin_vertices,
    stack,
)
from hiu_ros.data.renders.stage import FRONT, HELD, MAIN, SECOND, Stage
from hiu_ros.geometry.rasteriser import Fragments, fragments
from hiu_ros.geometry.rotations import matrix_to_axis_angle

#: MANO joints whose surface belongs to each keypoint (16: none).
_OWN = ((0, 13), (13, 0), (13, 14), (14, 15), (15, 15),
        (1, 0), (1, 2), (2, 3), (3, 3), (4, 0), (4, 5), (5, 6), (6, 6),
        (10, 0), (10, 11), (11, 12), (12, 12), (7, 0), (7, 8), (8, 9), (9, 9))
#: How far (m) in front of a keypoint a surface hides it: its own flesh, another part of the same
#: hand, anything else.
_DEEP, _ACROSS, _OTHER = 0.040, 0.013, 0.010


@dataclass
class Posed:
    """A batch of stages in camera axes, main wrist at 0. welded: (B, W, 3)."""

    welded: torch.Tensor
    keypoints: torch.Tensor
    rest: torch.Tensor
    present: torch.Tensor


@dataclass
class Drawn:
    """What one drawing gives; images are (B, H, W, ...) at the drawn resolution."""

    colour: torch.Tensor  #: sRGB 0..1, 0 where nothing is
    covered: torch.Tensor
    hand: torch.Tensor
    found: Fragments


@dataclass
class Tiles:
    """A batch of finished tiles with all labels, as the render bank stores them."""

    bgra: np.ndarray
    mask: np.ndarray
    keypoints_px: np.ndarray
    keypoints_m: np.ndarray
    camera: np.ndarray
    pose: np.ndarray
    shape: np.ndarray
    visibility: np.ndarray


class Renderer:
    """Draws scene plans on a stage."""

    def __init__(self, stage: Stage, library: SkinLibrary) -> None:
        """Take the stage and the skin pictures (may be an empty library)."""
        self.stage, self.library = stage, library

    def pose(self, plans: list[ScenePlan]) -> Posed:
        """Pose hands and lay the things into the hand's frame."""
        stage, batch = self.stage, len(plans)
        welded = torch.zeros(batch, stage.vertex_count, 3)
        rest = torch.zeros(batch, stage.vertex_count, 3)
        present = torch.zeros(batch, 4, dtype=torch.bool)
        present[:, MAIN] = True
        main = self._hand([plan.hand for plan in plans])
        welded[:, stage.slots[MAIN].rows] = main.vertices
        for slot in (MAIN, SECOND):
            rest[:, stage.slots[slot].rows] = stage.rest
        seconds = [i for i, plan in enumerate(plans) if plan.second is not None]
        if seconds:
            other = self._hand([plans[i].second for i in seconds]).vertices
            other = other * torch.tensor([-1.0, 1.0, 1.0])
            other = other + stack([plans[i].second_offset for i in seconds])[:, None]
            welded[seconds, stage.slots[SECOND].rows] = other
            present[seconds, SECOND] = True
        for i, plan in enumerate(plans):
            if plan.held is not None:
                turned = plan.held.vertices @ plan.hand.rotations[0].T
                welded[i, stage.slots[HELD].rows] = torch.from_numpy(turned).float()
                rest[i, stage.slots[HELD].rows] = torch.from_numpy(plan.held.local).float()
                present[i, HELD] = True
            if plan.front is not None:
                middle = main.keypoints[i].mean(0) - torch.tensor([0, 0, plan.distance])
                placed = torch.from_numpy(plan.front.vertices).float() + middle
                welded[i, stage.slots[FRONT].rows] = placed
                rest[i, stage.slots[FRONT].rows] = torch.from_numpy(plan.front.local).float()
                present[i, FRONT] = True
        return Posed(welded, main.keypoints, rest, present)

    def _hand(self, hands):
        return self.stage.model(
            stack([h.rotations for h in hands]), stack([h.shape for h in hands]),
            stack([h.forearm for h in hands]))

    def dress(self, posed: Posed, normals: torch.Tensor, plans: list[ScenePlan]) -> torch.Tensor:
        """Vertices (B, W, 3) moved outwards where there is a sleeve or a glove."""
        start = stack([plan.dress.sleeve for plan in plans])[:, None]
        thick = stack([plan.dress.thickness for plan in plans])[:, None]
        glove = stack([0.0012 * plan.dress.glove for plan in plans])[:, None]
        hands = slice(0, self.stage.slots[SECOND].stop)
        x = posed.rest[:, hands, 0]
        inside = ((x - start + 0.002) / 0.004).clamp(0, 1)
        out = posed.welded.clone()
        out[:, hands] += normals[:, hands] * (thick * inside + glove)[..., None]
        return out

    def draw(self, posed: Posed, plans: list[ScenePlan], translation: torch.Tensor,
             camera: torch.Tensor, height: int, width: int) -> Drawn:
        """Draw posed stages moved by translation (B, 3) through cameras (B, 4) fx fy cx cy px."""
        stage = self.stage
        normals = stage.normals(posed.welded)
        vertices = self.dress(posed, normals, plans) + translation[:, None]
        for slot, place in enumerate(stage.slots):
            vertices[~posed.present[:, slot], place.rows] = -1.0
        keypoints = posed.keypoints + translation[:, None]
        light, lamp = light_vertices(vertices, normals, keypoints, plans, stage)
        skin = torch.zeros_like(light)
        nail = torch.zeros_like(lamp)
        for slot in (MAIN, SECOND):
            skin[:, stage.slots[slot].rows] = skin_vertices(plans, stage)
            nail[:, stage.slots[slot].rows] = stage.nail
        welded = torch.cat([light, normals, posed.rest, skin, nail[..., None], lamp[..., None]],
                           -1)
        split = welded[:, stage.split]
        uv = torch.zeros(split.shape[1], 2)
        uv[:2 * len(stage.uv)] = stage.uv.repeat(2, 1)
        attributes = torch.cat([split, uv.expand(len(plans), -1, -1)], -1)
        z = vertices[..., 2:]
        pixel = vertices[..., :2] / z.clamp_min(1e-3) * camera[:, None, :2] + camera[:, None, 2:]
        screen = torch.cat([pixel, z], -1)[:, stage.split]
        found = fragments(screen, stage.faces, height, width, cull=True)
        parts = found.interpolate(stage.faces, attributes).split([3, 3, 3, 3, 1, 1, 2], 1)
        names = ('light', 'normal', 'rest', 'skin', 'nail', 'lamp', 'uv')
        values = dict(zip(names, parts))
        values['nail'], values['lamp'] = values['nail'][:, 0], values['lamp'][:, 0]
        colour, hand = colour_fragments(found, values, plans, stage, self.library)
        ones = torch.ones(len(found.pixel))
        return Drawn(found.scatter(colour), found.scatter(ones), found.scatter(hand.float()),
                     found)

    @staticmethod
    def place(keypoints: torch.Tensor, plans: list[ScenePlan], size: int
              ) -> tuple[torch.Tensor, torch.Tensor]:
        """Translations (B, 3) and focal lengths (B,) px that give the planned fill and place."""
        distance = stack([plan.distance for plan in plans])
        fill = stack([plan.fill for plan in plans])
        shift = stack([plan.shift for plan in plans])
        place = torch.cat([-keypoints.mean(1)[:, :2], torch.zeros(len(plans), 1)], 1)
        place[:, 2] = distance - keypoints.mean(1)[:, 2]
        for _ in range(5):
            points = keypoints + place[:, None]
            flat = points[..., :2] / points[..., 2:]
            low, high = flat.amin(1), flat.amax(1)
            focal = fill * size / (high - low).amax(1)
            wanted = shift * size / focal[:, None]
            place[:, :2] += (wanted - (low + high) / 2) * distance[:, None]
        return place, focal

    def visibility(self, drawn: Drawn, keypoints_px: torch.Tensor, depth: torch.Tensor
                   ) -> torch.Tensor:
        """(B, 21) bool. keypoints_px at the drawn resolution; depth (B, 21) metres."""
        found, stage = drawn.found, self.stage
        batch, height, width = found.size
        table = torch.full((batch * height * width,), -1)
        table[found.pixel] = torch.arange(len(found.pixel))
        at = keypoints_px.round().long()
        x, y = at.unbind(-1)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        index = (torch.arange(batch)[:, None] * height + y.clamp(0, height - 1)) * width
        hit = table[index + x.clamp(0, width - 1)]
        face = found.face[hit.clamp(min=0)]
        gap = depth - found.depth[hit.clamp(min=0)]
        joint = stage.face_joint[face]
        own = (joint[..., None] == torch.tensor(_OWN)).any(-1)
        allowed = torch.where(own, _DEEP, _ACROSS)
        allowed = torch.where(stage.owner[face] == MAIN, allowed, _OTHER)
        return inside & ((hit < 0) | (gap < allowed))

    def tiles(self, plans: list[ScenePlan], size: int, supersample: int = 2) -> Tiles:
        """Draw square tiles whose camera looks through the tile's centre."""
        posed = self.pose(plans)
        translation, focal = self.place(posed.keypoints, plans, size)
        fine, n = focal * supersample, size * supersample
        middle = torch.full_like(fine, (n - 1) / 2)
        camera = torch.stack([fine, fine, middle, middle], 1)
        drawn = self.draw(posed, plans, translation, camera, n, n)
        points = posed.keypoints + translation[:, None]
        ray = points[..., :2] / points[..., 2:]
        visible = self.visibility(drawn, ray * fine[:, None, None] + (n - 1) / 2, points[..., 2])
        planes = torch.cat([drawn.colour, drawn.covered[..., None], drawn.hand[..., None]], -1)
        small = avg_pool2d(planes.permute(0, 3, 1, 2), supersample).permute(0, 2, 3, 1)
        alpha, mask = small[..., 3:4], small[..., 4]
        colour = small[..., :3] / alpha.clamp_min(1e-6)
        bgra = torch.cat([colour.flip(-1), alpha], -1)
        to_bytes = lambda x: (x * 255 + 0.5).clamp(0, 255).byte().numpy()  # noqa: E731
        matrix = torch.zeros(len(plans), 3, 3)
        matrix[:, 0, 0] = matrix[:, 1, 1] = focal
        matrix[:, :2, 2] = (size - 1) / 2
        matrix[:, 2, 2] = 1
        rotations = stack([plan.hand.rotations for plan in plans])
        return Tiles(
            to_bytes(bgra), to_bytes(mask),
            (ray * focal[:, None, None] + (size - 1) / 2).numpy(), points.numpy(),
            matrix.numpy(), matrix_to_axis_angle(rotations).numpy(),
            stack([plan.hand.shape for plan in plans]).numpy(), visible.numpy())
