import numpy as np
import pytest

from hiu_ros.evaluation import spoilt_images
from hiu_ros.evaluation.spoilt_images import KINDS, LIGHTS, find_in, predict_in, spoilt
from hiu_ros.perception.result import Hands

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize('light', LIGHTS)
def test_light_gives_what_its_numbers_say(light):
    gains, offset, deviation = LIGHTS[light]
    image = np.full((100, 100, 3), 100, np.uint8)
    poor = spoilt(image, light, np.random.default_rng(0)).astype(float)
    assert np.allclose(poor.mean((0, 1)), 100 * np.array(gains) + offset,
                       atol=0.5 + deviation / 60)
    assert poor[..., 1].std() == pytest.approx(deviation, rel=0.1)


@pytest.mark.parametrize('shape', [(40, 50), (7, 3), (480, 640)])
@pytest.mark.parametrize('kind', KINDS)
def test_no_kind_changes_the_size_of_an_image(kind, shape):
    image = np.full((*shape, 3), 90, np.uint8)
    before = image.copy()
    assert spoilt(image, kind, np.random.default_rng(1)).shape == image.shape
    assert np.array_equal(image, before)


def test_a_sent_image_loses_what_is_fine_and_keeps_what_is_coarse():
    rng = np.random.default_rng(2)
    fine = np.repeat(rng.integers(0, 2, (480, 640, 1), dtype=np.uint8) * 255, 3, axis=2)
    coarse = np.zeros_like(fine)
    coarse[:, 320:] = 200
    assert spoilt(fine, 'sent', rng).std() < 0.4 * fine.std()
    assert np.abs(spoilt(coarse, 'sent', rng).astype(int) - coarse).mean() < 4


@pytest.mark.parametrize('shape, sent', [
    ((480, 640), (240, 320)), ((640, 480), (320, 240)), ((1, 2000), (1, 320)),
    ((40, 50), (40, 50))])
def test_the_longer_side_of_what_is_sent_is_320_px_at_most(monkeypatch, shape, sent):
    seen = []
    monkeypatch.setattr(spoilt_images, 'as_jpeg', lambda image, quality: (
        seen.append((image.shape[:2], quality)), image)[1])
    spoilt(np.zeros((*shape, 3), np.uint8), 'sent', np.random.default_rng(0))
    assert seen == [(sent, 10)]


def test_what_is_too_bright_becomes_white_and_what_is_too_dark_black():
    rng = np.random.default_rng(3)
    assert spoilt(np.full((50, 60, 3), 250, np.uint8), 'burnt', rng).min() == 255
    black = spoilt(np.zeros((50, 60, 3), np.uint8), 'grainy', rng)
    assert np.median(black) == 0 and black.max() < 255


def test_a_moved_image_spreads_a_point_along_a_line_and_stays_where_it_is():
    image = np.zeros((300, 600, 3), np.uint8)
    image[148:153, 298:303] = 255
    angles = []
    for seed in range(5):
        moved = spoilt(image, 'moved', np.random.default_rng(seed))[..., 0].astype(float)
        y, x = np.nonzero(moved > 0)
        assert abs(np.average(x, weights=moved[y, x]) - 300) < 0.6
        assert abs(np.average(y, weights=moved[y, x]) - 150) < 0.6
        spread = np.linalg.svd(np.stack([x, y], 1) - [300, 150], full_matrices=False)
        assert 15 < max(np.ptp(x), np.ptp(y)) < 28 and spread[1][0] > 2.5 * spread[1][1]
        angles.append(abs(spread[2][0, 0]))
    assert np.ptp(angles) > 0.2
    even = np.full((60, 90, 3), 77, np.uint8)
    assert np.array_equal(spoilt(even, 'moved', np.random.default_rng(0)), even)


def test_spoilt_images_are_the_same_every_time_and_reach_whom_they_should():
    seen = []

    def predict(images, boxes, cameras=None):
        seen.append((images[0], boxes, cameras))
        return ['hand']

    for _ in range(2):
        assert predict_in('dim', predict)([IMAGE], [[0, 0, 9, 9]], ['camera']) == ['hand']
    assert np.array_equal(seen[0][0], seen[1][0]) and not np.array_equal(seen[0][0], IMAGE)
    assert seen[0][1:] == ([[0, 0, 9, 9]], ['camera'])

    def find(image):
        seen.append(image)
        return Hands(50, 40)

    assert find_in('dim', find)(IMAGE).width == 50
    assert np.array_equal(seen[-1], seen[0][0])
