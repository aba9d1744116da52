"""The fixed topology of a rendered scene: two hands with forearms and two things."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch

from hiu_ros.data.renders import primitives
from hiu_ros.geometry.rasteriser import mesh_edges
from hiu_ros.hand.model import HandModel
from hiu_ros.hand.skeleton import JOINT_COUNT
from hiu_ros.hand.template import HandTemplate, load_template

#: Slots in the order of the stage's vertices.
MAIN, SECOND, HELD, FRONT = range(4)
#: How far rings beyond the cut of the forearm lie (m), and their width against the cut.
_EXTENSION = ((0.07, 1.10), (0.15, 1.18), (0.32, 1.24))
#: Rest x (m) up to which a right hand's surface counts as hand.
HAND_END = 0.006


def boundary_loop(faces: np.ndarray) -> np.ndarray:
    """Vertices of the longest open border of a mesh, in order round it; empty where closed."""
    edges, owners = mesh_edges(torch.from_numpy(np.asarray(faces, dtype=np.int64)))
    border = edges[owners[:, 1] < 0].numpy()
    after: dict[int, list[int]] = {}
    for a, b in border:
        after.setdefault(int(a), []).append(int(b))
        after.setdefault(int(b), []).append(int(a))
    loops, seen = [], set()
    for start in sorted(after):
        if start in seen:
            continue
        loop, at = [], start
        while at is not None:
            loop.append(at)
            seen.add(at)
            at = next((n for n in after[at] if n not in seen), None)
        loops.append(loop)
    return np.array(max(loops, key=len, default=[]), dtype=np.int64)


def lengthen(template: HandTemplate) -> HandTemplate:
    """Continue the open end of a hand's forearm by 32 cm and close it."""
    loop = boundary_loop(template.faces)
    if not len(loop):
        return template
    count, ring = len(template.vertices), len(loop)
    end = template.vertices[loop]
    centre = end.mean(0)
    axis = centre
    axis = axis / np.linalg.norm(axis)
    flat = end + (centre - end) @ np.outer(axis, axis)
    rings = [centre + (flat - centre) * width + axis * along for along, width in _EXTENSION]
    summit = centre + axis * _EXTENSION[-1][0]
    vertices = np.concatenate([template.vertices, *rings, summit[None]])
    source = np.concatenate([np.arange(count), *([loop] * len(rings)), loop[:1]])
    rows = [loop] + [count + k * ring + np.arange(ring) for k in range(len(rings))]
    top = count + len(rings) * ring
    new = []
    for low, high in zip(rows, rows[1:]):
        low2, high2 = np.roll(low, -1), np.roll(high, -1)
        new += [np.stack([low, low2, high2], 1), np.stack([low, high2, high], 1)]
    new.append(np.stack([rows[-1], np.roll(rows[-1], -1), np.full(ring, top)], 1))
    new = np.concatenate(new)
    probe = vertices[new[0]]
    normal = np.cross(probe[1] - probe[0], probe[2] - probe[0])
    if normal @ (probe.mean(0) - centre) < 0:
        new = new[:, ::-1]
    uv_row = np.zeros(count, dtype=np.int64)
    uv_row[template.faces.reshape(-1)] = template.uv_faces.reshape(-1)
    optional = {
        name: getattr(template, name)[source]
        for name in ('forearm_weight', 'nail', 'palm') if getattr(template, name) is not None
    }
    part = template.face_part if template.face_part is not None else np.zeros(len(template.faces))
    return replace(
        template, vertices=vertices.astype(np.float32),
        faces=np.concatenate([template.faces, new]).astype(np.int64),
        weights=template.weights[source], shapedirs=template.shapedirs[:, source],
        uv_faces=np.concatenate([template.uv_faces, uv_row[source][new]]).astype(np.int64),
        face_part=np.concatenate([part, np.full(len(new), part.max())]), **optional)


@dataclass
class Slot:
    """Where a slot's welded vertices begin and end."""

    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """The slot's vertices as a slice."""
        return slice(self.start, self.stop)


class Stage:
    """Static arrays of a scene.

    Lighting works on welded vertices (W in all), drawing on vertices split along texture seams
    (U in all); `split` gives the welded vertex of each.
    """

    def __init__(self, template: HandTemplate | None = None) -> None:
        """Build the stage of a template with UV, by default the forearm mesh of the package."""
        template = lengthen(template or load_template('forearm'))
        self.template = template
        self.model = HandModel(template)
        welded, count = np.asarray(template.faces, dtype=np.int64), len(template.vertices)
        pair = welded.reshape(-1) * len(template.uv) + template.uv_faces.reshape(-1)
        unique, corner = np.unique(pair, return_inverse=True)
        split = unique // len(template.uv)
        hand_faces = corner.reshape(-1, 3)
        things = primitives.faces()
        parts = [(welded, hand_faces, split, count),
                 (welded[:, ::-1], hand_faces[:, ::-1], split, count)]
        parts += [(things, things, np.arange(primitives.VERTEX_COUNT),
                   primitives.VERTEX_COUNT)] * 2
        self.slots, welded_faces, faces, maps, owner = [], [], [], [], []
        w = u = 0
        for number, (weld, drawn, index, size) in enumerate(parts):
            self.slots.append(Slot(w, w + size))
            welded_faces.append(weld + w)
            faces.append(drawn + u)
            maps.append(index + w)
            owner.append(np.full(len(weld), number))
            w, u = w + size, u + len(index)
        self.vertex_count = w
        self.welded_faces = torch.from_numpy(np.concatenate(welded_faces))
        self.faces = torch.from_numpy(np.concatenate(faces))
        self.split = torch.from_numpy(np.concatenate(maps))
        self.owner = torch.from_numpy(np.concatenate(owner))
        self.incidence = self._incidence()
        self._attributes(template, split, unique % len(template.uv), hand_faces)

    def _incidence(self) -> torch.Tensor:
        """(W, F) sparse matrix that sums face normals at the vertices."""
        count = len(self.welded_faces)
        rows = self.welded_faces.T.reshape(-1)
        columns = torch.arange(count).repeat(3)
        with warnings.catch_warnings():
            # PyTorch calls its sparse matrices a beta; nobody who renders can act on that.
            warnings.simplefilter('ignore')
            matrix = torch.sparse_coo_tensor(
                torch.stack([rows, columns]), torch.ones(len(rows)), (self.vertex_count, count))
            return matrix.coalesce().to_sparse_csr()

    def _attributes(self, template, split, uv_row, hand_faces):
        """Per-vertex facts of the hand slots: position at rest, uv, nail, palm, redness."""
        rest = template.vertices
        normals = np.zeros_like(rest)
        a, b, c = (rest[template.faces[:, k]] for k in range(3))
        for k in range(3):
            np.add.at(normals, template.faces[:, k], np.cross(b - a, c - a))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
        palm = template.palm
        if palm is None:
            palm = np.clip(0.5 - 1.2 * normals[:, 1], 0, 1)
        nail = template.nail if template.nail is not None else np.zeros(len(rest))
        joints = template.joints
        red = np.zeros(len(rest))
        for points, width in ((joints[1:], 0.008), (template.tips, 0.009)):
            gap = np.linalg.norm(rest[:, None] - points[None], axis=-1)
            red = np.maximum(red, np.exp(-(gap / (1.6 * width)) ** 2).max(1))
        joint = template.weights[template.faces].sum(1).argmax(1)
        tensor = lambda x: torch.from_numpy(np.ascontiguousarray(x)).float()  # noqa: E731
        self.rest, self.palm = tensor(rest), tensor(palm)
        self.nail, self.red = tensor(nail), tensor(red)
        self.uv = tensor(template.uv[uv_row])
        self.hand_split = torch.from_numpy(split)
        forearm = template.face_part > 0
        others = 2 * len(primitives.faces())
        pad = lambda x, fill: np.concatenate([x, x, np.full(others, fill)])  # noqa: E731
        self.face_forearm = torch.from_numpy(pad(forearm, False).astype(bool))
        #: MANO joint that moves a face most; JOINT_COUNT for things.
        self.face_joint = torch.from_numpy(pad(joint, JOINT_COUNT).astype(np.int64))

    def normals(self, vertices: torch.Tensor) -> torch.Tensor:
        """Unit vertex normals (B, W, 3), outwards, of welded vertices (B, W, 3)."""
        batch = len(vertices)
        flat = vertices.transpose(0, 1).reshape(self.vertex_count, -1)
        a, b, c = (flat[self.welded_faces[:, k]].view(-1, batch, 3) for k in range(3))
        faces = torch.linalg.cross(b - a, c - a).reshape(len(self.welded_faces), -1)
        summed = (self.incidence @ faces).view(self.vertex_count, batch, 3)
        return torch.nn.functional.normalize(summed, dim=-1).transpose(0, 1).contiguous()
