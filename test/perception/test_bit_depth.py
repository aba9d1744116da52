import numpy as np
import pytest

from hiu_ros.perception.bit_depth import eight_bits


def shades(channels=()):
    """An image of 8 bits with every shade in it."""
    return np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(16, 16, *[1] * len(channels)),
                           (16, 16, *channels))


@pytest.mark.parametrize('bits', [10, 12, 14, 16])
@pytest.mark.parametrize('channels', [(), (1,), (3,)])
def test_all_shades_of_a_sensor_of_fewer_bits_are_kept(bits, channels):
    image = shades(channels)
    deep = image.astype(np.uint16) << (bits - 8)
    assert np.array_equal(eight_bits(deep), image)
    # The lower bits are cut off.
    assert np.array_equal(eight_bits(deep + (1 << (bits - 8)) - 1), image)


def test_alpha_does_not_tell_how_many_bits_there_are():
    deep = np.dstack([shades((3,)).astype(np.uint16) << 4, np.full((16, 16), 65535, np.uint16)])
    assert np.array_equal(eight_bits(deep)[..., :3], shades((3,)))


def test_what_is_bright_anywhere_in_a_grey_image_tells_how_many_bits_there_are():
    deep = np.zeros((16, 16), np.uint16)
    deep[8, 12] = 0xfff0
    assert eight_bits(deep)[8, 12] == 255 and eight_bits(deep).sum() == 255


@pytest.mark.parametrize('colour', [0, 1, 2])
def test_the_brightest_sample_of_any_colour_tells_how_many_bits_there_are(colour):
    deep = np.zeros((4, 4, 3), np.uint16)
    for bits in (10, 12, 14):
        for largest, expected in (((1 << bits) - 1, 255), (1 << bits, 64)):
            deep[1, 2, colour] = largest
            assert eight_bits(deep).sum() == expected


def test_eight_bits_stay_as_they_are():
    image = shades((3,))
    assert eight_bits(image) is image
