import cv2
import numpy as np
import pytest

from hiu_ros.perception import poor_light
from hiu_ros.perception.poor_light import levels, noise, smoothing


def scene(height=240, width=320, seed=0):
    """Soft shapes of all colours, from black to white, as a camera of good light gives them."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-40, 300, (9, 12, 3)).astype(np.float32)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(fine, 0, 255).astype(np.uint8)


def lit(image, gains=1.0, offset=0.0, deviation=0.0):
    rng = np.random.default_rng(1)
    return np.clip(image * np.float32(gains) + offset + rng.normal(0, deviation, image.shape),
                   0, 255).astype(np.uint8)


def in_good_light(image):
    return poor_light.in_good_light(image).image


def lost(image):
    return poor_light.in_good_light(image).lost


def span(image):
    dark, bright = np.percentile(image.max(-1), [1, 98])
    return bright - dark


def test_good_light_is_left_alone():
    image = scene()
    assert in_good_light(image) is image
    quiet = lit(image, deviation=2.0)
    assert in_good_light(quiet) is quiet


@pytest.mark.parametrize('gain', [0.3, 0.15])
def test_what_is_dark_becomes_what_it_was_in_more_light(gain):
    image = scene()
    image.flags.writeable = False
    dark = lit(image, gain)
    dark.flags.writeable = False
    brighter = in_good_light(dark)
    assert np.percentile(dark.max(-1), 98) < 80
    assert np.percentile(brighter.max(-1), 98) == pytest.approx(100, abs=6)
    assert np.corrcoef(brighter.ravel(), image.ravel())[0, 1] > 0.99


def test_what_is_nearly_black_is_not_blown_up():
    image = lit(scene(), 0.01)
    assert in_good_light(image).max() <= 6 * image.max() + 20


def test_what_is_flat_gets_contrast_and_a_black():
    flat = lit(scene(), 0.3, 110)
    better = in_good_light(flat)
    assert span(flat) < 85 and span(better) == pytest.approx(100, abs=5)
    assert np.percentile(better.max(-1), 1) < np.percentile(flat.max(-1), 1) - 40
    dim = in_good_light(lit(scene(), 0.15, 40))
    assert np.percentile(dim.max(-1), 98) == pytest.approx(100, abs=5) and span(dim) > 60


def test_a_bare_wall_stays_bare():
    wall = np.full((240, 320, 3), 120, np.uint8)
    wall[:, ::40] = 121
    assert span(in_good_light(wall)) < 10


def test_the_tint_of_the_light_goes_and_that_of_things_stays():
    image = scene()
    tinted = lit(image, (1.0, 0.7, 0.35))
    cleared = in_good_light(tinted).reshape(-1, 3).mean(0)
    assert cleared[0] / cleared[2] < 1.5 < tinted.reshape(-1, 3).mean(0)[0] / (
        tinted.reshape(-1, 3).mean(0)[2])
    assert np.argmax(cleared) == 0
    warm = lit(image, (0.9, 1.0, 1.05))
    assert in_good_light(warm) is warm


def test_a_scene_of_one_colour_keeps_it():
    blue, green, red = in_good_light(lit(scene(), (1.0, 0.05, 0.05))).reshape(-1, 3).mean(0)
    assert blue > 2 * max(green, red)


def test_a_dark_scene_in_tinted_light_gets_as_bright_as_one_in_white_light():
    tinted = in_good_light(lit(scene(), (0.3, 0.2, 0.1)))
    assert np.percentile(tinted.max(-1), 98) == pytest.approx(100, abs=6)


def test_a_lamp_in_a_dark_room_stays_white():
    dark = lit(scene(), 0.2)
    dark[100:110, 100:140] = np.arange(216, 256)[:, None]
    brighter = in_good_light(dark)
    assert brighter.mean() > 1.5 * dark.mean() and (brighter[103:107, 103:137] > 250).all()


@pytest.mark.parametrize('size', [(240, 320), (60, 80), (1500, 50), (700, 20), (720, 1280)])
@pytest.mark.parametrize('deviation', [3.0, 15.0])
def test_noise_is_measured_whatever_the_size(size, deviation):
    grey = np.clip(scene(*size) * 0.5 + 60, 0, 255).mean(-1, keepdims=True)
    image = np.repeat(lit(grey, deviation=deviation), 3, axis=2)
    assert noise(image) == pytest.approx(deviation, rel=0.15)


def test_noise_is_smoothed_and_edges_stay():
    clean = np.full((240, 320, 3), 60, np.uint8)
    clean[:, 160:] = 190
    noisy = lit(clean, deviation=15)
    smooth = in_good_light(noisy)
    assert noise(smooth) < 0.4 * noise(noisy)
    near = smooth[:, 154:166].mean((0, 2))
    assert near[0] == pytest.approx(60, abs=4) and near[-1] == pytest.approx(190, abs=4)


def test_noise_is_smoothed_along_rows_as_along_columns():
    smooth = in_good_light(lit(np.full((240, 320, 3), 120, np.uint8), deviation=15))
    down, across = (np.diff(smooth.astype(float), axis=axis).std() for axis in (0, 1))
    assert down == pytest.approx(across, rel=0.1)


def test_the_stronger_the_noise_the_more_it_is_smoothed_up_to_a_limit():
    assert smoothing(0.0) == smoothing(2.0) == 0
    assert (np.diff([smoothing(deviation) for deviation in (2.0, 3.0, 4.0, 12.0, 14.0)]) > 0).all()
    assert smoothing(14.0) < smoothing(40.0) == smoothing(90.0) < 3


@pytest.mark.parametrize('value', [0, 255])
def test_clipped_parts_do_not_hide_the_noise(value):
    clipped = lit(scene(), deviation=12)
    clipped[:200] = value
    assert noise(clipped) == pytest.approx(noise(lit(scene(), deviation=12)), rel=0.3)
    assert noise(np.full_like(clipped, value)) == 0


def test_images_of_two_rows_or_columns_tell_no_noise():
    for size in ((2, 500), (500, 2), (1, 1)):
        assert noise(lit(scene(*size), deviation=12)) == 0


@pytest.mark.parametrize('value', [0, 255, (255, 0, 0), (0, 0, 255), (40, 40, 40)])
@pytest.mark.parametrize('size', [(1, 1), (2, 500), (48, 64)])
def test_images_of_nothing_stay_images(value, size):
    image = np.empty((*size, 3), np.uint8)
    image[:] = value
    out = in_good_light(image)
    assert out.shape == image.shape and out.dtype == np.uint8
    gain, offset = levels(image)
    assert np.isfinite([*gain, offset]).all() and (gain > 0).all()


def test_noise_and_tints_take_something_for_good_and_the_more_the_stronger():
    image = scene()
    assert lost(image) == 0
    for much in ([lit(image, deviation=d) for d in (1.0, 5.0, 6.0, 60.0)],
                 [lit(image, (1.0, share, share)) for share in (1.0, 0.6, 0.45, 0.1)]):
        shares = [lost(one) for one in much]
        assert (np.diff(shares) > 0.1).all() and shares[0] < 0.1 and shares[-1] == 1


def test_an_image_that_is_only_dark_or_flat_has_lost_nothing():
    assert lost(lit(scene(), 0.3)) < 0.1 and lost(lit(scene(), 0.3, 110)) < 0.1


def test_a_lamp_that_is_dimmed_slowly_makes_no_leaps():
    image = scene()
    shown = [in_good_light(lit(image, gain)).astype(np.float32)
             for gain in np.linspace(1.0, 0.3, 71)]
    steps = [np.abs(b - a).mean() for a, b in zip(shown, shown[1:])]
    assert max(steps) < 3
    grain = np.random.default_rng(2).normal(0, 1, image.shape)
    shown = [in_good_light(np.clip(image + grain * much, 0, 255).astype(np.uint8))
             for much in np.linspace(1, 20, 96)]
    steps = [np.abs(b.astype(np.float32) - a).mean() for a, b in zip(shown, shown[1:])]
    assert max(steps) < 3
