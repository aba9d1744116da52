"""How far a measured depth image lies behind the mesh of a hand, whatever else is in it."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from hiu_ros.geometry.camera import Camera
from hiu_ros.geometry.rasteriser import rasterise

#: Longer side of the picture in which mesh and measurement are compared, pixels.
_GRID = 96
#: Fewest pixels and smallest share of the compared ones that must agree on a distance.
MIN_PIXELS = 40
MIN_SHARE = 0.25
#: Width (m) of the window that the agreeing pixels lie in: poses are wrong by about so much.
_WINDOW = 0.03
#: Depth sensors are wrong by a common amount that no median takes out: m + m per m^2.
_BIAS, _BIAS_SQUARED = 0.002, 0.0015
#: Neighbouring pixels share their errors: so many count as one.
_CORRELATED = 25


@dataclass(frozen=True)
class DepthEvidence:
    """shift: metres to add to the mesh's depth. sigma: its standard deviation, m. pixels: how
    many agreed; share: of those compared."""

    shift: float
    sigma: float
    pixels: int
    share: float


def metres(depth: np.ndarray) -> np.ndarray:
    """A depth image as float32 metres, NaN where nothing was measured.

    uint16 holds millimetres and floats hold metres (REP 118); 0, negative and infinite values
    are holes. Raises ValueError for another dtype or shape.
    """
    if depth.ndim != 2:
        raise ValueError(f'depth image must be (H, W), got shape {depth.shape}')
    if depth.dtype == np.uint16:
        result = depth.astype(np.float32) / 1000
    elif np.issubdtype(depth.dtype, np.floating):
        result = depth.astype(np.float32)
    else:
        raise ValueError(f'depth image must be uint16 (mm) or float (m), got {depth.dtype}')
    with np.errstate(invalid='ignore'):
        result[~(np.isfinite(result) & (result > 0))] = np.nan
    return result


def depth_behind_mesh(
    vertices: np.ndarray, faces: np.ndarray, camera: Camera, depth: np.ndarray,
    mask: np.ndarray, origin: tuple[int, int], reach: float = 0.6,
) -> DepthEvidence | None:
    """Measured minus mesh depth over the pixels of a hand; None where there is too little.

    vertices: (V, 3) camera frame, m. depth: (H, W) as `metres` takes it, registered to the image.
    mask: (h, w) uint8, 255 in the hand and 0 outside, at `origin` (x, y) of the image. reach:
    differences beyond this share of the mesh's depth are no hand.

    The surface of the mesh is compared, pixel by pixel, where mesh and mask agree and away from
    their outlines. Of the differences the densest window counts, and its median is the shift:
    holes, background beyond the outline and things held before the hand fall outside of it.
    """
    height, width = mask.shape
    factor = max(1.0, max(height, width) / _GRID)
    rows, columns = max(1, int(height / factor)), max(1, int(width / factor))
    pixels = camera.project(vertices)
    if not np.isfinite(pixels).all():
        return None
    scale = np.array([columns / width, rows / height])
    picture = np.concatenate([(pixels - origin + 0.5) * scale - 0.5, vertices[:, 2:]], axis=1)
    raster = rasterise(
        torch.from_numpy(picture.astype(np.float32))[None],
        torch.from_numpy(np.asarray(faces, np.int64)), rows, columns)
    surface = raster.depth[0].numpy()
    small = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA) > 200
    both = _eroded(small & np.isfinite(surface))
    y, x = np.nonzero(both)
    # The measurement is read at the pixel centres, never averaged across an edge.
    full_x = np.rint((x + 0.5) / scale[0] - 0.5).astype(int) + origin[0]
    full_y = np.rint((y + 0.5) / scale[1] - 0.5).astype(int) + origin[1]
    # Of a large image the hand is a small part: the rest is never turned into metres.
    measured = metres(depth[full_y.clip(0, depth.shape[0] - 1),
                            full_x.clip(0, depth.shape[1] - 1)][None])[0]
    modelled = surface[y, x]
    difference = measured - modelled
    with np.errstate(invalid='ignore'):
        difference = difference[np.abs(difference) < reach * modelled]
    return _densest(difference, float(np.mean(modelled)) if len(modelled) else np.nan)


def _densest(difference: np.ndarray, distance: float) -> DepthEvidence | None:
    if len(difference) < MIN_PIXELS:
        return None
    ordered = np.sort(difference)
    ends = np.searchsorted(ordered, ordered + _WINDOW, side='right')
    counts = ends - np.arange(len(ordered))
    # The middle of all windows that hold the most, so that ties do not pull to one side.
    best = np.flatnonzero(counts >= 0.98 * counts.max())
    first = int(best[len(best) // 2])
    centre = float(np.median(ordered[first:ends[first]]))
    agreeing = difference[np.abs(difference - centre) < _WINDOW]
    share = len(agreeing) / len(difference)
    if len(agreeing) < MIN_PIXELS or share < MIN_SHARE:
        return None
    shift = float(np.median(agreeing))
    spread = 1.4826 * float(np.median(np.abs(agreeing - shift)))
    scatter = 1.25 * spread / np.sqrt(max(1.0, len(agreeing) / _CORRELATED))
    sigma = float(np.hypot(scatter, _BIAS + _BIAS_SQUARED * distance ** 2))
    return DepthEvidence(shift, sigma, len(agreeing), share)


def _eroded(area: np.ndarray) -> np.ndarray:
    inner = cv2.erode(area.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0
    return inner if inner.sum() >= MIN_PIXELS else area
