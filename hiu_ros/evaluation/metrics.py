"""Scores of keypoints, meshes and masks, as the FreiHAND and HO3D protocols define them.

Arrays are batched over samples: N samples of P points. Lengths are metres (or pixels in 2D)
unless a name says millimetres.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

#: The 100 thresholds of the FreiHAND and HO3D area under the PCK curve: 0 to 50 mm.
AUC_THRESHOLDS_M = np.linspace(0.0, 0.05, 100)
F_THRESHOLDS_M = (0.005, 0.015)
_TINY = 1e-8


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ (x - source) + target, a batch of them. Rotation may reflect."""

    rotation: np.ndarray  #: (N, 3, 3)
    scale: np.ndarray  #: (N,)
    source: np.ndarray  #: (N, 3) mean of the points it was fitted to
    target: np.ndarray  #: (N, 3) mean of the points it was fitted on

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Map points (N, P, 3)."""
        turned = (points - self.source[:, None]) @ self.rotation.transpose(0, 2, 1)
        return turned * self.scale[:, None, None] + self.target[:, None]


def fit_similarity(truth: np.ndarray, prediction: np.ndarray) -> Similarity:
    """Similarity that takes each predicted point set to the true one in the FreiHAND sense.

    Both sets (N, P, 3) are centred and divided by their Frobenius norm, then turned onto each
    other by orthogonal Procrustes. As in the protocol's tool a reflection is not excluded.
    """
    truth, prediction = _pair(truth, prediction)
    target, source = truth.mean(1), prediction.mean(1)
    a, b = truth - target[:, None], prediction - source[:, None]
    norm_a = np.linalg.norm(a, axis=(1, 2)) + _TINY
    norm_b = np.linalg.norm(b, axis=(1, 2)) + _TINY
    covariance = a.transpose(0, 2, 1) @ b / (norm_a * norm_b)[:, None, None]
    u, singular, vt = np.linalg.svd(covariance)
    return Similarity(u @ vt, singular.sum(1) * norm_a / norm_b, source, target)


def align(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Predicted points (N, P, 3), or of one sample (P, 3), after `fit_similarity` to the truth."""
    truth, prediction = np.asarray(truth, np.float64), np.asarray(prediction, np.float64)
    if truth.ndim == 2:
        return align(truth[None], prediction[None])[0]
    return fit_similarity(truth, prediction).apply(prediction)


def align_scale_translation(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """HO3D's second alignment, of points in the MANO order (N, 21, 3).

    The prediction is scaled so that its points 0 and 4 are as far apart as the true ones and moved
    so that the wrists agree. Where its own two are at one place it is scaled by the true distance
    in metres, as by the challenge's tool.
    """
    truth, prediction = _pair(truth, prediction)
    length = np.linalg.norm(prediction[:, 4] - prediction[:, 0], axis=-1)
    wanted = np.linalg.norm(truth[:, 4] - truth[:, 0], axis=-1)
    scale = wanted / np.where(length > 0, length, 1.0)
    return (prediction - prediction[:, :1]) * scale[:, None, None] + truth[:, :1]


def align_root(truth: np.ndarray, prediction: np.ndarray, root: int = 0) -> np.ndarray:
    """Predicted points moved so that point `root` agrees."""
    truth, prediction = _pair(truth, prediction)
    return prediction - prediction[:, root, None] + truth[:, root, None]


def point_errors(
    truth: np.ndarray, prediction: np.ndarray, valid: np.ndarray | None = None
) -> np.ndarray:
    """Euclidean distances (N, P); NaN where `valid` (N, P) is false."""
    truth, prediction = _pair(truth, prediction)
    errors = np.linalg.norm(truth - prediction, axis=-1)
    return errors if valid is None else np.where(np.asarray(valid, bool), errors, np.nan)


def mean_error(errors: np.ndarray) -> float:
    """Mean over samples for each point, then over the points that have a sample. NaN if none."""
    columns = _valid_columns(errors)
    return float(np.mean([column.mean() for column in columns])) if columns else float('nan')


def pck(errors: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share of points at most a threshold away, for each threshold, mean over points (T,)."""
    thresholds = np.atleast_1d(np.asarray(thresholds, np.float64))
    columns = _valid_columns(errors)
    if not columns:
        return np.full(len(thresholds), np.nan)
    curves = [np.searchsorted(np.sort(c), thresholds, side='right') / len(c) for c in columns]
    return np.mean(curves, 0)


def auc(errors: np.ndarray, thresholds: np.ndarray = AUC_THRESHOLDS_M) -> float:
    """Area under the PCK curve by trapezoids, divided by the length of the threshold range."""
    curve = pck(errors, thresholds)
    area = np.sum((curve[1:] + curve[:-1]) / 2 * np.diff(thresholds))
    return float(area / np.ptp(thresholds))


def f_score(truth: np.ndarray, prediction: np.ndarray, threshold: float) -> float:
    """F-score of two point sets (P, 3) and (Q, 3).

    Harmonic mean of the share of true points with a predicted point nearer than `threshold` and
    the share of predicted points with a true point nearer than it; strictly nearer.
    """
    truth, prediction = np.asarray(truth, np.float64), np.asarray(prediction, np.float64)
    if not len(truth) or not len(prediction):
        return 0.0
    covered = (cKDTree(prediction).query(truth)[0] < threshold).mean()
    correct = (cKDTree(truth).query(prediction)[0] < threshold).mean()
    total = covered + correct
    return float(2 * covered * correct / total) if total > 0 else 0.0


def f_scores(truth: np.ndarray, prediction: np.ndarray, threshold: float) -> float:
    """Mean of `f_score` over N pairs of point sets."""
    if len(truth) != len(prediction):
        raise ValueError(f'{len(truth)} true sets, but {len(prediction)} predicted ones')
    return float(np.mean([f_score(a, b, threshold) for a, b in zip(truth, prediction)]))


def mask_iou(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Intersection over union of two masks of one shape (non-zero is inside); 1 if both empty."""
    truth, prediction = np.asarray(truth) > 0, np.asarray(prediction) > 0
    if truth.shape != prediction.shape:
        raise ValueError(f'masks differ in shape: {truth.shape} and {prediction.shape}')
    union = np.count_nonzero(truth | prediction)
    return np.count_nonzero(truth & prediction) / union if union else 1.0


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes [x, y, width, height]."""
    left, top = np.maximum(a[:2], b[:2])
    right, bottom = np.minimum(np.add(a[:2], a[2:]), np.add(b[:2], b[2:]))
    shared = max(right - left, 0.0) * max(bottom - top, 0.0)
    union = a[2] * a[3] + b[2] * b[3] - shared
    return float(shared / union) if union > 0 else 0.0


def _pair(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, prediction = np.asarray(truth, np.float64), np.asarray(prediction, np.float64)
    if truth.shape != prediction.shape or truth.ndim != 3:
        raise ValueError(
            f'true points have shape {truth.shape} and predicted ones {prediction.shape}, '
            'expected the same (N, P, D)'
        )
    return truth, prediction


def _valid_columns(errors: np.ndarray) -> list[np.ndarray]:
    errors = np.asarray(errors, np.float64)
    columns = (column[~np.isnan(column)] for column in errors.T)
    return [column for column in columns if len(column)]
