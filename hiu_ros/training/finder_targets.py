"""What the finder should say about a frame: maps at an eighth of it."""

from dataclasses import dataclass, field

import numpy as np

from hiu_ros.network.finder import STRIDE

#: A hand smaller than this, px, is neither asked for nor taken amiss.
LEAST_EXTENT = 7.0


@dataclass(eq=False)
class Frame:
    """A frame and its hands. image: (H, W, 3) uint8 BGR; points: (21, 2) px of each hand;
    right: whether each is a right hand; doubts: (M, 4) x0, y0, x1, y1 px where there may be a
    hand that nobody labelled; trust: what finding nothing anywhere else counts for, 0..1."""

    image: np.ndarray
    points: list[np.ndarray] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    doubts: list[np.ndarray] = field(default_factory=list)
    trust: float = 1.0


def joints_box(points: np.ndarray) -> np.ndarray:
    """x0, y0, x1, y1 of (21, 2) points."""
    return np.concatenate([points.min(0), points.max(0)])


def frame_targets(frame: Frame) -> dict[str, np.ndarray]:
    """`centre_targets` of a frame; hands too small to be seen are doubts."""
    boxes, right, doubts = [], [], list(frame.doubts)
    for points, is_right in zip(frame.points, frame.right):
        box = joints_box(points)
        if max(box[2] - box[0], box[3] - box[1]) < LEAST_EXTENT:
            doubts.append(box)
        else:
            boxes.append(box)
            right.append(is_right)
    height, width = frame.image.shape[:2]
    return centre_targets(boxes, right, height, width, doubts, frame.trust)


def centre_targets(
    boxes: list, right: list, height: int, width: int, doubts: list = (), trust: float = 1.0,
) -> dict[str, np.ndarray]:
    """Maps at an eighth: Gaussian heat (height 1 at centres), and at centres size, offset, side.

    boxes, doubts: (N, 4) x0, y0, x1, y1 px. `known` weighs the cells that carry size, offset and
    side; `care` what a false centre counts for: 0 in doubts, `trust` away from hands. Hands whose
    middle is outside of the image have no centre to tell, and what shows of them is in doubt.
    """
    h, w = height // STRIDE, width // STRIDE
    centres = [((box[:2] + box[2:]) / 2 + 0.5) / STRIDE - 0.5 for box in boxes]
    within = [bool(((np.round(c) >= 0) & (np.round(c) < [w, h])).all()) for c in centres]
    doubts = [*doubts, *(box for box, told in zip(boxes, within) if not told)]
    heat, known = np.zeros((h, w), np.float32), np.zeros((h, w), np.float32)
    offset = np.zeros((2, h, w), np.float32)
    log_size, side = np.zeros((h, w), np.float32), np.zeros((h, w), np.float32)
    care = np.full((h, w), trust, np.float32)
    for x0, y0, x1, y1 in doubts:
        low = np.floor(np.array([x0, y0]) / STRIDE - 0.5).astype(int)
        high = np.ceil(np.array([x1, y1]) / STRIDE + 0.5).astype(int)
        care[max(0, low[1]):max(0, high[1]), max(0, low[0]):max(0, high[0])] = 0
    ys, xs = np.arange(h)[:, None], np.arange(w)[None]
    for box, is_right, centre, told in zip(boxes, right, centres, within):
        if not told:
            continue
        extent = max(box[2] - box[0], box[3] - box[1], 1.0)
        x, y = np.round(centre).astype(int)
        sigma = max(extent / STRIDE * 0.12, 0.6)
        blob = np.exp(-((xs - x)**2 + (ys - y)**2) / (2 * sigma**2))
        np.maximum(heat, blob, out=heat)
        care[blob > 0.1] = 1
        # The neighbours of the middle know as well: peaks may fall beside it.
        for row in range(max(0, y - 1), min(h, y + 2)):
            for column in range(max(0, x - 1), min(w, x + 2)):
                weight = 1.0 if (row, column) == (y, x) else 0.5
                if weight <= known[row, column]:
                    continue
                known[row, column] = weight
                offset[:, row, column] = centre - (column, row)
                log_size[row, column] = np.log(extent / max(height, width))
                side[row, column] = is_right
    return {'centre': heat, 'known': known, 'offset': offset, 'log_size': log_size, 'side': side,
            'care': care}
