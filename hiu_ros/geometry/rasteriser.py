"""A triangle rasteriser in plain torch: no loop over faces or pixels, any device, batched.

Faces are cut into the image rows they touch and the rows into runs of pixels whose centres lie
inside; the nearest face of a pixel is found by one scatter-minimum over keys that hold the depth
above and the face index below, so equal depths always go to the lower face index. Images of one
batch are independent of each other.
"""

from dataclasses import dataclass

import torch

#: Pixel centres this far (pixels) outside an edge still count as inside, so shared edges leave
#: no crack.
EDGE_SLACK = 1e-3
#: Faces with a corner nearer than this (metres) are left out.
NEAR = 1e-3


@dataclass(frozen=True)
class Raster:
    """The nearest face of every pixel.

    face: (B, H, W) int64, -1 where there is none. barycentric: (B, H, W, 3) perspective-correct
    weights of the face's corners, 0 where there is none. depth: (B, H, W) metres, inf where
    there is none.
    """

    face: torch.Tensor
    barycentric: torch.Tensor
    depth: torch.Tensor

    @property
    def covered(self) -> torch.Tensor:
        """(B, H, W) bool, True where any face is."""
        return self.face >= 0


@dataclass(frozen=True)
class Fragments:
    """The covered pixels alone, as flat lists of one length P; cheaper to shade than a Raster.

    pixel: index into the flattened (B, H, W). image: batch index. face, barycentric (P, 3) and
    depth as in `Raster`.
    """

    pixel: torch.Tensor
    image: torch.Tensor
    face: torch.Tensor
    barycentric: torch.Tensor
    depth: torch.Tensor
    size: tuple[int, int, int]

    def interpolate(self, faces: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        """(P, C) values of corner attributes, (V, C) or (B, V, C), at the fragments."""
        corners = faces[self.face]
        if attributes.ndim == 3:
            flat = attributes.reshape(-1, attributes.shape[-1])
            corners = corners + (self.image * attributes.shape[1])[:, None]
        else:
            flat = attributes
        return torch.nn.functional.embedding_bag(
            corners, flat, per_sample_weights=self.barycentric.to(flat.dtype), mode='sum')

    def scatter(self, values: torch.Tensor, background: float = 0.0) -> torch.Tensor:
        """(B, H, W, C) or (B, H, W) image of values given per fragment, (P, C) or (P,)."""
        batch, height, width = self.size
        image = values.new_full((batch * height * width, *values.shape[1:]), background)
        image[self.pixel] = values
        return image.view(batch, height, width, *values.shape[1:])


def _check(vertices: torch.Tensor, faces: torch.Tensor) -> None:
    if vertices.ndim != 3 or vertices.shape[-1] != 3:
        raise ValueError(f'vertices must be (B, V, 3), got {tuple(vertices.shape)}')
    if faces.ndim != 2 or faces.shape[-1] != 3:
        raise ValueError(f'faces must be (F, 3), got {tuple(faces.shape)}')


def signed_areas(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """(B, F) twice the signed area in pixels; negative where a face turns its outside to us.

    With y down and corners counter-clockwise seen from outside (the hand meshes), a front face
    runs clockwise in x, y, which makes this negative.
    """
    p = vertices[:, faces, :2]
    a, b = p[..., 1, :] - p[..., 0, :], p[..., 2, :] - p[..., 0, :]
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _expand(counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For each item repeated counts times: (item index, running number within the item)."""
    owner = torch.repeat_interleave(counts)
    start = counts.cumsum(0) - counts
    return owner, torch.arange(owner.shape[0], device=counts.device) - start[owner]


def fragments(vertices: torch.Tensor, faces: torch.Tensor, height: int, width: int,
              cull: bool = False) -> Fragments:
    """Visible fragments of meshes given in pixels.

    vertices: (B, V, 3) x px, y px (pixel centres at integers), depth m. faces: (F, 3) int64.
    cull: leave out faces that turn their back to the camera. Values carry no gradient.
    """
    _check(vertices, faces)
    with torch.no_grad():
        batch, count = vertices.shape[0], faces.shape[0]
        corner = vertices.float()[:, faces].reshape(batch * count, 3, 3)
        x, y, z = corner.unbind(-1)
        area = ((x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0])
                - (y[:, 1] - y[:, 0]) * (x[:, 2] - x[:, 0]))
        low, high = y.amin(1).clamp(-1, height + 1), y.amax(1).clamp(-1, height + 1)
        first = (low - EDGE_SLACK).ceil().clamp(min=0)
        last = (high + EDGE_SLACK).floor().clamp(max=height - 1)
        good = (z.amin(1) > NEAR) & torch.isfinite(corner).all(-1).all(-1) & (last >= first)
        good &= (x.amax(1) >= -0.5) & (x.amin(1) <= width - 0.5)
        good &= (area < -1e-7) if cull else (area.abs() > 1e-7)
        keep = good.nonzero()[:, 0]
        x, y, z, area = x[keep], y[keep], z[keep], area[keep]
        sign = area.sign()[:, None]
        # Edge i lies opposite corner i; its function A x + B y + C is positive inside.
        xa, xb = x.roll(-1, 1), x.roll(-2, 1)
        ya, yb = y.roll(-1, 1), y.roll(-2, 1)
        edge_a, edge_b = (ya - yb) * sign, (xb - xa) * sign
        edge_c = (xa * yb - xb * ya) * sign
        # Inverse depth is linear in the image.
        twice = area.abs()[:, None]
        inverse = 1 / z
        plane = torch.stack([(edge * inverse).sum(1) for edge in
                             (edge_a / twice, edge_b / twice, edge_c / twice)], 1)

        first = first[keep].long()
        owner, step = _expand(last[keep].long() - first + 1)
        row = first[owner] + step
        value = edge_b[owner] * row[:, None] + edge_c[owner]
        slope = edge_a[owner]
        crossing = -value / slope
        left = torch.where(slope > 0, crossing, -torch.inf).amax(1) - EDGE_SLACK
        right = torch.where(slope < 0, crossing, torch.inf).amin(1) + EDGE_SLACK
        # Float rounding must never widen a run beyond the face itself.
        begin = torch.maximum(left.ceil(), (x.amin(1) - EDGE_SLACK).ceil()[owner])
        end = torch.minimum(right.floor(), (x.amax(1) + EDGE_SLACK).floor()[owner])
        begin, end = begin.clamp(0, width), end.clamp(-1, width - 1)
        length = (end - begin + 1).clamp(min=0).long()
        some = (length > 0).nonzero()[:, 0]
        owner, row, length, begin = owner[some], row[some], length[some], begin[some].long()

        run, step = _expand(length)
        base = plane[owner, 1] * row + plane[owner, 2] + plane[owner, 0] * begin
        inverse_depth = (base[run] + plane[owner, 0][run] * step).nan_to_num_()
        # Of a face that is nearly edge-on, rounding carries it far beyond the corners.
        nearest, farthest = inverse.amax(1)[owner][run], inverse.amin(1)[owner][run]
        depth = 1 / torch.maximum(farthest, torch.minimum(nearest, inverse_depth))
        image_of = torch.div(keep, count, rounding_mode='floor')
        start = (image_of[owner] * height + row) * width + begin
        pixel = start[run] + step
        face_of = (keep - image_of * count)[owner]
        key = (depth.view(torch.int32).long() << 32) | face_of[run]

        empty = torch.iinfo(torch.int64).max
        best = key.new_full((batch * height * width,), empty)
        best.scatter_reduce_(0, pixel, key, 'amin')
        pixel = (best != empty).nonzero()[:, 0]
        key = best[pixel]
        face = key & 0xffffffff
        depth = (key >> 32).int().view(torch.float32)
        image = torch.div(pixel, height * width, rounding_mode='floor')
        weights = _barycentric(vertices.float(), faces, pixel, image, face, height, width)
        return Fragments(pixel, image, face, weights, depth, (batch, height, width))


def _barycentric(vertices, faces, pixel, image, face, height, width):
    """Perspective-correct weights of the face corners at pixel centres, (P, 3), summing to 1."""
    within = pixel - image * (height * width)
    py = torch.div(within, width, rounding_mode='floor')
    px = (within - py * width).float()
    py = py.float()
    index = faces[face] + (image * vertices.shape[1])[:, None]
    corner = vertices.reshape(-1, 3).index_select(0, index.reshape(-1)).view(-1, 3, 3)
    x, y, z = corner.unbind(-1)
    (x0, x1, x2), (y0, y1, y2) = (x - px[:, None]).unbind(1), (y - py[:, None]).unbind(1)
    cross = torch.stack([x1 * y2 - y1 * x2, x2 * y0 - y2 * x0, x0 * y1 - y0 * x1], 1)
    weights = (cross / cross.sum(1, keepdim=True)).clamp_(0, 1).div_(z)
    return weights.div_(weights.sum(1, keepdim=True).clamp_min_(1e-12))


def rasterise(vertices: torch.Tensor, faces: torch.Tensor, height: int, width: int,
              cull: bool = False) -> Raster:
    """Nearest face, weights and depth of every pixel.

    vertices: (B, V, 3) x px, y px (pixel centres at integers), depth m; faces: (F, 3) int64.
    A face with a corner behind the camera is left out whole. ValueError on wrong shapes.
    """
    found = fragments(vertices, faces, height, width, cull)
    face = found.scatter(found.face + 1) - 1
    return Raster(face, found.scatter(found.barycentric), found.scatter(found.depth, torch.inf))


def interpolate(raster: Raster, faces: torch.Tensor, attributes: torch.Tensor,
                background: float = 0.0) -> torch.Tensor:
    """(B, H, W, C) image of corner attributes, (V, C) or (B, V, C).

    faces may be another table of the same triangles (texture corners). Differentiable with
    respect to the attributes.
    """
    batch, height, width = raster.face.shape
    pixel = raster.covered.reshape(-1).nonzero()[:, 0]
    image = torch.div(pixel, height * width, rounding_mode='floor')
    found = Fragments(pixel, image, raster.face.reshape(-1)[pixel],
                      raster.barycentric.reshape(-1, 3)[pixel],
                      raster.depth.reshape(-1)[pixel], (batch, height, width))
    return found.scatter(found.interpolate(faces, attributes), background)


def mesh_edges(faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unique edges (E, 2) of a mesh and their two faces (E, 2), -1 where an edge has only one."""
    sides = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    owner = torch.arange(faces.shape[0], device=faces.device).repeat(3)
    edges, inverse = torch.unique(sides.sort(1).values, dim=0, return_inverse=True)
    order = torch.argsort(inverse, stable=True)
    inverse, owner = inverse[order], owner[order]
    table = owner.new_full((edges.shape[0], 2), -1)
    start = torch.ones_like(inverse, dtype=torch.bool)
    start[1:] = inverse[1:] != inverse[:-1]
    table[inverse[start], 0] = owner[start]
    table[inverse[~start], 1] = owner[~start]
    return edges, table


def soft_silhouette(vertices: torch.Tensor, faces: torch.Tensor, height: int, width: int,
                    sigma: float = 1.0, edges: tuple[torch.Tensor, torch.Tensor] | None = None
                    ) -> torch.Tensor:
    """(B, H, W) coverage in 0..1 whose gradient moves the outline; right for silhouette losses.

    Hard coverage decides inside from outside; within 2 sigma pixels of the outline the value is
    a smooth step of the signed distance to the nearest outline edge, and that distance is
    differentiable with respect to the edge's two vertices. Vertices as in `rasterise`. `edges`:
    the result of `mesh_edges(faces)`, to save its cost on every call.
    """
    _check(vertices, faces)
    batch, reach = vertices.shape[0], 2.0 * sigma
    with torch.no_grad():
        found = fragments(vertices.detach(), faces, height, width)
        inside = vertices.new_zeros(batch * height * width)
        inside[found.pixel] = 1
        pairs, owners = edges if edges is not None else mesh_edges(faces)
        flat = vertices.detach()
        front = signed_areas(flat, faces) < 0
        one, two = front[:, owners[:, 0]], front[:, owners[:, 1].clamp(min=0)]
        chosen = (one != two) | (owners[:, 1] < 0)
        image, edge = chosen.nonzero().unbind(1)
        ends = flat[image[:, None], pairs[edge]]
        a, b = ends[:, 0, :2], ends[:, 1, :2]
        ahead = (ends[..., 2] > NEAR).all(1)
        # An outline edge has background on one side; a contour inside the shape has not.
        along = b - a
        normal = torch.stack([-along[:, 1], along[:, 0]], 1)
        normal = normal / normal.norm(dim=1, keepdim=True).clamp_min(1e-9)
        middle = (a + b) / 2
        sides = [_sample(inside, image, middle + step * normal, height, width)
                 for step in (-1.0, 1.0)]
        keep = (ahead & ((sides[0] < 0.5) | (sides[1] < 0.5))).nonzero()[:, 0]
        image, edge, a, b = image[keep], edge[keep], a[keep], b[keep]
        limit = flat.new_tensor([width - 1.0, height - 1.0])
        low = torch.minimum(torch.minimum(a, b).sub(reach).ceil().clamp(min=0), limit + 1).long()
        high = torch.minimum(torch.maximum(a, b).add(reach).floor(), limit).clamp(min=-1).long()
        extent = (high - low + 1).clamp(min=0)
        owner, step = _expand(extent[:, 0] * extent[:, 1])
        across = extent[owner, 0]
        px = low[owner, 0] + step % across
        py = low[owner, 1] + torch.div(step, across, rounding_mode='floor')
        point = torch.stack([px, py], 1).to(a.dtype)
        distance = _segment_distance(point, a[owner], b[owner])
        near = (distance < reach).nonzero()[:, 0]
        owner, point, distance = owner[near], point[near], distance[near]
        pixel = (image[owner] * height + py[near]) * width + px[near]
        key = (distance.float().view(torch.int32).long() << 32) | owner
        empty = torch.iinfo(torch.int64).max
        best = key.new_full((batch * height * width,), empty).scatter_reduce(0, pixel, key, 'amin')
        pixel = (best != empty).nonzero()[:, 0]
        owner = best[pixel] & 0xffffffff
        within = pixel % (height * width)
        point = torch.stack([within % width, torch.div(within, width, rounding_mode='floor')], 1)
        point, image, edge = point.to(vertices.dtype), image[owner], edge[owner]
    a = vertices[image, pairs[edge, 0], :2]
    b = vertices[image, pairs[edge, 1], :2]
    distance = _segment_distance(point, a, b) / reach
    signed = (2 * inside[pixel] - 1) * distance.clamp(max=1)
    value = 0.5 + signed * (0.75 - 0.25 * signed * signed)
    return inside.index_put((pixel,), value).view(batch, height, width)


def _sample(flat, image, point, height, width):
    """Values of a flat (B, H, W) image at the nearest pixel, 0 outside."""
    at = point.round().long()
    x, y = at[:, 0], at[:, 1]
    good = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = (image * height + y.clamp(0, height - 1)) * width + x.clamp(0, width - 1)
    return torch.where(good, flat[index], torch.zeros_like(flat[index]))


def _segment_distance(point, a, b):
    along, offset = b - a, point - a
    t = (offset * along).sum(1) / (along * along).sum(1).clamp_min(1e-12)
    gap = offset - t.clamp(0, 1)[:, None] * along
    return ((gap * gap).sum(1) + 1e-12).sqrt()
