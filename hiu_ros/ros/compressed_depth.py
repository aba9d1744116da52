"""Depth images of image_transport's `compressedDepth`: PNG or RVL of 16 bits behind a header.

16UC1 is stored as it is. 32FC1 is stored as inverse depth in steps of a unit that the header
tells: depth = a / (stored - b), 0 where nothing was measured. A PNG without the header, as some
drivers send it, is taken as well.

`format` says which: '<encoding>; compressedDepth png' or 'rvl', of older releases, which know PNG
alone, without the last word.
"""

import struct
from typing import Final

import cv2
import numpy as np

from hiu_ros.perception.image_file import PNG, whole_png
from hiu_ros.ros.images import DEPTH_ENCODINGS, ImageError, check_size, measured
from hiu_ros.ros.rvl import unpack_rvl

#: An int32 that is the same for every kind, a and b.
_HEADER: Final = struct.Struct('<iff')
#: Width and height.
_SIZE: Final = struct.Struct('<ii')


def decode_compressed_depth(message: object) -> np.ndarray:
    """A sensor_msgs/CompressedImage of depth as `images.decode_depth` gives it: (height, width)
    float32 metres, NaN where there is no measurement.

    Raises ImageError for another encoding or packing, for data that is cut short or claims an
    absurd size, for an image of other than 16 bits, and as `images.measured`.
    """
    data = bytes(message.data)
    name = f'compressed depth, format {message.format!r}, {len(data)} bytes'
    encoding = message.format.partition(';')[0].strip()
    if encoding not in DEPTH_ENCODINGS:
        raise ImageError(f'{name}: expected 16UC1 (millimetres) or 32FC1 (metres) before the ;')
    scale = DEPTH_ENCODINGS[encoding][1]
    bare = data.startswith(PNG)
    packed = data if bare else data[_HEADER.size:]
    stored = (_of_rvl if message.format.split()[-1:] == ['rvl'] else _of_png)(packed, name)
    if encoding != '32FC1':
        return measured(stored, scale, encoding)
    if bare:
        raise ImageError(f'{name}: of 32FC1 expected with the header that tells its steps, and '
                         'this is the PNG alone')
    _, a, b = _HEADER.unpack_from(data)
    if not (np.isfinite((a, b)).all() and a > 0):
        raise ImageError(f'{name}: the steps of depth in its header are {a:g}, {b:g}, expected a '
                         'positive and a finite number')
    steps = stored.astype(np.float32) - np.float32(b)
    away = np.divide(np.float32(a), steps, out=np.zeros_like(steps), where=steps != 0)
    return measured(np.where(stored > 0, away, 0), scale, encoding)


def _of_rvl(packed: bytes, name: str) -> np.ndarray:
    """The pixels (height, width) uint16 of RVL behind its width and height."""
    if len(packed) < _SIZE.size:
        raise ImageError(f'{name}: the data is cut short or damaged')
    width, height = _SIZE.unpack_from(packed)
    check_size(width, height, name)
    try:
        return unpack_rvl(packed[_SIZE.size:], width * height).reshape(height, width)
    except ValueError as error:
        raise ImageError(f'{name}: the data is cut short or damaged, it {error}') from None


def _of_png(png: bytes, name: str) -> np.ndarray:
    """The pixels (height, width) uint16 of a PNG."""
    if not png.startswith(PNG):
        raise ImageError(f'{name}: no PNG behind the header, where {png[:4].hex() or "nothing"!r} '
                         'stands')
    if len(png) < 24 or not whole_png(png):
        raise ImageError(f'{name}: the data is cut short or damaged')
    check_size(*struct.unpack('>II', png[16:24]), name)
    try:
        image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f'{name}: {error.err}') from None
    if image is None:
        raise ImageError(f'{name}: does not decode')
    if image.dtype != np.uint16 or image.ndim != 2:
        raise ImageError(f'{name}: the PNG holds {image.dtype} of shape {image.shape}, expected '
                         'one channel of uint16')
    return image
