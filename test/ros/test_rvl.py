"""RVL: what is packed by the paper's rules comes back, and what is damaged is told."""

import tracemalloc

import numpy as np
import pytest

from hiu_ros.ros.rvl import unpack_rvl


def packed(pixels):
    """A slow writer, number by number."""
    nibbles, at, last = [], 0, 0

    def write(number):
        while number > 7:
            nibbles.append(number & 7 | 8)
            number >>= 3
        nibbles.append(number)

    while at < len(pixels):
        zeros = next((k for k, pixel in enumerate(pixels[at:]) if pixel), len(pixels) - at)
        at += zeros
        others = next((k for k, pixel in enumerate(pixels[at:]) if not pixel), len(pixels) - at)
        write(zeros)
        write(others)
        for pixel in pixels[at:at + others]:
            step = pixel - last
            write(2 * step if step >= 0 else -2 * step - 1)
            last = pixel
        at += others
    nibbles += [0] * (-len(nibbles) % 8)
    words = [sum(n << shift for n, shift in zip(nibbles[k:k + 8], range(28, -1, -4)))
             for k in range(0, len(nibbles), 8)]
    return np.array(words, '<u4').tobytes()


@pytest.mark.parametrize('empty', [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize('step', [1, 60, 40000])
def test_what_was_packed_comes_back(empty, step):
    rng = np.random.default_rng(int(10 * empty) + step)
    for size in (1, 2, 9, 400):
        pixels = (700 + np.cumsum(rng.integers(-step, step + 1, size))).astype(np.uint16)
        pixels[rng.random(size) < empty] = 0
        assert (unpack_rvl(packed(pixels.tolist()), size) == pixels).all()


def test_the_numbers_of_the_paper_lie_where_other_writers_put_them():
    pixels = [0, 0, 700, 701, 699, 0, 0, 0, 1500, 1500, 65535, 1, 0]
    other = bytes.fromhex('23d28f230e93a834ff3baf89000031ff')
    assert packed(pixels) == other and unpack_rvl(other, 13).tolist() == pixels


@pytest.mark.parametrize('data, pixels, words', [
    (b'', 4, 'ends after 0 of 4'),
    (bytes(3), 4, 'ends after 0 of 4'),
    (bytes(4), 4, 'tells of 0 pixels where 4 are due'),
    (packed([5] * 9), 8, 'tells of 9 pixels where 8 are due'),
    (packed([5] * 9), 10, 'ends after 9 of 10|tells of 0 pixels'),
    (packed([700] * 3 + [40000, 30] * 20)[:-8], 43, 'ends within its last pixels'),
    (b'\xff' * 8, 4, 'ends after 0 of 4'),
    (b'\xff' * 8 + bytes(4), 4, 'a number of more than 30 bits'),
])
def test_damage_is_told(data, pixels, words):
    with pytest.raises(ValueError, match=words):
        unpack_rvl(data, pixels)


def test_what_stands_behind_the_pixels_takes_no_memory():
    pixels = [0, 700, 0, 9] * 100
    data = packed(pixels) + bytes([0x11]) * 500_000
    tracemalloc.start()
    try:
        assert unpack_rvl(data, 400).tolist() == pixels
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_row_of_single_pixels_as_far_apart_as_can_be_is_read_whole():
    for pixels in ([1, 65535] * 200, [1, 0, 65535, 0] * 100, [0, 65535], [65535], [0]):
        assert unpack_rvl(packed(pixels), len(pixels)).tolist() == pixels
