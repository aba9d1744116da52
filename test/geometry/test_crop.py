import math

import cv2
import numpy as np
import pytest

from hiu_ros.geometry.crop import Crop, upright_angle

CROPS = [
    Crop((40.0, 30.0), 50.0, 0.0, False, 64),
    Crop((12.5, 60.25), 33.0, 0.7, False, 48),
    Crop((40.0, 30.0), 50.0, 0.0, True, 64),
    Crop((100.0, -5.0), 200.0, -2.1, True, 31),
]


@pytest.mark.parametrize('crop', CROPS)
def test_to_image_undoes_to_crop(crop):
    points = np.random.default_rng(0).uniform(-50, 200, (5, 7, 2))
    np.testing.assert_allclose(crop.to_image(crop.to_crop(points)), points, atol=1e-9)


@pytest.mark.parametrize('crop', CROPS)
def test_centre_lies_in_the_middle(crop):
    middle = (crop.resolution - 1) / 2
    np.testing.assert_allclose(crop.to_crop(np.array(crop.centre)), [middle, middle], atol=1e-9)


def test_formula_of_the_contract():
    crop = Crop((10.0, 20.0), 40.0, 0.3, True, 80)
    point = np.array([17.0, 11.0])
    cosine, sine = math.cos(0.3), math.sin(0.3)
    x, y = 2.0 * np.array([[cosine, -sine], [sine, cosine]]) @ (point - [10.0, 20.0]) + 39.5
    np.testing.assert_allclose(crop.to_crop(point), [79 - x, y])


def test_mirrored_twin_shows_the_reversed_picture():
    image = np.random.default_rng(1).integers(0, 255, (80, 90, 3), dtype=np.uint8)
    plain = Crop((40.0, 35.0), 48.0, 0.4, False, 48).extract(image)
    mirrored = Crop((40.0, 35.0), 48.0, 0.4, True, 48).extract(image)
    difference = np.abs(plain[:, ::-1].astype(int) - mirrored.astype(int))
    assert difference.max() <= 8 and difference.mean() < 1.0


def test_unscaled_cut_at_whole_pixels_is_the_image_itself():
    image = np.random.default_rng(2).integers(0, 255, (60, 70, 3), dtype=np.uint8)
    picture = Crop((24.5, 29.5), 32.0, 0.0, False, 32).extract(image)
    np.testing.assert_array_equal(picture, image[14:46, 9:41])


def test_a_cut_between_pixels_mixes_its_neighbours():
    image = np.zeros((60, 70), np.uint8)
    image[:, ::2] = 200
    picture = Crop((24.75, 29.5), 32.0, resolution=32).extract(image)
    assert picture[5, 5:9].tolist() == [150, 50, 150, 50]


@pytest.mark.parametrize('size', [60.0, 300.0, 640.0])
@pytest.mark.parametrize('mirrored', [False, True])
def test_a_dot_is_found_where_to_crop_says(size, mirrored):
    image = np.zeros((700, 700), np.uint8)
    dot = (330, 362)
    cv2.circle(image, dot, max(3, int(size / 30)), 255, -1)
    crop = Crop((340.0, 350.0), size, 0.5, mirrored, 64)
    picture = crop.extract(image).astype(float)
    rows, columns = np.mgrid[:64, :64]
    centroid = np.array([(columns * picture).sum(), (rows * picture).sum()]) / picture.sum()
    np.testing.assert_allclose(centroid, crop.to_crop(np.array(dot)), atol=0.1)


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((512, 512), np.uint8)
    stripes[:, ::2] = 200
    picture = Crop((255.5, 255.5), 512.0, 0.0, False, 64).extract(stripes)
    assert np.abs(picture.astype(int) - 100).max() <= 2


@pytest.mark.parametrize('size', [31.0, 33.0, 64.0, 80.0, 96.0, 100.0, 129.0])
def test_a_crop_has_its_resolution_however_much_it_shrinks(size):
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    picture = Crop((100.0, 100.0), size, resolution=32).extract(image)
    assert picture.shape == (32, 32, 3)
    assert picture.mean() == pytest.approx(127.5, abs=4)


@pytest.mark.parametrize('shape', [(5,), (2, 3, 4, 3), (0, 4, 3)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match='image must be'):
        Crop((1.0, 1.0), 2.0, resolution=4).extract(np.zeros(shape, np.uint8))


def test_borders():
    image = np.full((20, 20, 3), 90, np.uint8)
    crop = Crop((0.0, 0.0), 40.0, 0.0, False, 40)
    assert crop.extract(image)[0, 0].tolist() == [0, 0, 0]
    assert crop.extract(image, border='replicate')[0, 0].tolist() == [90, 90, 90]
    with pytest.raises(ValueError, match='border'):
        crop.extract(image, border='wrap')


def test_nearest_invents_no_labels():
    labels = np.zeros((200, 200), np.uint8)
    labels[60:140, 60:140] = 7
    picture = Crop((100.0, 100.0), 180.0, 0.3, False, 40).extract(labels, nearest=True)
    assert set(np.unique(picture)) == {0, 7}


@pytest.mark.parametrize('border', ['constant', 'replicate', 'reflect'])
@pytest.mark.parametrize('y', [20000.3, 30.0, 39990.0])
def test_a_part_of_an_image_too_long_to_be_warped_is_cut_like_any_other(y, border):
    image = np.random.default_rng(0).integers(0, 256, (40000, 60, 3), dtype=np.uint8)
    crop, first = Crop((31.0, y), 40.0, 0.4, resolution=32), int(np.clip(y - 300, 0, 39000))
    near = Crop((31.0, y - first), 40.0, 0.4, resolution=32)
    cut = crop.extract(image, border).astype(int)
    assert np.abs(cut - near.extract(image[first:first + 1000], border)).max() <= 1


def test_the_whole_of_a_very_long_image_can_be_cut():
    image = np.zeros((70000, 8), np.uint8)
    image[35000:] = 200
    cut = Crop((3.5, 34999.5), 70000.0, resolution=64).extract(image, 'replicate')
    assert (cut[:31] == 0).all() and (cut[33:] == 200).all()


def test_a_crop_of_thousands_of_pixels_is_averaged_from_no_picture_of_its_own_size(monkeypatch):
    warped, warp = [], cv2.warpAffine
    monkeypatch.setattr(cv2, 'warpAffine', lambda image, matrix, size, **arguments: (
        warped.append(size), warp(image, matrix, size, **arguments))[1])
    image = np.random.default_rng(0).integers(0, 256, (2, 64), dtype=np.uint8)
    image = image.repeat(144, 0).repeat(144, 1)
    image[::2] //= 2
    cut = Crop((4607.5, 143.5), 9216.0, resolution=64).extract(image)
    means = image.reshape(2, 144, 64, 144).mean((1, 3))
    assert np.abs(cut[31:33] - means).max() <= 1
    assert (cut[:31] == 0).all() and (cut[33:] == 0).all()
    assert max(max(size) for size in warped) <= 4096


@pytest.mark.parametrize('size', [1e7, 1e9, 1e20, 1e300])
@pytest.mark.parametrize('border, expected', [('constant', 0), ('replicate', 70), ('reflect', 70)])
def test_a_crop_without_end_sees_the_image_as_a_dot_and_takes_no_memory(
        monkeypatch, border, expected, size):
    image, widen, sizes = np.full((48, 64), 70, np.uint8), cv2.copyMakeBorder, []

    def spy(*arguments):
        sizes.append(widen(*arguments).size)
        return widen(*arguments)

    monkeypatch.setattr(cv2, 'copyMakeBorder', spy)
    picture = Crop((20.0, 30.0), size, 0.3, resolution=32).extract(image, border)
    assert np.array_equal(picture, np.full((32, 32), expected))
    assert 0 < max(sizes) <= 128 ** 2


@pytest.mark.parametrize('border', ['constant', 'replicate'])
def test_an_image_whose_sides_do_not_divide_is_cut_where_it_lies(border):
    image = np.zeros((3, 5002), np.uint8)
    image[:, 4800:] = 200
    cut = Crop((2500.5, 1.0), 5002.0, resolution=41).extract(image, border)
    brightest = {'constant': 3 * 200 * 41 / 5002, 'replicate': 200}[border]
    assert cut[20, :39].max() == 0 and cut[20, 40] == pytest.approx(brightest, abs=1)
    assert (cut[0, 40] > 0) == (border == 'replicate')


def test_around_keypoints_is_centred_and_scaled():
    points = np.array([[10.0, 20.0], [50.0, 30.0], [30.0, 28.0], [np.nan, 3.0]])
    crop = Crop.around_keypoints(points, scale=1.5, resolution=96)
    assert crop.centre == (30.0, 25.0)
    assert crop.size == pytest.approx(60.0)
    inside = crop.to_crop(points[:3])
    assert inside.min() >= 0 and inside.max() <= 95


@pytest.mark.parametrize('angle', [0.0, 0.4, -2.0])
def test_a_turned_crop_is_centred_on_the_joints_as_it_shows_them(angle):
    points = np.random.default_rng(1).uniform(50, 90, (21, 2)) * [1, 2]
    crop = Crop.around_keypoints(points, 1.25, 101, angle)
    shown = crop.to_crop(points)
    assert np.allclose(shown.min(axis=0) + shown.max(axis=0), 100.0)
    assert np.isclose(np.ptp(shown, axis=0).max(), 101 / 1.25)


@pytest.mark.parametrize('mirrored', [False, True])
@pytest.mark.parametrize('turn', [0.0, 1.0, -2.5, 3.1])
def test_upright_crops_show_the_fingers_above_the_wrist(turn, mirrored):
    points = np.random.default_rng(2).normal(0, 5, (21, 2))
    points[0], points[[5, 9, 13, 17]] = [0, 30], [[-12, -10], [-4, -12], [4, -12], [12, -10]]
    turned = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    crop = Crop.around_keypoints(turned, angle=upright_angle(turned), mirrored=mirrored)
    shown = crop.to_crop(turned)
    assert np.isclose(shown[[5, 9, 13, 17], 0].mean(), shown[0, 0])
    assert shown[9, 1] < shown[0, 1] - 30
    assert np.isclose(np.sin(upright_angle(turned) + turn), 0, atol=1e-9)


def test_a_palm_seen_from_its_end_is_not_turned():
    points = np.random.default_rng(3).uniform(-40, 40, (21, 2))
    points[[0, 5, 9, 13, 17]] = [[1, 0], [0, 1], [1, 1], [2, 1], [3, 0]]
    assert upright_angle(points) == 0.0
    points[9] = np.nan
    assert upright_angle(points) == 0.0


def test_a_hand_much_longer_than_wide_is_seen_from_its_end_by_its_length():
    points = np.zeros((21, 2))
    points[:, 0] = np.linspace(-50, 50, 21)
    points[[0, 5, 9, 13, 17]] = [[0, 0], [10, -4], [10, -2], [10, 2], [10, 4]]
    assert upright_angle(points) == 0.0
    points[[5, 9, 13, 17], 0] = 20
    assert upright_angle(points) == pytest.approx(-math.pi / 2)


def test_crops_are_neither_turned_nor_mirrored_unless_that_is_asked_for():
    points = np.array([[0.0, 0.0], [10.0, 20.0]])
    for crop in (Crop.around_keypoints(points), Crop.around_box(np.array([0, 0, 10, 20]))):
        assert (crop.angle, crop.mirrored, crop.resolution) == (0.0, False, 128)
    assert Crop.around_box(np.array([0, 0, 10, 20])).size == 20.0


def test_around_box():
    crop = Crop.around_box(np.array([10, 20, 40, 60]), scale=2.0, resolution=50)
    assert crop.centre == (30.0, 50.0) and crop.size == 120.0


@pytest.mark.parametrize('box', [[10, 20, 30, 60], [10, 20, 60, 30]])
def test_a_crop_holds_a_box_of_either_shape(box):
    crop = Crop.around_box(box, scale=1.5, angle=0.2)
    assert crop == Crop((10 + box[2] / 2, 20 + box[3] / 2), 90.0, 0.2)


@pytest.mark.parametrize('call', [
    lambda crop: crop.to_crop(np.zeros((4, 3))), lambda crop: crop.to_image(np.zeros(3)),
    lambda crop: crop.paste(np.zeros((16, 32)), 40, 50),
    lambda crop: Crop.around_keypoints(np.ones((21, 3))),
    lambda crop: Crop.around_keypoints(np.arange(42))])
def test_what_is_of_the_wrong_shape_is_refused(call):
    with pytest.raises(ValueError, match='must (be|end in)'):
        call(Crop((10.0, 20.0), 30.0, resolution=16))


def test_paste_brings_a_mask_back():
    mask = np.zeros((120, 160), np.uint8)
    cv2.ellipse(mask, (80, 60), (30, 18), 20, 0, 360, 255, -1)
    crop = Crop((78.0, 62.0), 90.0, 0.9, True, 128)
    back = crop.paste(crop.extract(mask), 120, 160)
    both = np.logical_and(back > 127, mask > 127).sum()
    assert both / np.logical_or(back > 127, mask > 127).sum() > 0.97


@pytest.mark.parametrize('arguments', [
    ((np.nan, 0.0), 10.0), ((0.0, 0.0), 0.0), ((0.0, 0.0), float('inf')), ((0.0,), 10.0),
    ((0.0, 0.0), 10.0, float('nan')), ((0.0, 0.0), 10.0, 0.0, False, 0),
    ((0.0, 0.0), 10.0, 0.0, False, 12.5),
])
def test_impossible_crops_are_refused(arguments):
    with pytest.raises(ValueError, match='crop'):
        Crop(*arguments)


def test_keypoints_on_one_point_are_refused():
    with pytest.raises(ValueError, match='size'):
        Crop.around_keypoints(np.ones((21, 2)))
    with pytest.raises(ValueError, match='two finite'):
        Crop.around_keypoints(np.full((21, 2), np.nan))
