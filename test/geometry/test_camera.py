import math
import re

import cv2
import numpy as np
import pytest

from hiu_ros.geometry.camera import NEAREST, Camera, CameraError

PLUMB_BOB = (-0.28, 0.09, 0.0012, -0.0008, -0.012)
RATIONAL = (0.42, -2.6, 0.0006, -0.0003, 1.5, 0.3, -2.4, 1.4)
EQUIDISTANT = (-0.012, 0.004, -0.003, 0.0005)
K = [610.0, 0, 325.5, 0, 604.0, 236.25, 0, 0, 1]


def camera(model='none', coefficients=()):
    return Camera(610.0, 604.0, 325.5, 236.25, 640, 480, model, coefficients)


def points(seed=0, count=200):
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.2, 2.0, count)
    flat = rng.uniform(-1, 1, (count, 2)) * [0.5, 0.38]
    return np.concatenate([flat * depth[:, None], depth[:, None]], axis=1)


@pytest.mark.parametrize('model, coefficients', [
    ('none', ()), ('plumb_bob', PLUMB_BOB), ('plumb_bob', PLUMB_BOB[:4]),
    ('rational_polynomial', RATIONAL),
])
def test_projection_agrees_with_opencv(model, coefficients):
    p = points()
    d = np.array(coefficients or (0.0,) * 4)
    expected = cv2.projectPoints(p, np.zeros(3), np.zeros(3), camera().matrix, d)[0][:, 0]
    assert np.allclose(camera(model, coefficients).project(p), expected, atol=1e-6)


def test_equidistant_projection_agrees_with_opencv():
    p = points()
    expected = cv2.fisheye.projectPoints(
        p[:, None], np.zeros(3), np.zeros(3), camera().matrix, np.array(EQUIDISTANT))[0][:, 0]
    assert np.allclose(camera('equidistant', EQUIDISTANT).project(p), expected, atol=1e-6)


@pytest.mark.parametrize('model, coefficients', [
    ('none', ()), ('plumb_bob', PLUMB_BOB), ('rational_polynomial', RATIONAL),
    ('equidistant', EQUIDISTANT),
])
def test_unprojecting_a_projection_gives_the_point_back(model, coefficients):
    c, p = camera(model, coefficients), points()
    assert np.allclose(c.unproject(c.project(p), p[:, 2]), p, atol=1e-7)
    rays = c.rays(c.project(p).reshape(10, 20, 2))
    assert rays.shape == (10, 20, 3)
    assert np.allclose(rays.reshape(-1, 3), p / np.linalg.norm(p, axis=1, keepdims=True))


def test_points_behind_the_camera_have_no_pixel():
    assert np.isnan(camera().project([[0.1, 0.1, -1.0], [0.0, 0.0, 0.0]])).all()


def test_pixel_beyond_the_fold_of_the_polynomial_has_no_ray():
    c = camera('plumb_bob', (-0.3, 0.0, 0.0, 0.0))
    assert np.isnan(c.normalise([[4000.0, 236.0]])).all()
    assert np.isfinite(c.normalise([[0.0, 0.0], [639.0, 479.0]])).all()


def test_rectified_images_use_p_and_no_distortion():
    p = [500.0, 0, 310.0, -25.0, 0, 502.0, 240.0, 0, 0, 0, 1, 0]
    c = Camera.from_info(640, 480, K, PLUMB_BOB, 'plumb_bob', p=p, rectified=True)
    assert (c.fx, c.fy, c.cx, c.cy, c.distortion) == (500.0, 502.0, 310.0, 240.0, 'none')
    raw = Camera.from_info(640, 480, K, PLUMB_BOB, 'plumb_bob', p=p)
    assert (raw.fx, raw.distortion, raw.coefficients) == (610.0, 'plumb_bob', PLUMB_BOB)


def test_region_shifts_the_principal_point():
    full = Camera.from_info(640, 480, K)
    part = Camera.from_info(640, 480, K, roi=(100, 60, 320, 240))
    point = points()
    assert np.allclose(part.project(point), full.project(point) - [100, 60])
    assert (part.width, part.height) == (320, 240)
    rest = Camera.from_info(640, 480, K, roi=(100, 60, 0, 0))
    assert (rest.width, rest.height, rest.cx) == (540, 420, part.cx)


def test_binned_pixels_are_centred_between_those_they_join():
    full = Camera.from_info(640, 480, K)
    half = Camera.from_info(640, 480, K, binning=(2, 2))
    assert (half.width, half.height) == (320, 240)
    lower = Camera.from_info(640, 480, K, binning=(1, 2))
    assert (lower.width, lower.height, lower.fx, lower.fy) == (640, 240, 610.0, 302.0)
    # The middle of full pixels 200 and 201 is the centre of binned pixel 100.
    assert np.allclose(half.normalise([100, 50]), full.normalise([200.5, 100.5]))


def test_scaling_keeps_the_rays():
    c = camera('plumb_bob', PLUMB_BOB)
    corner = np.array([[-0.5, -0.5], [639.5, 479.5]])
    scaled = c.scaled_to(1280, 960).normalise([[-0.5, -0.5], [1279.5, 959.5]])
    assert np.allclose(c.normalise(corner), scaled)
    assert (c.scaled_to(1280, 960).width, c.scaled_to(1280, 960).height) == (1280, 960)


def test_the_camera_assumed_looks_along_the_middle_of_the_image():
    for size in ((640, 480), (480, 640)):
        c = Camera.assumed(*size)
        assert (c.width, c.height, c.fx, c.fy) == (*size, 576.0, 576.0)
        edges = c.rays([[-0.5, -0.5], [size[0] - 0.5, size[1] - 0.5]])
        assert np.allclose(edges[0] * [-1, -1, 1], edges[1])


@pytest.mark.parametrize('shape', [(1, 5), (5, 1)])
def test_intrinsics_may_have_the_shapes_that_calibrations_by_opencv_have(shape):
    d = np.reshape(PLUMB_BOB, shape)
    c = Camera.from_info(640, 480, np.reshape(K, (3, 3)), d, 'plumb_bob')
    assert c == camera('plumb_bob', PLUMB_BOB) == camera('plumb_bob', d)
    p = np.eye(4)[:3] * [500, 502, 1, 0] + [[0, 0, 310, 0], [0, 0, 240, 0], [0, 0, 0, 0]]
    assert Camera.from_info(640, 480, K, p=p, rectified=True).cx == 310


@pytest.mark.parametrize('change, message', [
    ({'k': [0.0] * 9}, 'not calibrated'),
    ({'k': [math.nan, 0, 320, 0, 600, 240, 0, 0, 1]}, 'not finite'),
    ({'k': [600, 0, 320, 0, -600, 240, 0, 0, 1]}, 'positive'),
    ({'k': [0.95, 0, 0.5, 0, 1.27, 0.5, 0, 0, 1]}, 'must be pixels.*fx 0.95, fy 1.27'),
    ({'k': [600, 0, 320, 0, 1e-300, 240, 0, 0, 1]}, 'must be pixels'),
    ({'k': [6e8, 0, 320, 0, 600, 240, 0, 0, 1]}, 'must be pixels'),
    ({'k': [600, 0, 7000, 0, 600, 240, 0, 0, 1]}, 'got cx 7000'),
    ({'k': [600, 0, 320, 0, 600, -6001, 0, 0, 1]}, 'got cy -6001'),
    ({'roi': (4_294_967_295, 0, 640, 480)}, 'principal point'),
    ({'k': [1.0] * 4}, '9 numbers'),
    ({'width': 0}, 'size'),
    ({'d': PLUMB_BOB, 'model': 'thin_prism'}, 'unknown distortion model'),
    ({'d': PLUMB_BOB, 'model': ''}, 'without a distortion model'),
    ({'d': (math.inf,) * 5, 'model': 'plumb_bob'}, 'not finite'),
    ({'d': (0.1, 0.2), 'model': 'plumb_bob'}, '5 or 4'),
    ({'d': (*PLUMB_BOB, 0.0, 0.1), 'model': 'plumb_bob'}, '5 or 4 coefficients, got 7'),
    ({'roi': (-1, 0, 10, 10)}, 'negative'),
    ({'rectified': True}, 'need P'),
    ({'rectified': True, 'p': [0.0] * 12, 'k': [0.0] * 9}, 'not calibrated'),
    ({'rectified': True, 'p': [0.0] * 12}, 'P of camera_info is zeros.* K is that of raw images'),
    ({'rectified': True, 'p': K}, 'need P.* 12 numbers; got 9'),
])
def test_intrinsics_that_are_no_camera_are_rejected(change, message):
    values = {'width': 640, 'height': 480, 'k': K} | change
    with pytest.raises(CameraError, match=message):
        Camera.from_info(**values)


@pytest.mark.parametrize('focal, centre, size', [
    (35.0, 319.5, (640, 480)),  # a fisheye of more than 180 degrees
    (9000.0, -4000.0, (64, 48)),  # a small region of a long lens's image
    (600.0, 6600.0, (640, 480)),
])
def test_wide_long_and_off_centre_lenses_are_cameras(focal, centre, size):
    camera = Camera.from_info(*size, [focal, 0, centre, 0, focal, 20, 0, 0, 1])
    assert (camera.fx, camera.cx) == (focal, centre)


@pytest.mark.parametrize('change, words', [
    ({'k': [1400.0, 0, 960, 0, 1400, 540, 0, 0, 1]}, 'point 960, 540 is outside of the 640 x 480'),
    ({'k': [600.0, 0, -3, 0, 600, 240, 0, 0, 1]}, 'outside'),
    ({'k': [1200.0, 0, 639.5, 0, 1200, 479.5, 0, 0, 1]}, '639.5, 479.5 is far from the middle'),
    ({'k': [900.0, 0, 470, 0, 900, 365, 0, 0, 1]}, 'far from the middle.*another resolution'),
    ({'k': [300.0, 0, 155, 0, 300, 125, 0, 0, 1]}, 'far from the middle'),
    ({'k': [40.0, 0, 320, 0, 40, 240, 0, 0, 1]}, 'focal lengths 40, 40.*166 degrees'),
    ({'k': [6000.0, 0, 320, 0, 9000, 240, 0, 0, 1]}, 'focal lengths 6000, 9000.*5 degrees'),
    ({'k': [600.0, 0, 320, 0, 1300, 240, 0, 0, 1]}, 'differ by more than 2 times'),
    ({'d': (-50.0, 0, 0, 0, 0), 'model': 'plumb_bob'}, 'plumb_bob.*line of sight'),
])
def test_intrinsics_that_are_hardly_those_of_the_image_are_doubted(change, words):
    assert re.search(words, Camera.from_info(**{'width': 640, 'height': 480, 'k': K} | change)
                     .doubt())


@pytest.mark.parametrize('camera', [
    Camera.assumed(640, 480), Camera.from_info(640, 480, K, PLUMB_BOB, 'plumb_bob'),
    Camera.from_info(640, 480, [150.0, 0, 320, 0, 150, 240, 0, 0, 1], (0.1, 0, 0, 0),
                     'equidistant'),  # a whole circle of more than 180 degrees
    Camera.from_info(640, 480, [6000.0, 0, 40, 0, 6000, 470, 0, 0, 1]),
    Camera.from_info(640, 480, [500.0, 0, 250, 0, 500, 310, 0, 0, 1]),
], ids=['assumed', 'usual', 'fisheye', 'long', 'off centre'])
def test_lenses_that_cameras_have_are_not_doubted(camera):
    assert camera.doubt() == ''


@pytest.mark.parametrize('fx, fy, cx, words', [
    (600, 600, 320, None), (90, 600, 320, 'hardly'), (6000, 7000, 320, 'hardly'),
    (600, 1300, 320, 'differ'), (600, 600, 650, 'outside'), (20, 600, 320, CameraError),
    (600, 7e7, 320, CameraError), (600, 600, 7000, CameraError)])
def test_what_is_wrong_across_an_image_is_wrong_along_it_too(fx, fy, cx, words):
    for values in ((fx, fy, cx, 240, 640, 480), (fy, fx, 240, cx, 480, 640)):
        if words is CameraError:
            with pytest.raises(CameraError):
                Camera(*values)
        else:
            doubt = Camera(*values).doubt()
            assert words in doubt if words else doubt == ''


def test_image_of_another_size_is_told_with_both_sizes():
    camera().check_image(480, 640)
    with pytest.raises(CameraError, match='640 x 480.*320 x 240'):
        camera().check_image(240, 320)


def test_zero_or_missing_coefficients_are_no_distortion():
    for d in ((), (0.0,) * 5):
        assert Camera.from_info(640, 480, K, d, 'plumb_bob').distortion == 'none'


def test_the_matrix_is_that_of_a_pinhole_and_its_focal_length_between_both():
    camera = Camera.from_info(640, 480, [400.0, 0, 310, 0, 900, 250, 0, 0, 1])
    np.testing.assert_array_equal(camera.matrix, [[400, 0, 310], [0, 900, 250], [0, 0, 1]])
    assert camera.focal == pytest.approx(600.0)


@pytest.mark.parametrize('size', [(1000, 100), (100, 1000)])
def test_focal_lengths_are_held_against_the_longer_side(size):
    shortest = NEAREST * 1000
    Camera.from_info(*size, [1.01 * shortest, 0, 50, 0, 1.01 * shortest, 50, 0, 0, 1])
    with pytest.raises(CameraError, match='focal lengths'):
        Camera.from_info(*size, [0.9 * shortest, 0, 50, 0, 0.9 * shortest, 50, 0, 0, 1])
