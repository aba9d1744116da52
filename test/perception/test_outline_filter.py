import cv2
import numpy as np
import pytest

from hiu_ros.geometry.crop import Crop
from hiu_ros.perception.masks import full_mask, mask_region, seen_mask
from hiu_ros.perception.outline_filter import _solved, along_edges

N = 64


def finger(pixels, across=(26.0, 37.0)):
    """Where a finger lies that goes down the picture, (pixels, pixels) bool."""
    scale = pixels / N
    x = (np.arange(pixels) + 0.5) / scale
    inside = (x > across[0]) & (x < across[1])
    y = (np.arange(pixels) + 0.5) / scale
    return inside[None] & (y > 12)[:, None]


def coarse(truth, sigma=2.5):
    """A mask as soft as a coarse map enlarged."""
    small = cv2.resize(truth.astype(np.float32), (N, N), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), sigma)


def coloured(truth, skin=(120, 150, 210), wall=(90, 120, 90), noise=3, seed=0):
    picture = np.where(truth[..., None], np.float32(skin), np.float32(wall))
    picture += np.random.default_rng(seed).normal(0, noise, picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_soft_mask_ends_where_the_colours_do():
    truth = finger(2 * N)
    soft = coarse(finger(2 * N, (25.0, 39.5)))
    before = cv2.resize(soft, (2 * N, 2 * N)) >= 0.5
    after = along_edges(soft, coloured(truth)) >= 0.5
    assert overlap(after, truth) > overlap(before, truth) + 0.07
    assert overlap(after, truth) > 0.84


def test_systems_of_three_are_solved_at_every_pixel():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 4, 3, 3))
    matrix = root @ root.transpose(0, 1, 3, 2) + np.eye(3)
    right = rng.normal(size=(5, 4, 3))
    answer = _solved([matrix[..., i, i] for i in range(3)],
                     [matrix[..., 1, 2], matrix[..., 0, 2], matrix[..., 0, 1]],
                     list(np.moveaxis(right, 2, 0)))
    np.testing.assert_allclose(np.stack(answer, axis=2),
                               np.linalg.solve(matrix, right[..., None])[..., 0])


def test_what_is_a_function_of_the_colours_is_told_anew():
    y, x = np.mgrid[:2 * N, :2 * N] / (2 * N)
    picture = np.stack([255 * x, 255 * y, 255 * (1 - x) * y], axis=2)
    picture += np.random.default_rng(0).normal(0, 40, picture.shape)
    picture = picture.clip(0, 255).astype(np.uint8)
    told = cv2.transform(picture.astype(np.float32) / 255, np.float32([[0.5, 0.3, 0.1]]))
    answer = along_edges(cv2.resize(told, (N, N), interpolation=cv2.INTER_AREA), picture)
    assert np.abs(answer - told)[8:-8, 8:-8].mean() < 0.02


@pytest.mark.parametrize('colour', [0, 30, 128, 255])
def test_a_picture_of_one_colour_leaves_the_mask_alone(colour):
    soft = coarse(finger(2 * N))
    picture = np.full((2 * N, 2 * N, 3), colour, np.uint8)
    answer = along_edges(soft, picture)
    np.testing.assert_allclose(answer, cv2.resize(soft, (2 * N, 2 * N)), atol=1e-3)


def test_thin_fingers_in_the_noise_of_a_dark_image_stay_as_wide():
    soft = coarse(finger(2 * N, (29.0, 34.0)), 1.0)
    dark = np.random.default_rng(1).integers(0, 6, (2 * N, 2 * N, 3)).astype(np.uint8)
    before = cv2.resize(soft, (2 * N, 2 * N)) >= 0.5
    after = along_edges(soft, dark) >= 0.5
    assert overlap(after, before) > 0.93


def test_brightness_and_the_order_of_colours_make_no_difference():
    soft, picture = coarse(finger(2 * N, (25.0, 39.0))), coloured(finger(2 * N))
    answer = along_edges(soft, picture)
    np.testing.assert_allclose(along_edges(soft, picture - 60), answer, atol=2e-3)
    np.testing.assert_allclose(along_edges(soft, picture[..., ::-1]), answer, atol=2e-3)


def test_mirrored_pictures_have_mirrored_masks():
    soft, picture = coarse(finger(2 * N, (20.0, 39.0))), coloured(finger(2 * N))
    answer = along_edges(soft[:, ::-1], picture[:, ::-1])[:, ::-1]
    np.testing.assert_allclose(answer, along_edges(soft, picture), atol=1e-3)


@pytest.mark.parametrize('mirrored', [False, True])
def test_masks_in_the_image_follow_its_edges_in_crops_that_are_turned(mirrored):
    y, x = np.mgrid[:240, :320]
    truth = np.hypot(x - 160, y - 120) < 50
    image = coloured(truth)
    crop = Crop((165.0, 118.0), 150.0, 0.5, mirrored, N)
    soft = cv2.GaussianBlur(crop.extract(truth.astype(np.float32)), (0, 0), 2.5)
    soft = np.roll(soft, 1, axis=1)  # a pixel of 64 beside the edge
    before, after = (full_mask(*answer, 320, 240) > 0 for answer in (
        mask_region(soft, crop, 320, 240), seen_mask(soft, crop, image)))
    assert overlap(before, truth) < 0.95 and overlap(after, truth) > 0.97


def test_large_hands_of_large_images_are_looked_at_sparsely_and_drawn_as_well():
    y, x = np.mgrid[:900, :1000]
    truth = np.hypot(x - 500, y - 450) < 200
    image = coloured(truth, noise=20)
    crop = Crop((510.0, 440.0), 600.0, 0.5, True, N)
    soft = cv2.GaussianBlur(crop.extract(truth.astype(np.float32)), (0, 0), 2.5)
    soft = np.roll(soft, 1, axis=1)
    before, after = (full_mask(*answer, 1000, 900) > 0 for answer in (
        mask_region(soft, crop, 1000, 900), seen_mask(soft, crop, image)))
    assert overlap(before, truth) < 0.95 and overlap(after, truth) > 0.975


def test_a_hand_cut_by_the_border_is_not_drawn_back_from_it():
    truth = np.ones((240, 320), bool)
    truth[:, 100:] = False
    image = coloured(truth, noise=0)
    crop = Crop((40.0, 120.0), 160.0, resolution=N)
    soft = cv2.GaussianBlur(crop.extract(truth.astype(np.float32), border='replicate'), (0, 0), 2)
    mask, origin = seen_mask(soft, crop, image)
    full = full_mask(mask, origin, 320, 240) > 0
    assert full[80:160, 0].all()


def test_nothing_in_the_crop_is_nothing_in_the_image():
    crop = Crop((160.0, 120.0), 100.0, resolution=N)
    mask, _ = seen_mask(np.zeros((N, N)), crop, coloured(np.zeros((240, 320), bool)))
    assert mask.shape == (1, 1) and not mask.any()
