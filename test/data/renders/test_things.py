"""Things that hands hold and that stand before them: where they are, and how large."""

import numpy as np
import pytest

from hiu_ros.data.renders.appearance import PATTERNS
from hiu_ros.data.renders.gestures import GESTURES, GRASPS
from hiu_ros.data.renders.poses import PoseSampler
from hiu_ros.data.renders.things import _circle, front_thing, held_thing
from hiu_ros.hand.model import HandModel, load_template

TIPS = [8, 12, 16, 20]


@pytest.fixture(scope='module')
def sampler():
    return PoseSampler(HandModel(load_template('fast')))


@pytest.fixture(scope='module')
def grasps(sampler):
    return sampler.keypoints(np.stack([GESTURES[name] for name in GRASPS]))


@pytest.fixture(scope='module')
def flat(sampler):
    return sampler.keypoints(np.zeros((1, 21)))[0]


@pytest.fixture(scope='module')
def inwards(sampler, flat):
    """Unit vector out of the palm: where the fingertips go as the fingers bend a little."""
    bent = np.zeros((1, 21))
    bent[0, [0, 4, 8, 12]] = 8
    way = (sampler.keypoints(bent)[0] - flat)[TIPS].mean(0)
    return way / np.linalg.norm(way)


def held(keypoints, count=40):
    return [held_thing(keypoints, np.random.default_rng([4, k])) for k in range(count)]


def test_the_circle_of_three_points_goes_through_them():
    for seed in range(5):
        points = np.random.default_rng(seed).normal(size=(3, 3))
        centre, radius = _circle(*points)
        assert np.allclose(np.linalg.norm(points - centre, axis=1), radius)
        # In their plane.
        assert np.linalg.matrix_rank(points - centre, tol=1e-9) == 2
    line = np.array([[0.0, 0, 0], [0.01, 0.02, 0], [0.02, 0.04, 0]])
    assert _circle(*line)[1] == np.inf


def pinching(keypoints):
    """The hand with the thumb's tip brought to 2 cm from that of the index finger."""
    pinch = keypoints.copy()
    pinch[4] = pinch[8] + [0, 0.02, 0]
    return pinch


def test_a_thing_is_its_pattern_s_thing_turned_and_moved(grasps, flat):
    for thing in (one for hand in (grasps[0], flat, pinching(flat)) for one in held(hand)):
        # Rigid, and not mirrored: faces keep turning their outside out.
        one, two = (points - points.mean(0) for points in (thing.local, thing.vertices))
        u, _, v = np.linalg.svd(one.T @ two)
        assert np.allclose(one @ (u @ v), two, atol=1e-7)
        assert np.linalg.det(u @ v) > 0
        assert 0 <= thing.pattern < len(PATTERNS) and 0 <= thing.gloss <= 0.6
        assert 13 < thing.frequency < 100


def test_things_are_of_many_looks(grasps):
    things = held(grasps[0], 150)
    patterns = [thing.pattern for thing in things]
    assert set(patterns) == set(range(len(PATTERNS)))
    assert 0.3 < np.mean(np.array(patterns) == 0) < 0.7  # of one colour
    assert len({tuple(thing.one) for thing in things}) > 140
    assert all(not np.array_equal(thing.one, thing.two) for thing in things)


def test_what_a_hand_holds_is_touched_by_its_fingers_and_not_pierced(grasps):
    reached = []
    for keypoints in grasps:
        for thing in held(keypoints, 15):
            away = np.linalg.norm(thing.vertices[:, None] - keypoints, axis=-1)
            reached.append(np.sort(away.min(0))[2])
            # Of a hand's size, and where the hand is.
            assert np.ptp(thing.vertices, axis=0).max() < 0.3
            assert away.min() < 0.04
    assert np.median(reached) < 0.03


def test_what_lies_on_a_flat_hand_lies_on_the_palm_s_side(flat, inwards):
    things = held(flat, 60)
    palm = flat[[5, 9, 13, 17]].mean(0)
    heights = np.array([((thing.vertices - palm) @ inwards).min() for thing in things])
    assert (heights > 0.004).all() and (heights < 0.03).all()
    assert {thing.vertices.shape for thing in things} == {things[0].local.shape}
    # A slab lies flat, along the hand.
    along = flat[9] - flat[0]
    along = along / np.linalg.norm(along)
    extents = np.array([[np.ptp(thing.vertices @ axis) for axis in (inwards, along)]
                        for thing in things])
    slabs = extents[extents[:, 0] < 0.02]
    assert len(slabs) > 10 and (slabs[:, 1] > 0.08).all()


def test_a_pinch_has_its_thing_between_thumb_and_index(flat):
    pinch = pinching(flat)
    middle = (pinch[4] + pinch[8]) / 2
    things = held(pinch, 60)
    near = [np.linalg.norm(thing.vertices - middle, axis=1).min() for thing in things]
    # Some hands hold something else all the same.
    assert 0.6 < np.mean(np.array(near) < 0.03) < 0.95
    # A card is held at its edge and reaches away from the hand.
    cards = [thing for thing in things if np.ptp(thing.local, axis=0).min() < 0.004]
    away = middle - pinch[[2, 5]].mean(0)
    assert len(cards) > 3
    assert all((card.vertices.mean(0) - middle) @ away > 0 for card in cards)


@pytest.mark.parametrize('target', [(0.05, -0.1, 0.6), (-0.2, 0.1, 1.2)])
def test_what_stands_in_front_is_between_the_camera_and_its_target(target):
    target = np.array(target)
    middles, sizes = [], []
    for k in range(120):
        thing = front_thing(target, np.random.default_rng(k))
        middles.append(thing.vertices.mean(0))
        sizes.append(np.ptp(thing.local, axis=0).max())
    middles = np.array(middles)
    share = middles @ target / (target @ target)
    assert 0.4 < share.min() < 0.7 and 0.8 < share.max() < 1.0
    assert np.mean(share) == pytest.approx(0.76, abs=0.03)
    aside = np.linalg.norm(middles - share[:, None] * target, axis=1)
    assert np.quantile(aside, 0.9) < 0.08
    assert 0.01 < min(sizes) and max(sizes) <= 0.3 + 1e-9
