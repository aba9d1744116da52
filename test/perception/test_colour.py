import numpy as np
import pytest

from hiu_ros.perception.colour import UNKNOWN, colour_difference, colour_of

SKIN, SHADE, GLOVE = (120, 160, 210), (90, 120, 157), (190, 90, 20)


def painted(bgr):
    """A hand of one colour before a green wall, and its mask."""
    pixels = np.full((40, 40, 3), (60, 160, 60), np.uint8)
    mask = np.zeros((40, 40), np.float32)
    mask[10:30, 10:30] = 1
    pixels[mask > 0] = bgr
    return pixels, mask


def test_only_what_is_surely_hand_gives_the_colour():
    pixels, mask = painted(SKIN)
    alone = colour_of(np.full_like(pixels, SKIN), np.ones_like(mask))
    assert np.allclose(colour_of(pixels, mask), alone)
    mask[:8] = 0.7
    pixels[12:15, 12:15] = 255
    assert np.allclose(colour_of(pixels, mask), alone)


def test_numbers_are_those_of_l_a_b():
    white = np.full((10, 10, 3), 255, np.uint8)
    assert colour_of(white, np.ones((10, 10))) == pytest.approx([100, 0, 0], abs=0.1)


def test_a_shadow_changes_the_colour_less_than_a_glove():
    skin, shade, glove = (colour_of(*painted(c)) for c in (SKIN, SHADE, GLOVE))
    assert colour_difference(skin, shade) < 8 < 40 < colour_difference(skin, glove)


def test_an_empty_mask_has_no_colour_to_compare():
    nothing = colour_of(painted(SKIN)[0], np.zeros((40, 40)))
    assert np.isnan(nothing).all()
    assert np.isnan(colour_difference(nothing, colour_of(*painted(SKIN))))
    assert np.isnan(colour_difference(UNKNOWN, UNKNOWN))
