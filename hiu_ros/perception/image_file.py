"""Image files read whole or not at all: what is cut short is no image."""

from pathlib import Path

import cv2
import numpy as np

from hiu_ros.perception.bit_depth import eight_bits

#: What PNG and JPEG files begin with.
PNG, JPEG = b'\x89PNG\r\n\x1a\n', b'\xff\xd8'


def read_image(path: str | Path) -> np.ndarray | None:
    """(H, W, 3) uint8 BGR, upright by its EXIF orientation; None where it is no whole image."""
    try:
        return unpacked(np.fromfile(path, np.uint8))
    except (OSError, cv2.error):  # it cannot be opened, or claims an absurd size
        return None


def unpacked(data: np.ndarray, flags: int = 0) -> np.ndarray | None:
    """The image file in (N,) uint8 as (H, W, 3) uint8 BGR; None where it is none or is cut
    short.

    flags: of `cv2.imdecode`, besides those of colour and depth. Raises cv2.error where OpenCV
    does, as for an absurd size.
    """
    file = data.tobytes()
    if not file or file.startswith(PNG) and not whole_png(file) or (
            file.startswith(JPEG) and not whole_jpeg(file)):
        return None
    image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | flags)
    if image is not None and image.dtype not in (np.uint8, np.uint16):
        image = cv2.imdecode(data, cv2.IMREAD_COLOR | flags)
    return None if image is None else eight_bits(image)


def whole_png(data: bytes) -> bool:
    """Whether the chunks of a PNG follow each other up to the one that ends it.

    OpenCV takes memory for what a chunk claims to hold, gigabytes where its length is damaged.
    """
    at = len(PNG)
    while at + 12 <= len(data):
        if data[at + 4:at + 8] == b'IEND':
            return True
        at += 12 + int.from_bytes(data[at:at + 4], 'big')
    return False


def whole_jpeg(data: bytes) -> bool:
    """Whether a JPEG has an end behind the start of its pixels (ITU T.81, B.1).

    OpenCV fills what is missing with grey, some versions without a word. Previews in the header
    have an end of their own, and cameras may leave more behind the image's.
    """
    at = 2
    while data[at:at + 1] == b'\xff' and data[at + 1:at + 2] != b'\xda':
        fill = data[at + 1:at + 2] == b'\xff'
        at += 1 if fill else 2 + int.from_bytes(data[at + 2:at + 4], 'big')
    return data.find(b'\xff\xd9', at) >= 0
