"""What cameras and things do to a picture of a hand leaves the hand where it is."""

import cv2
import numpy as np
import pytest

from hiu_ros.training.augment import (
    motion_blur,
    occluder_shape,
    photometric,
    random_patch,
    thing_shape,
)

N = 64


def picture(seed=0):
    """Soft shapes of all colours."""
    coarse = np.random.default_rng(seed).uniform(40, 220, (5, 5, 3)).astype(np.float32)
    return cv2.resize(coarse, (N, N), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def degraded():
    return [photometric(picture(), np.random.default_rng(seed)) for seed in range(300)]


def test_pictures_keep_their_size_place_and_colours_on_the_whole(degraded):
    assert {(one.shape, one.dtype) for one in degraded} == {((N, N, 3), np.dtype(np.uint8))}
    mean = np.mean(degraded, axis=0)
    assert np.corrcoef(mean.ravel(), picture().ravel())[0, 1] > 0.98
    assert mean.mean() == pytest.approx(picture().mean(), rel=0.15)


def test_a_generator_tells_all_of_a_picture(degraded):
    cv2.setRNGSeed(5)
    again = [photometric(picture(), np.random.default_rng(seed)) for seed in range(60)]
    assert all(np.array_equal(one, two) for one, two in zip(degraded, again))


def test_some_are_far_darker_some_brighter_and_none_is_empty(degraded):
    levels = np.array([one.mean() for one in degraded]) / picture().mean()
    assert levels.min() < 0.4 and levels.max() > 1.4 and levels.min() > 0.03
    assert 0.8 < np.median(levels) < 1.1
    assert min(one.std() for one in degraded) > 1.5


def test_contrast_and_colour_vary_both_ways(degraded):
    grey = np.array([one.mean(-1).std() for one in degraded]) / picture().mean(-1).std()
    colour = np.array([np.ptp(one.astype(float), -1).mean() for one in degraded])
    colour /= np.ptp(picture().astype(float), -1).mean()
    for share in (grey, colour):
        assert np.percentile(share, 15) < 0.8 and np.percentile(share, 85) > 1.1


def test_some_are_grey_and_a_few_have_red_and_blue_exchanged():
    plain = np.full((N, N, 3), (60, 120, 200), np.uint8)
    pictures = [photometric(plain, np.random.default_rng(seed)).mean((0, 1))
                for seed in range(1000)]
    grey = np.mean([np.ptp(one) < 3 for one in pictures])
    exchanged = np.mean([one[0] > one[2] + 15 for one in pictures])
    assert 0.05 < grey < 0.13 and 0.005 < exchanged < 0.05


def test_a_third_is_noisy_up_to_what_cameras_give_in_the_dark():
    plain = np.full((N, N, 3), 128, np.uint8)
    noise = [np.diff(photometric(plain, np.random.default_rng(seed)).astype(float), axis=1).std()
             / np.sqrt(2) for seed in range(200)]
    assert 0.2 < np.mean(np.array(noise) > 1.5) < 0.5
    assert 12 < max(noise) < 35


def test_some_are_blurred_or_coarse_or_have_the_blocks_of_bad_compression():
    fine = np.kron(np.indices((N // 4, N // 4)).sum(0) % 2, np.ones((4, 4)))
    fine = np.repeat(np.uint8(60 + 120 * fine)[..., None], 3, axis=2)
    strength, flat = [], []
    for seed in range(300):
        one = photometric(fine, np.random.default_rng(seed)).astype(float).mean(-1)
        strength.append(one.std() / one.mean())
        # Within the squares nothing changes, but for blur, noise and compression.
        flat.append(np.abs(one[1::4, 1::4] - one[2::4, 2::4]).mean())
    strength = np.array(strength) / (fine.std() / fine.mean())
    assert 0.05 < np.mean(strength < 0.5) < 0.35 and 0.3 < np.mean(strength > 0.9)
    assert 0.3 < np.mean(np.array(flat) < 0.7) < 0.8


@pytest.mark.parametrize('limit', [16, 27])
def test_a_motion_leaves_the_picture_where_it_is(limit):
    dot = np.zeros((N + 1, N + 1, 3), np.float32)
    dot[N // 2, N // 2] = 1000
    away = []
    for seed in range(60):
        seen = motion_blur(dot, np.random.default_rng(seed), limit)[..., 0]
        rows, columns = (np.arange(N + 1) - N // 2 for _ in range(2))
        away.append([(seen.sum(1) * rows).sum(), (seen.sum(0) * columns).sum()] / seen.sum())
    assert np.abs(away).max() < 0.05


def test_light_may_fall_from_any_side():
    plain = np.full((N, N, 3), 128, np.uint8)
    sides = np.zeros(4, int)
    for seed in range(300):
        one = photometric(plain, np.random.default_rng(seed)).astype(float)
        down, across = (np.polyfit(np.arange(N), one.mean((axis, 2)), 1)[0] * N
                        for axis in (1, 0))
        sides += [down > 15, down < -15, across > 15, across < -15]
    assert (sides >= 3).all() and sides.sum() < 120


def test_an_occluder_hides_a_part_of_the_hand_of_any_form():
    hand = np.random.default_rng(0).uniform(20, 44, (21, 2))
    covers = [occluder_shape(N, np.random.default_rng(seed), hand) for seed in range(200)]
    assert all(one.shape == (N, N) and 0 <= one.min() and one.max() <= 1 for one in covers)
    x, y = hand.round().astype(int).T
    hidden = np.array([(one[y, x] > 0.5).mean() for one in covers])
    assert 0.1 < hidden.mean() < 0.4 and (hidden > 0).mean() > 0.8 and hidden.max() < 0.95
    # Over all of them they lie about the hand; bars alone reach from border to border.
    mean = np.mean(covers, axis=0)
    assert mean[20:44, 20:44].mean() > 3 * mean[:8].mean()
    bars = [one for one in covers if max(one[0].max(), one[:, 0].max()) > 0.5
            and max(one[-1].max(), one[:, -1].max()) > 0.5]
    assert 20 < len(bars) < 110


@pytest.mark.parametrize('share', [0.15, 0.35, 0.6])
def test_a_thing_hides_a_share_of_the_joints_and_lies_about_one_of_them(share):
    hand = np.random.default_rng(0).uniform(16, 48, (21, 2))
    x, y = hand.round().astype(int).T
    hidden, narrow = [], []
    for seed in range(100):
        cover = thing_shape(N, np.random.default_rng(seed), hand, share) > 0.5
        hidden.append(cover[y, x].mean())
        assert cv2.connectedComponents(cover.astype(np.uint8))[0] == 2
        (_, size, _) = cv2.minAreaRect(np.argwhere(cover).astype(np.float32))
        narrow.append((min(size) + 1) / (max(size) + 1))
    assert np.mean(hidden) == pytest.approx(share, abs=0.05) and np.std(hidden) < 0.06
    assert np.min(narrow) < 0.45 and np.max(narrow) > 0.85


def test_backgrounds_are_parts_of_patches_and_of_all_patches():
    patches = np.stack([np.full((48, 48, 3), 10 * k, np.uint8) for k in range(1, 5)])
    drawn = [random_patch(patches, N, np.random.default_rng(seed)) for seed in range(200)]
    assert all(one.shape == (N, N, 3) and one.dtype == np.uint8 for one in drawn)
    plain = [int(one[0, 0, 0]) for one in drawn if np.ptp(one) == 0 and one[0, 0, 0] % 10 == 0]
    assert set(plain) == {10, 20, 30, 40} and len(plain) > 160


def test_backgrounds_are_mirrored_and_turned_every_way_but_half_of_them_stay_upright():
    patch = np.zeros((1, 48, 48, 3), np.uint8)
    patch[0, :, :, 0] = np.linspace(0, 250, 48)[:, None]
    patch[0, :, :, 1] = np.linspace(0, 250, 48)
    ways, mirrored = [], []
    for seed in range(300):
        one = random_patch(patch, N, np.random.default_rng(seed)).astype(float)
        if one[..., 2].any():
            continue  # of no patch
        down, along = (np.array([np.diff(one[..., k].mean(1 - axis)).mean() for axis in (0, 1)])
                       for k in (0, 1))
        axis = int(np.argmax(np.abs(down)))
        # A part of the patch is enlarged.
        assert 0.35 < np.ptp(one[..., 0]) / 250 <= 1
        ways.append((axis, down[axis] > 0))
        mirrored.append(down[0] * along[1] - down[1] * along[0] < 0)
    shares = {way: ways.count(way) / len(ways) for way in set(ways)}
    assert len(shares) == 4 and 0.4 < shares[0, True] < 0.6
    assert min(shares.values()) > 0.1 and 0.4 < np.mean(mirrored) < 0.6


def test_without_patches_backgrounds_are_fields_of_colour():
    drawn = [random_patch(np.zeros((0, 48, 48, 3), np.uint8), N, np.random.default_rng(seed))
             for seed in range(60)]
    assert all(one.shape == (N, N, 3) for one in drawn)
    plain = [np.ptp(one, axis=(0, 1)).max() == 0 for one in drawn]
    assert 0.05 < np.mean(plain) < 0.5
    assert np.ptp([one.mean() for one in drawn]) > 100
