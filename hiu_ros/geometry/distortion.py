"""Lens distortion in normalised image coordinates, and its inverse.

Formulas: Brown's radial and tangential terms as in OpenCV's camera calibration ('plumb_bob',
'rational_polynomial'), and the equidistant fisheye of Kannala and Brandt 2006 ('equidistant').
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.polynomial import Polynomial

#: Accepted numbers of coefficients, most common first.
_COUNTS = {
    'none': (0,),
    'plumb_bob': (5, 4),
    'rational_polynomial': (8,),
    'equidistant': (4,),
}
#: Other names for the same models met in camera drivers.
_ALIASES = {
    '': 'none', 'pinhole': 'none', 'radtan': 'plumb_bob', 'brown_conrady': 'plumb_bob',
    'rational': 'rational_polynomial', 'fisheye': 'equidistant', 'kannala_brandt': 'equidistant',
}
_STEPS = 30
_TOLERANCE = 1e-9
#: Angles from the axis that the steps start from: how many, and the widest, radians.
_SAMPLES, _WIDEST = 512, 1.55
#: Share of the ideal radius at which a lens's image ends that has an image: some end in a pole.
_OF_REACH = 0.999


def checked(model: str, coefficients: Sequence[float]) -> str:
    """The model's own name; ValueError for an unknown one or wrong coefficients.

    Coefficients that are all zero, or none at all, are 'none' for the polynomial models. A
    longer list is accepted where what is too much is zero.
    """
    name = _ALIASES.get(model.strip().lower(), model.strip().lower())
    if not np.isfinite(coefficients).all():
        raise ValueError(f'distortion coefficients are not finite: {tuple(coefficients)}')
    if model.strip() == '' and any(coefficients):
        raise ValueError(
            f'distortion coefficients {tuple(coefficients)} come without a distortion model; '
            f'name one of {sorted(_COUNTS)}'
        )
    if name not in _COUNTS:
        raise ValueError(f'unknown distortion model {model!r}, expected one of {sorted(_COUNTS)}')
    if name in ('none', 'plumb_bob', 'rational_polynomial') and not any(coefficients):
        return 'none'
    most = _COUNTS[name][0]
    if len(coefficients) not in _COUNTS[name] and (
        len(coefficients) < most or any(coefficients[most:])
    ):
        raise ValueError(
            f'distortion model {name} takes {" or ".join(map(str, _COUNTS[name]))} coefficients, '
            f'got {len(coefficients)}'
        )
    try:
        (_rising_angles if name == 'equidistant' else _radial_table)(tuple(coefficients[:most]))
    except np.linalg.LinAlgError:
        raise ValueError(f'distortion coefficients {tuple(coefficients)} are of no lens: they '
                         'differ beyond what numbers hold') from None
    return name


def distort(model: str, coefficients: Sequence[float], flat: np.ndarray) -> np.ndarray:
    """Ideal (x / z, y / z) of shape (..., 2) to where the lens shows them.

    Farther from the axis than a lens's polynomial rises, it says nothing: it would fold points
    back into the image. They are where it ends, in their direction.
    """
    flat = np.asarray(flat, dtype=np.float64)
    if model == 'none':
        return flat
    if model == 'equidistant':
        return _fisheye(coefficients, flat)
    reach = _radial_table(tuple(coefficients))[0]
    radius = np.linalg.norm(flat, axis=-1, keepdims=True)
    if np.isfinite(reach):
        flat = flat * np.minimum(1.0, _OF_REACH * reach / np.maximum(radius, 1e-12))
    return _brown(coefficients, flat)[0]


def undistort(model: str, coefficients: Sequence[float], bent: np.ndarray) -> np.ndarray:
    """Inverse of `distort` by Newton steps; NaN where there is no ideal point near."""
    bent = np.asarray(bent, dtype=np.float64)
    if model == 'none':
        return bent
    if model == 'equidistant':
        return _unfisheye(coefficients, bent)
    return _unbrown(coefficients, bent)


def _brown(coefficients: Sequence[float], flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distorted points and the Jacobian's entries (xx, xy, yy), stacked last."""
    k1, k2, p1, p2, k3, k4, k5, k6 = _eight(coefficients)
    x, y = flat[..., 0], flat[..., 1]
    r = x * x + y * y
    above = 1 + r * (k1 + r * (k2 + r * k3))
    below = 1 + r * (k4 + r * (k5 + r * k6))
    radial = above / below
    slope = (k1 + r * (2 * k2 + 3 * r * k3) - radial * (k4 + r * (2 * k5 + 3 * r * k6))) / below
    bent = np.stack([
        x * radial + 2 * p1 * x * y + p2 * (r + 2 * x * x),
        y * radial + p1 * (r + 2 * y * y) + 2 * p2 * x * y,
    ], axis=-1)
    jacobian = np.stack([
        radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x,
        2 * x * y * slope + 2 * p1 * x + 2 * p2 * y,
        radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x,
    ], axis=-1)
    return bent, jacobian


def _unbrown(coefficients: Sequence[float], bent: np.ndarray) -> np.ndarray:
    reach, ideal, shown = _radial_table(tuple(coefficients))
    radius = np.linalg.norm(bent, axis=-1)
    start = np.interp(radius, shown, ideal) / np.maximum(radius, 1e-12)
    flat = bent * start[..., None]
    with np.errstate(all='ignore'):
        for _ in range(_STEPS):
            image, jacobian = _brown(coefficients, flat)
            error = bent - image
            # nanmax would do, but for no points, which it takes only from NumPy 1.22 on.
            if np.fmax.reduce(np.abs(error), axis=None, initial=0.0) < _TOLERANCE:
                break
            xx, xy, yy = jacobian[..., 0], jacobian[..., 1], jacobian[..., 2]
            determinant = xx * yy - xy * xy
            step = np.stack([
                yy * error[..., 0] - xy * error[..., 1],
                xx * error[..., 1] - xy * error[..., 0],
            ], axis=-1) / determinant[..., None]
            length = np.linalg.norm(step, axis=-1, keepdims=True)
            flat = flat + step * np.minimum(1.0, 0.5 / np.maximum(length, 1e-12))
        image, jacobian = _brown(coefficients, flat)
        # Beyond the point where the polynomial folds back there is no inverse.
        folded = jacobian[..., 0] * jacobian[..., 2] - jacobian[..., 1] ** 2 <= 0
        folded |= np.linalg.norm(flat, axis=-1) > reach
        missed = np.abs(bent - image).max(axis=-1) > 1e-6
    flat[folded | missed] = np.nan
    return flat


@lru_cache(maxsize=64)
def _radial_table(coefficients: tuple[float, ...]) -> tuple[float, np.ndarray, np.ndarray]:
    """Ideal radius at which the radial terms stop to rise, and radii before it with their images.

    inf where they always rise. What they show beyond is shown before as well, or upside down.
    """
    k1, k2, _, _, k3, k4, k5, k6 = _eight(coefficients)
    above, below = Polynomial([1.0, k1, k2, k3]), Polynomial([1.0, k4, k5, k6])
    square = Polynomial([0.0, 1.0])
    slope = above * below + 2 * square * (above.deriv() * below - above * below.deriv())
    with np.errstate(all='ignore'):
        reach = np.sqrt(_first_root(slope * below))
        ideal = np.tan(np.linspace(0.0, min(np.arctan(reach), _WIDEST), _SAMPLES)[:-1])
        return reach, ideal, ideal * above(ideal ** 2) / below(ideal ** 2)


def _first_root(polynomial: Polynomial) -> float:
    """Smallest real root above 0, inf where there is none."""
    with np.errstate(over='ignore'):
        roots = polynomial.roots()
    return float(roots.real[(roots.imag == 0) & (roots.real > 0)].min(initial=np.inf))


def _eight(coefficients: Sequence[float]) -> list[float]:
    return [*coefficients[:8], *[0.0] * (8 - len(coefficients[:8]))]


def _fisheye(coefficients: Sequence[float], flat: np.ndarray) -> np.ndarray:
    radius = np.linalg.norm(flat, axis=-1)
    angle = np.minimum(np.arctan(radius), _rising_angles(tuple(coefficients[:4]))[-1])
    bent = _angle_polynomial(coefficients, angle)[0]
    scale = np.where(radius > 1e-12, bent / np.maximum(radius, 1e-12), 1.0)
    return flat * scale[..., None]


def _unfisheye(coefficients: Sequence[float], bent: np.ndarray) -> np.ndarray:
    target = np.linalg.norm(bent, axis=-1)
    angles = _rising_angles(tuple(coefficients[:4]))
    angle = np.interp(target, _angle_polynomial(coefficients, angles)[0], angles)
    with np.errstate(all='ignore'):
        for _ in range(_STEPS):
            value, slope = _angle_polynomial(coefficients, angle)
            angle = np.clip(angle + (target - value) / slope, 0.0, angles[-1])
        value, slope = _angle_polynomial(coefficients, angle)
        good = (np.abs(value - target) < 1e-8) & (slope > 0) & (angle < np.pi / 2 - 1e-6)
        scale = np.where(target > 1e-12, np.tan(angle) / np.maximum(target, 1e-12), 1.0)
    return np.where(good[..., None], bent * scale[..., None], np.nan)


@lru_cache(maxsize=64)
def _rising_angles(coefficients: tuple[float, ...]) -> np.ndarray:
    """Angles from 0 to where the image of a fisheye ends or folds back."""
    k1, k2, k3, k4 = coefficients
    squared = _first_root(Polynomial([1.0, 3 * k1, 5 * k2, 7 * k3, 9 * k4]))
    return np.linspace(0.0, min(np.sqrt(squared), np.pi / 2), _SAMPLES)


def _angle_polynomial(
    coefficients: Sequence[float], angle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    k1, k2, k3, k4 = coefficients[:4]
    t = angle * angle
    value = angle * (1 + t * (k1 + t * (k2 + t * (k3 + t * k4))))
    slope = 1 + t * (3 * k1 + t * (5 * k2 + t * (7 * k3 + t * 9 * k4)))
    return value, slope
