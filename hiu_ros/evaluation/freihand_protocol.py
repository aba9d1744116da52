"""The evaluation protocol of the FreiHAND challenge, and its prediction file.

As in the challenge's own tool (github lmb-freiburg/freihand): each sample's joints and vertices
are aligned to the truth by a similarity of their own in which reflections are not excluded;
errors are averaged per point and then over points; F-scores are means over samples.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hiu_ros.evaluation import metrics

VERTEX_COUNT = 778
EVALUATION_COUNT = 3960


class ProtocolError(ValueError):
    """A prediction or truth file does not fit the protocol; the message says how."""


def evaluate(
    joints: np.ndarray,
    joint_guess: np.ndarray,
    vertices: np.ndarray | None = None,
    vertex_guess: np.ndarray | None = None,
) -> dict[str, float]:
    """All figures of the protocol; errors in mm, unaligned ones too.

    joints and joint_guess: (N, 21, 3) metres; vertices: (N, 778, 3); vertex_guess: (N, V, 3). For
    a mesh of another topology than the truth's (V not 778) there are no vertex errors, and its
    F-scores are of the vertices carried along by the joints' similarity. The tool means to do the
    same but leaves a division by the size of the prediction out, so it gives that mesh nothing.
    """
    joints, joint_guess = np.asarray(joints, np.float64), np.asarray(joint_guess, np.float64)
    similarity = metrics.fit_similarity(joints, joint_guess)
    figures = _errors('mpjpe', joints, joint_guess, similarity.apply(joint_guess))
    if vertices is None or vertex_guess is None:
        return figures
    vertices = np.asarray(vertices, np.float64)
    vertex_guess = np.asarray(vertex_guess, np.float64)
    if vertices.shape == vertex_guess.shape:
        similarity = metrics.fit_similarity(vertices, vertex_guess)
        figures |= _errors('mpvpe', vertices, vertex_guess, similarity.apply(vertex_guess))
    aligned = similarity.apply(vertex_guess)
    for threshold in metrics.F_THRESHOLDS_M:
        name = f'f{1000 * threshold:.0f}'
        figures[name] = metrics.f_scores(vertices, aligned, threshold)
        figures[f'unaligned_{name}'] = metrics.f_scores(vertices, vertex_guess, threshold)
    return figures


def _errors(
    name: str, truth: np.ndarray, guess: np.ndarray, aligned: np.ndarray
) -> dict[str, float]:
    raw, fitted = metrics.point_errors(truth, guess), metrics.point_errors(truth, aligned)
    return {
        f'pa_{name}': 1000 * metrics.mean_error(fitted),
        f'{name}': 1000 * metrics.mean_error(raw),
        f'pa_{name}_auc': metrics.auc(fitted),
        f'{name}_auc': metrics.auc(raw),
    }


def write_predictions(path: str | Path, joints: np.ndarray, vertices: np.ndarray) -> None:
    """Write the challenge's file in one step: JSON [joints (N, 21, 3), vertices (N, V, 3)], m."""
    lists = [np.round(np.asarray(points, np.float64), 7).tolist() for points in (joints, vertices)]
    part = Path(f'{path}.part')
    part.write_text(json.dumps(lists))
    os.replace(part, path)


def read_predictions(path: str | Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, 21, 3) and vertices (N, V, 3) of a challenge file of `count` samples."""
    lists = _load(path)
    if not isinstance(lists, list) or len(lists) != 2:
        raise ProtocolError(f'{path} is not a list of two lists, joints and vertices')
    joints, vertices = (_points(path, points) for points in lists)
    for name, points, want in (('joints', joints, 21), ('vertices', vertices, None)):
        if points.ndim != 3 or len(points) != count or points.shape[2] != 3 or (
                want not in (None, points.shape[1])):
            raise ProtocolError(
                f'{path}: {name} have shape {points.shape}, expected ({count}, {want or "V"}, 3)')
    return joints, vertices


def read_truth(folder: str | Path, split: str = 'evaluation') -> Mapping[str, np.ndarray]:
    """The challenge's truth: joints (N, 21, 3) and vertices (N, 778, 3), metres, camera frame."""
    points = {}
    for name, part, count in (('joints', 'xyz', 21), ('vertices', 'verts', VERTEX_COUNT)):
        path = Path(folder) / f'{split}_{part}.json'
        if not path.is_file():
            raise ProtocolError(
                f'{path} is missing; the true {name} of the evaluation split come with the '
                "evaluation annotations on the data set's own site")
        points[name] = _points(path, _load(path))
        if points[name].ndim != 3 or points[name].shape[1:] != (count, 3):
            raise ProtocolError(
                f'{path} has shape {points[name].shape}, expected (N, {count}, 3)')
    return points


def _points(path: str | Path, values: list) -> np.ndarray:
    """Nested lists of one shape as an array. Raises ProtocolError for other and for no numbers."""
    try:
        points = np.array(values)
    except ValueError as error:
        raise ProtocolError(f'{path}: the samples differ in their number of points') from error
    if points.dtype.kind not in 'iuf':
        raise ProtocolError(f'{path} holds values that are no numbers')
    if not np.isfinite(points).all():
        raise ProtocolError(f'{path} holds values that are not finite, such as NaN')
    return points.astype(np.float64)


def _load(path: str | Path) -> list:
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ProtocolError(f'{path} cannot be read as JSON: {error}') from error
