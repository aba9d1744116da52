"""sensor_msgs/Image and CompressedImage to NumPy, by one table; no rclpy needed.

cv_bridge is not used: it knows no NV12, it is bound to one release of NumPy, and its form for pip
shears pictures whose rows are padded. Where it is right it gives the same, which a test checks.

The functions take any object with the fields of the message (`height`, `width`, `encoding`,
`step`, `is_bigendian`, `data`), so that they are tested without a ROS graph.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from hiu_ros.perception.bit_depth import eight_bits
from hiu_ros.perception.image_file import JPEG, PNG, unpacked, whole_jpeg, whole_png

#: OpenCV's warps address pixels with 16-bit integers; a larger side cannot be cropped from.
MAX_SIDE: Final = 32766
#: A compressed image that claims more pixels than this is refused before it is unpacked.
MAX_PIXELS: Final = 100_000_000
#: Nothing that is farther away is a hand, m: what is in millimetres, but says metres, is.
FARTHEST: Final = 100.0


class ImageError(ValueError):
    """An image message that cannot be understood; the text says what is wrong and what was due."""


@dataclass(frozen=True)
class Layout:
    """How the bytes of one encoding lie: sample type, bytes a pixel in a row, rows, conversion.

    `rows` maps the image height to the rows of `step` bytes that the data must hold (planar
    formats have more than one per image row). `even` names what must be even.
    """

    dtype: str
    channels: int
    convert: Callable[[np.ndarray, int], np.ndarray]
    rows: Callable[[int], int] = lambda height: height
    even: str = ''


def _colour(code: int | None) -> Callable[[np.ndarray, int], np.ndarray]:
    """A conversion by an OpenCV colour code, of samples brought to 8 bits."""

    def convert(samples: np.ndarray, height: int) -> np.ndarray:
        samples = eight_bits(samples)
        if code is None:
            return np.ascontiguousarray(samples)
        return cv2.cvtColor(np.ascontiguousarray(samples), code)

    return convert


#: Blue, green and red of Y, U, V and 1 in the video range of ITU-R BT.601, as NV12 has them.
_BGR_OF_YUV: Final = np.array([[1.164, 2.018, 0, -276.9], [1.164, -0.391, -0.813, 135.5],
                               [1.164, 0, 1.596, -222.9]], np.float32)


def _nv24(samples: np.ndarray, height: int) -> np.ndarray:
    """Y plane, then a plane of U, V pairs of full resolution, twice as wide.

    As in V4L2 a row of the second plane is as long as two of the first, padding included.
    """
    width, step = samples.shape[1], samples.strides[0]
    luma = samples[:height]
    pairs = np.lib.stride_tricks.as_strided(
        samples[height:], (height, width, 2), (2 * step, 2, 1), writeable=False)
    return cv2.transform(np.dstack([luma, pairs]), _BGR_OF_YUV)


def _table() -> dict[str, Layout]:
    grey = _colour(cv2.COLOR_GRAY2BGR)
    table = {'mono8': Layout('u1', 1, grey), '8UC1': Layout('u1', 1, grey),
             'mono16': Layout('u2', 1, grey)}
    for bits, dtype in (('8', 'u1'), ('16', 'u2')):
        table['bgr' + bits] = table[f'{bits}UC3'] = Layout(dtype, 3, _colour(None))
        table['rgb' + bits] = Layout(dtype, 3, _colour(cv2.COLOR_RGB2BGR))
        table['bgra' + bits] = table[f'{bits}UC4'] = Layout(dtype, 4, _colour(cv2.COLOR_BGRA2BGR))
        table['rgba' + bits] = Layout(dtype, 4, _colour(cv2.COLOR_RGBA2BGR))
        # OpenCV names a Bayer pattern by its second row, ROS by its first.
        for pattern, code in (
            ('rggb', cv2.COLOR_BayerBG2BGR), ('bggr', cv2.COLOR_BayerRG2BGR),
            ('gbrg', cv2.COLOR_BayerGR2BGR), ('grbg', cv2.COLOR_BayerGB2BGR),
        ):
            table[f'bayer_{pattern}{bits}'] = Layout(dtype, 1, _colour(code), even='size')
    uyvy = Layout('u1', 2, _colour(cv2.COLOR_YUV2BGR_UYVY), even='width')
    yuyv = Layout('u1', 2, _colour(cv2.COLOR_YUV2BGR_YUYV), even='width')
    table.update({'yuv422': uyvy, 'uyvy': uyvy, 'yuv422_yuy2': yuyv, 'yuyv': yuyv})
    for name, code in (('nv12', cv2.COLOR_YUV2BGR_NV12), ('nv21', cv2.COLOR_YUV2BGR_NV21)):
        table[name] = Layout('u1', 1, _colour(code), rows=lambda h: h * 3 // 2, even='size')
    table['nv24'] = Layout('u1', 1, _nv24, rows=lambda h: h * 3)
    return table


#: encoding -> layout, every colour encoding that `decode` takes.
ENCODINGS: Final = _table()
#: encoding -> (sample type, metres a unit), REP 118.
DEPTH_ENCODINGS: Final = {'16UC1': ('u2', 0.001), 'mono16': ('u2', 0.001), '32FC1': ('f4', 1.0)}


def _samples(
    message: object, dtype: str, channels: int, rows: Callable[[int], int]
) -> np.ndarray:
    """The samples of a message, (rows, width[, channels]), native byte order, padding cut off."""
    width, height, step = int(message.width), int(message.height), int(message.step)
    name = f'{width} x {height} image, encoding {message.encoding!r}'
    if width <= 0 or height <= 0:
        raise ImageError(f'{name}: the size is zero')
    if max(width, height) > MAX_SIDE:
        raise ImageError(f'{name}: a side is longer than {MAX_SIDE} px')
    size = np.dtype(dtype).itemsize
    if step < width * channels * size:
        raise ImageError(
            f'{name}: step is {step} bytes, a row needs at least {width * channels * size}'
        )
    data = np.frombuffer(message.data, np.uint8)
    count = rows(height)
    # The last row may come without its padding.
    needed = step * (count - 1) + width * channels * size
    if data.size < needed:
        raise ImageError(
            f'{name}, step {step}: data holds {data.size} bytes, {needed} are needed'
        )
    if data.size >= step * count:
        table = data[: step * count].reshape(count, step)[:, : width * channels * size]
    else:
        table = np.lib.stride_tricks.as_strided(
            data, (count, width * channels * size), (step, 1), writeable=False
        )
    if size > 1:
        order = '>' if message.is_bigendian else '<'
        table = np.ascontiguousarray(table).view(order + dtype).astype(dtype, copy=False)
    return table if channels == 1 else table.reshape(count, width, channels)


def decode(message: object) -> np.ndarray:
    """A sensor_msgs/Image as (height, width, 3) contiguous uint8 BGR.

    A view of the message's data where the encoding allows it (bgr8 without padding). Samples of
    16 bits are brought to 8 by `eight_bits`. Raises ImageError for an encoding that is not in
    ENCODINGS, a zero size, a step or data too short, an odd size where pixels come in pairs.
    """
    encoding = message.encoding
    layout = ENCODINGS.get(encoding) or ENCODINGS.get(encoding.lower())
    if layout is None:
        if encoding in DEPTH_ENCODINGS:
            raise ImageError(f'encoding {encoding!r} holds depth, not colour: use topic `depth`')
        raise ImageError(f'unknown encoding {encoding!r}, expected one of {sorted(ENCODINGS)}')
    odd = {'width': message.width % 2, 'size': message.width % 2 or message.height % 2}
    if layout.even and odd[layout.even]:
        raise ImageError(
            f'{message.width} x {message.height} image, encoding {encoding!r}: '
            f'the {layout.even} must be even'
        )
    samples = _samples(message, layout.dtype, layout.channels, layout.rows)
    return layout.convert(samples, int(message.height))


def decode_depth(message: object) -> np.ndarray:
    """A depth image as (height, width) float32 metres, NaN where there is no measurement.

    The unit follows the encoding (REP 118): 16UC1 in millimetres with 0 as invalid, 32FC1 in
    metres. Raises ImageError as `decode` and `measured`.
    """
    if message.encoding not in DEPTH_ENCODINGS:
        raise ImageError(
            f'depth encoding {message.encoding!r}, expected one of {sorted(DEPTH_ENCODINGS)}'
        )
    dtype, scale = DEPTH_ENCODINGS[message.encoding]
    return measured(_samples(message, dtype, 1, lambda height: height), scale, message.encoding)


def measured(samples: np.ndarray, scale: float, encoding: str) -> np.ndarray:
    """Samples of a depth image as float32 metres, NaN for zero, negative and infinite ones.

    scale: metres a unit. Raises ImageError where everything is farther away than `FARTHEST` or
    nothing was measured.
    """
    depth = samples.astype(np.float32)
    if scale != 1.0:
        depth *= scale
    depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
    nearest = float(np.fmin.reduce(depth, axis=None))
    if np.isnan(nearest):
        raise ImageError('none of its pixels has a distance')
    if nearest > FARTHEST:
        raise ImageError(f'nothing is nearer than {nearest:.0f} m; {encoding} holds '
                         'metres, 16UC1 millimetres')
    return depth


def decode_compressed(message: object) -> np.ndarray:
    """A sensor_msgs/CompressedImage (JPEG or PNG) as (height, width, 3) uint8 BGR.

    Raises ImageError for data that is neither, is cut short, claims an absurd size or does not
    decode. An EXIF orientation is not applied: camera_info describes the pixels as they are.
    """
    data = bytes(message.data)
    name = f'compressed image, format {message.format!r}, {len(data)} bytes'
    if data[:2] == JPEG:
        size, complete = _jpeg_size(data), whole_jpeg(data)
    elif data[:8] == PNG:
        size = struct.unpack('>II', data[16:24]) if len(data) >= 24 else None
        complete = whole_png(data)
    else:
        # In quotes: what differs from image to image is no other fault to the log.
        raise ImageError(f'{name}: neither JPEG nor PNG, it starts with '
                         f'{(data[:4].hex() or "nothing")!r}')
    if not complete or size is None:
        raise ImageError(f'{name}: the data is cut short or damaged')
    check_size(*size, name)
    try:
        image = unpacked(np.frombuffer(data, np.uint8), cv2.IMREAD_IGNORE_ORIENTATION)
        mosaic = _mosaic(message.format)
        if mosaic is not None and image is not None and (image[..., :1] == image).all():
            image = mosaic.convert(image[..., 0], len(image))
    except cv2.error as error:
        raise ImageError(f'{name}: {error.err}') from None
    if image is None:
        raise ImageError(f'{name}: does not decode')
    return image


def check_size(width: int, height: int, name: str) -> None:
    """ImageError, which begins with the name, for a size that no compressed image has."""
    if min(width, height) <= 0 or max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageError(f'{name}: claims {width} x {height} px')


def _mosaic(name: str) -> Layout | None:
    """The layout of the Bayer pattern that a compressed image holds by its format.

    image_transport writes '<encoding>; png compressed <encoding of the file>'. A JPEG of a Bayer
    image is mono8 in ROS 2; where the last word is missing, the file holds the pattern itself.
    """
    encoding, _, rest = name.lower().partition(';')
    stored = rest.partition('compressed')[2].strip() or encoding.strip()
    return ENCODINGS.get(stored) if stored.startswith('bayer_') else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from a JPEG's frame header (ITU T.81, B.2.2); None where there is none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], 'big')
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack('>HH', data[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None
