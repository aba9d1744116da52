import cv2
import numpy as np
import pytest

from hiu_ros.geometry.crop import Crop
from hiu_ros.perception.masks import full_mask, mask_region, seen_mask


def disc(crop, centre, radius):
    n = crop.resolution
    y, x = np.mgrid[:n, :n]
    points = crop.to_image(np.stack([x, y], axis=-1))
    away = np.linalg.norm(points - centre, axis=-1)
    return 1 / (1 + np.exp((away - radius) * crop.pixel_scale))


@pytest.mark.parametrize('mirrored', [False, True])
@pytest.mark.parametrize('angle', [0.0, 0.6])
def test_mask_of_a_crop_lies_on_the_hand_in_the_image(mirrored, angle):
    crop = Crop((300.0, 200.0), 240.0, angle, mirrored, 96)
    mask, origin = mask_region(disc(crop, [320, 190], 50), crop, 640, 480)
    full = full_mask(mask, origin, 640, 480)
    y, x = np.mgrid[:480, :640]
    truth = np.hypot(x - 320, y - 190) < 50
    both, either = (full > 0) & truth, (full > 0) | truth
    assert both.sum() / either.sum() > 0.97
    assert mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any()
    assert set(np.unique(full)) == {0, 255}


def test_region_is_cut_at_the_border_of_the_image():
    crop = Crop((10.0, 470.0), 200.0, resolution=64)
    mask, origin = mask_region(disc(crop, [10, 470], 60), crop, 640, 480)
    assert origin[0] == 0 and origin[1] + mask.shape[0] == 480
    y, x = np.mgrid[:480, :640]
    truth = np.hypot(x - 10, y - 470) < 60
    full = full_mask(mask, origin, 640, 480) > 0
    assert (full & truth).sum() / (full | truth).sum() > 0.97


@pytest.mark.parametrize('mirrored', [False, True])
def test_the_region_holds_every_pixel_that_the_crop_gives_the_hand_and_no_row_more(mirrored):
    y, x = np.mgrid[:90, :120]
    probability = np.zeros((24, 24), np.float32)
    probability[5:19, 8:13] = 1.0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        crop = Crop(tuple(rng.uniform([0, 0], [120, 90])), rng.uniform(20, 150),
                    rng.uniform(-3, 3), mirrored, 24)
        at = crop.to_crop(np.stack([x, y], -1)).astype(np.float32)
        truth = cv2.remap(probability, at, None, cv2.INTER_LINEAR)
        mask, origin = mask_region(probability, crop, 120, 90)
        # Warping places pixels to 1/32 of one of the crop.
        clear = np.abs(truth - 0.5) > 0.05
        assert np.array_equal(full_mask(mask, origin, 120, 90)[clear] > 0, truth[clear] > 0.5)
        assert mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any()


# Of the second crop more pixels of the image lie in each than are looked at.
@pytest.mark.parametrize('size', [90.0, 420.0])
@pytest.mark.parametrize('mirrored', [False, True])
def test_a_rough_mask_is_brought_to_the_edge_that_the_image_shows(size, mirrored):
    crop = Crop((320.0, 240.0), size, 0.4, mirrored, 32)
    centre, radius = np.array(crop.centre) - size / 20, size / 4
    y, x = np.mgrid[:480, :640]
    truth = np.linalg.norm(np.stack([x, y], -1) - centre, axis=-1) < radius
    image = np.where(truth[..., None], (120, 150, 210), (60, 90, 30)).astype(np.uint8)
    probability = disc(crop, centre + size / 100, 1.06 * radius).astype(np.float32)

    def overlap(mask, origin):
        full = full_mask(mask, origin, 640, 480) > 0
        return (full & truth).sum() / (full | truth).sum()

    rough, fine = mask_region(probability, crop, 640, 480), seen_mask(probability, crop, image)
    assert overlap(*rough) < 0.9 and overlap(*fine) > 0.96


@pytest.mark.parametrize('size', [90.0, 420.0])
@pytest.mark.parametrize('centre', [(636.0, 240.0), (320.0, 476.0)])
def test_a_mask_goes_on_to_the_edge_of_the_image_that_cuts_the_hand(size, centre):
    crop = Crop(centre, size, 0.4, False, 32)
    y, x = np.mgrid[:480, :640]
    truth = np.linalg.norm(np.stack([x, y], -1) - centre, axis=-1) < size / 4
    image = np.where(truth[..., None], (120, 150, 210), (60, 90, 30)).astype(np.uint8)
    probability = disc(crop, np.array(centre) + size / 100, 1.06 * size / 4).astype(np.float32)
    mask, (left, top) = seen_mask(probability, crop, image)
    assert left + mask.shape[1] <= 640 and top + mask.shape[0] <= 480
    full = full_mask(mask, (left, top), 640, 480) > 0
    assert (full & truth).sum() / (full | truth).sum() > 0.95
    last = (slice(None), -1) if centre[0] > 600 else -1
    assert (full[last] & truth[last]).sum() > 0.95 * truth[last].sum()


def test_a_hand_that_fills_its_crop_has_a_mask_as_large():
    crop = Crop((320.0, 240.0), 64.0, resolution=16)
    mask, origin = mask_region(np.ones((16, 16)), crop, 640, 480)
    assert mask.mean() > 0.95 * 255 and mask.shape == pytest.approx((64, 64), abs=2)
    assert origin == pytest.approx((288, 208), abs=1)


@pytest.mark.parametrize('origin', [
    (-3, 2), (2, -3), (-40, 2), (2, -40), (-40, -40), (70, 2), (2, 70)])
def test_a_region_that_lies_beside_the_image_is_laid_in_as_far_as_it_reaches(origin):
    mask = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (5, 6))
    around = np.zeros((48 + 100, 64 + 100), np.uint8)  # the image and 50 px beside it
    x, y = np.array(origin) + 50
    around[y:y + 5, x:x + 6] = mask
    assert np.array_equal(full_mask(mask, origin, 64, 48), around[50:98, 50:114])


def test_no_hand_and_a_hand_outside_give_one_dark_pixel_in_the_image():
    for crop, probability in (
        (Crop((320.0, 200.0), 100.0, resolution=32), np.zeros((32, 32))),
        (Crop((-500.0, 200.0), 100.0, resolution=32), np.ones((32, 32))),
    ):
        mask, (x, y) = mask_region(probability, crop, 640, 480)
        assert mask.shape == (1, 1) and mask[0, 0] == 0
        assert 0 <= x < 640 and 0 <= y < 480


@pytest.mark.parametrize('mirrored', [False, True])
def test_a_mask_reaches_half_a_pixel_of_the_crop_beyond_its_outermost_ones(mirrored):
    crop = Crop((320.0, 240.0), 320.0, 0.0, mirrored, 16)  # 20 pixels of the image to one
    probability = np.zeros((16, 16))
    probability[4:8, 5:10] = 1.0
    mask, (x, y) = mask_region(probability, crop, 640, 480)
    assert mask.shape == pytest.approx((80, 100), abs=2)
    corner = crop.to_image(np.array([9.5 if mirrored else 4.5, 3.5]))
    assert (x, y) == pytest.approx(tuple(corner), abs=2)
    assert mask[:, 50].all() and mask[40].all()


@pytest.mark.parametrize('centre, nearest', [
    ((-500.0, 200.0), (0, 200)), ((300.4, -90.0), (300, 0)), ((5000.0, 5000.0), (639, 479))])
def test_a_hand_beside_the_image_has_its_one_pixel_where_the_image_is_nearest(centre, nearest):
    crop = Crop(centre, 100.0, resolution=32)
    assert mask_region(np.ones((32, 32)), crop, 640, 480)[1] == nearest


@pytest.mark.parametrize('shift', range(-3, 4))
def test_a_hand_that_ends_about_where_the_image_does_has_a_mask_or_one_dark_pixel(shift):
    for centre in ((-8 + shift, 30), (71 + shift, 30), (30, -8 + shift), (30, 55 + shift)):
        mask, (x, y) = mask_region(np.ones((16, 16)), Crop(centre, 16.0, resolution=16), 64, 48)
        assert 0 <= x <= 64 - mask.shape[1] and 0 <= y <= 48 - mask.shape[0]
        assert mask.any() or mask.shape == (1, 1)


def test_specks_are_left_out():
    crop = Crop((320.0, 240.0), 128.0, resolution=128)
    probability = disc(crop, [300, 240], 20)
    probability[2:4, 2:4] = 1.0
    mask, origin = mask_region(probability, crop, 640, 480)
    assert 36 < min(mask.shape) and max(mask.shape) < 45
    beside = np.maximum(probability, disc(crop, [350, 240], 12))
    assert mask_region(beside, crop, 640, 480)[0].shape[1] > 75
