import numpy as np
import pytest

from hiu_ros.evaluation.poor_light import LIGHTS, find_in, predict_in, spoilt
from hiu_ros.perception.result import Hands

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize('light', LIGHTS)
def test_light_gives_what_its_numbers_say(light):
    gains, offset, deviation = LIGHTS[light]
    image = np.full((100, 100, 3), 128, np.uint8)
    poor = spoilt(image, light, np.random.default_rng(0)).astype(float)
    assert np.allclose(poor.mean((0, 1)), 128 * np.array(gains) + offset, atol=0.5)
    assert poor[..., 1].std() == pytest.approx(deviation, rel=0.1)


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
