import numpy as np

from hiu_ros.perception.covering import covered, outline


def hand(x, y, size=60.0):
    """Keypoints of an open hand, fingers up, around a point."""
    points = [(0.0, 0.5)]
    for finger, spread in enumerate((-0.45, -0.2, 0.0, 0.18, 0.35)):
        for k in range(4):
            points.append((spread * (0.5 + 0.2 * k), 0.15 - 0.2 * k - 0.05 * (finger == 2)))
    return np.array(points) * size + [x, y]


def test_another_hand_is_painted_over_and_the_rest_stays():
    rng = np.random.default_rng(0)
    picture = rng.integers(90, 110, (128, 128, 3)).astype(np.uint8)
    own, other = hand(28, 64), hand(104, 64)
    picture[outline(other, 128, 128) > 0] = [30, 60, 200]
    before = picture.copy()
    result = covered(picture, own, [other])
    assert np.array_equal(picture, before)
    gone = outline(other, 128, 128) > 0
    assert np.abs(result[gone].astype(int) - 100).max() < 12
    assert np.array_equal(result[~gone], before[~gone])


def test_what_may_be_of_the_own_hand_stays():
    picture = np.random.default_rng(0).integers(0, 255, (128, 128, 3)).astype(np.uint8)
    own, other = hand(55, 64), hand(75, 64)
    result = covered(picture, own, [other])
    mine = outline(own, 128, 128) > 0
    assert np.array_equal(result[mine], picture[mine])
    assert (result != picture).any()


def test_a_second_track_of_the_same_hand_hides_nothing():
    picture = np.random.default_rng(0).integers(0, 255, (128, 128, 3)).astype(np.uint8)
    own = hand(64, 64)
    assert covered(picture, own, [own]) is picture


def test_hands_elsewhere_and_mad_ones_change_nothing():
    picture = np.zeros((128, 128, 3), np.uint8)
    assert covered(picture, hand(64, 64), []) is picture
    assert covered(picture, hand(64, 64), [hand(1e7, 64), hand(-400, -400)]) is picture
    everything = hand(64, 64, size=4000.0)
    assert covered(picture, None, [everything]).shape == picture.shape
