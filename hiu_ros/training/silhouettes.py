"""The parametric hand in the crop: reprojected points, and its outline as a picture."""

import torch
from torch import Tensor

from hiu_ros.geometry.rasteriser import mesh_edges, soft_silhouette

#: Metres; puts the hand before the rasteriser's camera. Weak perspective does not see it.
_DISTANCE = 1.0


def reproject(points: Tensor, camera: Tensor) -> Tensor:
    """Weak perspective: (B, N, 3) metres and cameras (B, 3) = s, tx, ty to (B, N, 2), 0..1.

    0 and 1 are the borders of the crop: (s X + tx + 1) / 2.
    """
    return (camera[:, None, :1] * points[..., :2] + camera[:, None, 1:] + 1) / 2


class Silhouettes:
    """Draws hands' silhouettes so that their outlines have gradients."""

    def __init__(self, faces: Tensor, softness: float = 1.0):
        """`softness`: sigma of the outline in pixels of the picture that is drawn."""
        self.faces = faces
        self.softness = softness
        self.edges = mesh_edges(faces)

    def __call__(self, vertices: Tensor, camera: Tensor, size: int) -> Tensor:
        """(B, size, size) coverage 0..1 of (B, V, 3) vertices under cameras (B, 3)."""
        if not len(vertices):
            return vertices.new_zeros(0, size, size)
        flat = reproject(vertices, camera).float() * size - 0.5
        deep = vertices[..., 2:].float() + _DISTANCE
        return soft_silhouette(torch.cat([flat, deep], 2), self.faces, size, size,
                               self.softness, self.edges)
