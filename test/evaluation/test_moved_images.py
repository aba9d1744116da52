from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hiu_ros.evaluation.moved_images import NOISE, RATE, FollowInMoved, moved
from hiu_ros.perception.options import TrackingOptions


def picture(width=160, height=120):
    rng = np.random.default_rng(4)
    image = cv2.GaussianBlur(rng.uniform(0, 255, (height, width, 3)), (0, 0), 4)
    return cv2.normalize(image, None, 40, 215, cv2.NORM_MINMAX).astype(np.uint8)


def offset(image, frame):
    """Pixels (2,) that the middle of an image lies away from where it was, in a frame."""
    y, x = np.array(image.shape[:2]) // 2 - 15
    found = cv2.minMaxLoc(cv2.matchTemplate(frame, image[y:y + 30, x:x + 30],
                                            cv2.TM_CCOEFF_NORMED))[3]
    return np.array(found) - (x, y)


@pytest.mark.parametrize('size', [(160, 120), (90, 200)])
def test_the_camera_sways_a_little_and_comes_to_rest(size):
    image = picture(*size)
    frames = list(moved(image, 40))
    assert len(frames) == 40
    assert all(frame.shape == image.shape and frame.dtype == np.uint8 for frame in frames)
    # The last frame is the image, its noise aside.
    rest = frames[-1].astype(float) - image
    assert abs(rest.mean()) < 0.1 and rest.std() == pytest.approx(NOISE, rel=0.1)
    away = np.array([np.linalg.norm(offset(image, frame)) for frame in frames])
    assert 0.02 * min(size) < away.max() < 0.14 * min(size) and away[-1] == 0
    steps = [np.linalg.norm(offset(one, two)) for one, two in zip(frames, frames[1:])]
    assert max(steps) < 0.03 * min(size)


def test_noise_is_anew_in_each_frame_and_videos_come_again():
    one, two = list(moved(picture(), 3)), list(moved(picture(), 3))
    assert all(np.array_equal(a, b) for a, b in zip(one, two))
    assert not np.array_equal(one[-1], list(moved(picture(), 3, seed=1))[-1])
    still = [frame.astype(float) - picture() for frame in (one[-1], next(moved(picture(), 1)))]
    assert abs(np.corrcoef(still[0].ravel(), still[1].ravel())[0, 1]) < 0.1


def test_each_image_is_followed_from_the_beginning_and_its_last_frame_counts():
    calls = []
    pipeline = SimpleNamespace(
        options=SimpleNamespace(tracking=TrackingOptions()), reset=lambda: calls.append('reset'),
        process=lambda frame, stamp: calls.append(stamp) or f'hands at {stamp:.3f}')
    follow = FollowInMoved(pipeline, 3)
    assert [follow(picture()), follow(picture())] == [f'hands at {2 / RATE:.3f}'] * 2
    assert calls == 2 * ['reset', 0.0, 1 / RATE, 2 / RATE]


def test_what_follows_nothing_is_refused():
    options = SimpleNamespace(tracking=None)
    with pytest.raises(ValueError, match='does not follow hands'):
        FollowInMoved(SimpleNamespace(options=options), 3)
    options.tracking = TrackingOptions()
    with pytest.raises(ValueError, match='frames is 0, expected 1 or more'):
        FollowInMoved(SimpleNamespace(options=options), 0)
