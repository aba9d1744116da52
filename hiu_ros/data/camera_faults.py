"""Faults of cameras and connections that trainings and evaluations both make."""

import cv2
import numpy as np


def motion_line(length: int, degrees: float) -> np.ndarray:
    """(length, length) float32 kernel, of sum 1, of a motion along a line while the shutter is
    open; for `cv2.filter2D`."""
    line = np.zeros((length, length), np.float32)
    line[length // 2] = 1
    turn = cv2.getRotationMatrix2D(((length - 1) / 2,) * 2, degrees, 1)
    line = cv2.warpAffine(line, turn, (length, length))
    return line / max(float(line.sum()), 1e-6)


def as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """An image (H, W, 3) uint8 as it comes out of JPEG of a quality of 0 to 100."""
    code = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(code, cv2.IMREAD_COLOR)
