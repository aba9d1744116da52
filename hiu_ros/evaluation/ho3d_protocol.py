"""The evaluation protocol of the HO3D challenge (v2 and v3), and its prediction file.

The figures are FreiHAND's plus one alignment by scale and translation only. Predictions are in
the OpenGL camera frame (y up, z towards the viewer: the hand has negative z), the joints in the
MANO order with the tips of thumb, index, middle, ring and pinky last.
"""

from pathlib import Path

import numpy as np

from hiu_ros.evaluation import freihand_protocol, metrics
from hiu_ros.evaluation.freihand_protocol import ProtocolError
from hiu_ros.hand.skeleton import KEYPOINTS_FROM_JOINTS

EVALUATION_COUNTS = {'v2': 11524, 'v3': 20137}
#: x, y, z of the OpenCV camera frame to those of the OpenGL one, and back.
OPENGL = np.array([1.0, -1.0, -1.0])
#: Row j of the MANO order is this keypoint of ours.
JOINTS_FROM_KEYPOINTS = np.argsort(KEYPOINTS_FROM_JOINTS)


def to_opengl(points: np.ndarray) -> np.ndarray:
    """Camera frame points (..., 3) in HO3D's frame; the same turns them back."""
    return np.asarray(points, np.float64) * OPENGL


def to_keypoints(joints: np.ndarray) -> np.ndarray:
    """HO3D's 21 joints (..., 21, 3) in our keypoint order."""
    return np.asarray(joints)[..., list(KEYPOINTS_FROM_JOINTS), :]


def to_joints(keypoints: np.ndarray) -> np.ndarray:
    """Our 21 keypoints (..., 21, 3) in HO3D's order."""
    return np.asarray(keypoints)[..., JOINTS_FROM_KEYPOINTS, :]


def evaluate(
    joints: np.ndarray,
    joint_guess: np.ndarray,
    vertices: np.ndarray | None = None,
    vertex_guess: np.ndarray | None = None,
) -> dict[str, float]:
    """FreiHAND's figures and `st_mpjpe`: the error in mm after scale and translation alone.

    All in HO3D's frame and joint order, metres.
    """
    figures = freihand_protocol.evaluate(joints, joint_guess, vertices, vertex_guess)
    moved = metrics.align_scale_translation(joints, joint_guess)
    errors = metrics.point_errors(joints, moved)
    figures['st_mpjpe'] = 1000 * metrics.mean_error(errors)
    figures['st_mpjpe_auc'] = metrics.auc(errors)
    return figures


def write_predictions(path: str | Path, keypoints: np.ndarray, vertices: np.ndarray) -> None:
    """Write the challenge's file from our keypoints and vertices (camera frame, metres).

    Raises ProtocolError where any lies behind the camera, as of root-relative points at least the
    root does: the challenge asks for absolute ones. Add the root joint that comes with each image
    first.
    """
    keypoints, vertices = np.asarray(keypoints), np.asarray(vertices)
    if (keypoints[..., 2] <= 0).any() or (vertices[..., 2] <= 0).any():
        raise ProtocolError('a predicted hand lies behind the camera (z <= 0), at least in part; '
                            'HO3D asks for camera coordinates, so add the root joint first')
    freihand_protocol.write_predictions(
        path, to_opengl(to_joints(keypoints)), to_opengl(vertices))
