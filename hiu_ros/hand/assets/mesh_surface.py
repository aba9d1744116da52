"""Geometry of triangle meshes that `build_assets.py` needs."""

import numpy as np


def unit(vector: np.ndarray) -> np.ndarray:
    """Divide vectors (..., 3) by their length."""
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def edge_rings(faces: np.ndarray, inner: np.ndarray, count: int) -> list[list[int]]:
    """Give the rings of vertices that follow outside the open edge of the `inner` faces."""
    neighbours: dict[int, set[int]] = {}
    for face in faces.tolist():
        for v in face:
            neighbours.setdefault(v, set()).update(face)
    edges: dict[tuple[int, int], int] = {}
    for a, b, c in inner.tolist():
        for edge in ((a, b), (b, c), (c, a)):
            edge = tuple(sorted(edge))
            edges[edge] = edges.get(edge, 0) + 1
    ring = {v for edge, uses in edges.items() if uses == 1 for v in edge}
    seen = set(inner.ravel().tolist())
    rings = []
    for _ in range(count):
        ring = set().union(*(neighbours[v] for v in ring)) - seen
        seen |= ring
        rings.append(sorted(ring))
    return rings


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Give unit normals (V, 3), weighted by the areas of the faces around."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    normals = np.zeros_like(vertices)
    for corner in faces.T:
        np.add.at(normals, corner, np.cross(b - a, c - a))
    return unit(normals)


def smoothed(values: np.ndarray, faces: np.ndarray, rounds: int) -> np.ndarray:
    """Average values (V,) with those of the neighbouring vertices."""
    for _ in range(rounds):
        total, count = np.zeros_like(values), np.zeros_like(values)
        for corner in faces.T:
            np.add.at(total, corner, values[faces].mean(1))
            np.add.at(count, corner, 1)
        values = total / count
    return values


def nearest_on_surface(points: np.ndarray, triangles: np.ndarray) -> tuple:
    """Give for each point the nearest triangle and the barycentric place on it."""
    a, b, c = triangles.transpose(1, 0, 2)
    ab, ac = b - a, c - a
    gram = np.stack(((ab * ab).sum(1), (ab * ac).sum(1), (ac * ac).sum(1)))
    det = gram[0] * gram[2] - gram[1] ** 2
    faces, shares = [], []
    for point in points:
        p, q = (ab * (point - a)).sum(1), (ac * (point - a)).sum(1)
        inner_b = (gram[2] * p - gram[1] * q) / det
        inner_c = (gram[0] * q - gram[1] * p) / det
        inner = np.stack((1 - inner_b - inner_c, inner_b, inner_c), 1)
        inner[(inner < 0).any(1)] = np.nan
        candidates = [inner]
        for start, end in ((0, 1), (1, 2), (2, 0)):
            edge = triangles[:, end] - triangles[:, start]
            t = ((point - triangles[:, start]) * edge).sum(1) / (edge * edge).sum(1)
            share = np.zeros((len(triangles), 3))
            share[:, end] = np.clip(t, 0, 1)
            share[:, start] = 1 - share[:, end]
            candidates.append(share)
        candidates = np.stack(candidates)
        places = np.einsum('kfc,fcx->kfx', candidates, triangles)
        distance = ((places - point) ** 2).sum(-1)
        kind, face = np.unravel_index(np.nanargmin(distance), distance.shape)
        faces.append(face)
        shares.append(candidates[kind, face])
    return np.array(faces), np.array(shares)
