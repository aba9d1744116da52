import resource

import cv2
import numpy as np
import pytest

from hiu_ros.perception.image_file import read_image, unpacked, whole_jpeg

#: An image of 8 bits with every shade in it.
SHADES = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize('suffix', ['.png', '.tiff', '.pgm'])
def test_files_of_a_sensor_of_12_bits_are_unpacked_as_bright_as_it_saw(suffix):
    data = cv2.imencode(suffix, SHADES.astype(np.uint16) << 4)[1]
    assert np.array_equal(unpacked(data), np.dstack([SHADES] * 3))


def test_files_of_floats_and_what_is_none_are_as_opencv_says():
    bright = cv2.imencode('.hdr', np.full((8, 8, 3), 0.5, np.float32))[1]
    image = unpacked(bright)
    assert image.dtype == np.uint8 and abs(int(image[0, 0, 0]) - 128) <= 2
    assert unpacked(np.zeros(0, np.uint8)) is None
    assert unpacked(np.zeros(50, np.uint8)) is None


def test_a_png_whose_chunks_do_not_add_up_is_none_and_takes_no_memory_for_what_they_claim():
    data = cv2.imencode('.png', SHADES)[1]
    assert unpacked(data) is not None
    assert unpacked(np.append(data, np.zeros(9, np.uint8))) is not None
    assert unpacked(data[:-9]) is None
    damaged = data.copy()
    damaged[33] = 0x70  # the length of the chunk behind the first is 1.8 GB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert unpacked(damaged) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


@pytest.mark.parametrize('progressive', [0, 1])
def test_a_jpeg_that_is_cut_short_is_none_whatever_opencv_makes_of_it(tmp_path, progressive):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    data = cv2.imencode('.jpg', noise, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
    preview = b'\xff\xe1' + (2 + len(data)).to_bytes(2, 'big') + data
    data = data[:2] + preview + data[2:]
    for more in (b'', bytes(9000), b'a film of it' * 900):  # as cameras leave behind their images
        (tmp_path / 'a.jpg').write_bytes(data + more)
        assert read_image(tmp_path / 'a.jpg').shape == (60, 80, 3)
    for length in (*range(2, len(data) - 1, 97), len(data) - 2):
        assert not whole_jpeg(data[:length])
        (tmp_path / 'a.jpg').write_bytes(data[:length])
        assert read_image(tmp_path / 'a.jpg') is None
