"""JPEG and PNG files of compressed images: unusual ones, and damaged ones, which are refused."""

import resource
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hiu_ros.ros.images import MAX_SIDE, ImageError, decode_compressed


def compressed(suffix):
    """A duck-typed sensor_msgs/CompressedImage of noise, so that its data are long."""
    image = np.random.default_rng(3).integers(0, 256, (24, 32, 3), np.uint8)
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return SimpleNamespace(format=suffix[1:], data=data.tobytes())


def test_a_jpeg_whose_tables_come_before_its_size_decodes():
    """As cameras write them: ITU T.81 leaves the order free, and fill bytes before a marker."""
    data = compressed('.jpg').data
    size, tables, scan = (data.index(bytes([0xFF, mark])) for mark in (0xC0, 0xC4, 0xDA))
    assert size < tables < scan
    exif = b'\xff\xe1' + (600).to_bytes(2, 'big') + bytes(598)
    data = data[:size] + exif + data[tables:scan] + b'\xff\xff' + data[size:tables] + data[scan:]
    result = decode_compressed(SimpleNamespace(format='jpeg', data=data))
    assert np.array_equal(result, decode_compressed(compressed('.jpg')))


def test_a_jpeg_in_a_longer_buffer_of_zeros_decodes():
    source = compressed('.jpg')
    longer = SimpleNamespace(format='jpeg', data=bytes(source.data) + bytes(100_000))
    assert np.array_equal(decode_compressed(longer), decode_compressed(source))
    cut = bytes(source.data)[: len(source.data) // 2] + bytes(100_000)
    with pytest.raises(ImageError, match='cut short'):
        decode_compressed(SimpleNamespace(format='jpeg', data=cut))


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_cut_compressed_images_name_the_fault(suffix):
    source = compressed(suffix)
    for length in (0, 1, 3, 10, len(source.data) // 2):
        cut = SimpleNamespace(format=source.format, data=source.data[:length])
        with pytest.raises(ImageError, match='cut short|neither JPEG nor PNG'):
            decode_compressed(cut)


@pytest.mark.parametrize('width, height', [
    (30000, 5000), (5000, 30000), (MAX_SIDE + 1, 8), (8, MAX_SIDE + 1), (8, 0), (0, 8)])
def test_absurd_claims_of_size_are_refused_before_unpacking(width, height):
    png = bytearray(compressed('.png').data)
    png[16:24] = width.to_bytes(4, 'big') + height.to_bytes(4, 'big')
    jpeg = compressed('.jpg').data
    size, tables, scan = (jpeg.index(bytes([0xFF, mark])) for mark in (0xC0, 0xC4, 0xDA))
    claim = height.to_bytes(2, 'big') + width.to_bytes(2, 'big')
    # With a fill byte, and tables before the size.
    jpeg = (jpeg[:size] + jpeg[tables:scan] + b'\xff' + jpeg[size : size + 5] + claim
            + jpeg[size + 9 : tables] + jpeg[scan:])
    for name, data in (('png', png), ('jpeg', jpeg)):
        with pytest.raises(ImageError, match=f'claims {width} x {height} px'):
            decode_compressed(SimpleNamespace(format=name, data=bytes(data)))


def test_a_png_whose_chunk_claims_gigabytes_costs_no_memory():
    data = bytearray(compressed('.png').data)
    at = data.index(b'IDAT') - 4
    data[at : at + 4] = (900_000_000).to_bytes(4, 'big')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageError, match='damaged'):
        decode_compressed(SimpleNamespace(format='png', data=bytes(data)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
