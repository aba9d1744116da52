"""What is known of a hand in space, in the axes of the virtual camera that looks at its crop."""

import numpy as np
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.crop import Crop
from hiu_ros.geometry.placement import rotation_to_ray
from hiu_ros.training.sources import Tile


def labels_in_space(tile: Tile, crop: Crop, canonical: bool) -> dict[str, np.ndarray]:
    """The entries of a training sample that a tile has in space, float32.

    canonical: whether the crop shows a right hand; no other has a pose, a shape or vertices.
    """
    labels: dict[str, np.ndarray] = {}
    cosine, sine = np.cos(crop.angle), np.sin(crop.angle)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    if tile.camera is not None:
        ray = np.linalg.solve(tile.camera, [*crop.centre, 1.0])
        turn = turn @ rotation_to_ray(ray / np.linalg.norm(ray)).T
    flipped = np.diag([-1.0 if crop.mirrored else 1.0, 1, 1]) @ turn
    if tile.keypoints_m is not None:
        labels.update(keypoints_m=tile.keypoints_m @ flipped.T, weights_3d=tile.weight_3d)
        if tile.vertices_m is not None and canonical:
            labels.update(vertices=(tile.vertices_m - tile.keypoints_m[0]) @ flipped.T,
                          vertex_weights=tile.parameter_weight)
    if tile.pose is not None and canonical:
        labels.update(rotations=to_crop_axes(turn, tile.pose, crop.mirrored),
                      parameter_weights=tile.parameter_weight)
    if tile.shape is not None and canonical:
        labels.update(shapes=tile.shape, shape_weights=1.0)
    return {name: np.asarray(value, np.float32) for name, value in labels.items()}


def to_crop_axes(rotation: np.ndarray, pose: np.ndarray, mirrored: bool) -> np.ndarray:
    """Matrices (16, 3, 3) of a pose (16, 3) whose whole hand is also turned by `rotation`.

    rotation: (3, 3) from the camera's axes to the crop's, as the crop is without mirroring. pose:
    of the right hand shown; of a mirrored crop the rotation acts on the mirrored picture.
    """
    if mirrored:
        flip = np.diag([-1.0, 1.0, 1.0])
        rotation = flip @ rotation @ flip
    matrices = Rotation.from_rotvec(pose).as_matrix()
    matrices[0] = rotation @ matrices[0]
    return matrices
