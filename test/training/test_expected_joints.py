"""What a follower is taken to expect: mostly near the labels, off as a follower is."""

import numpy as np
import pytest

from hiu_ros.geometry.crop import Crop
from hiu_ros.training.expected_joints import astray, expected_nowhere, expected_of, in_crop
from hiu_ros.training.mix import HandMix, MixOptions

SIDE = 128
TOLD = {'negative_share': 0.0, 'occluder_share': 0.0, 'expected_share': 1.0}


@pytest.fixture
def joints():
    rng = np.random.default_rng(0)
    return 64 + np.concatenate([[[0, 40]], rng.normal(0, 20, (20, 2))])


def many(joints, count=400):
    return np.stack([expected_of(joints, np.random.default_rng(k)) for k in range(count)])


def test_expected_joints_are_mostly_near_the_labels_and_sometimes_far_off(joints):
    expected = many(joints)
    size = np.ptp(joints, axis=0).max()
    off = np.linalg.norm(expected[..., :2] - joints, axis=2).mean(axis=1) / size
    assert off.min() > 0.005
    assert 0.02 < np.median(off) < 0.12
    assert 0.1 < (off > 0.2).mean() < 0.4
    sure = expected[..., 2]
    assert (sure > 0).all() and (sure <= 1).all() and sure.std() > 0.1


def test_joints_that_are_said_to_be_unsure_are_further_off(joints):
    expected = many(joints)
    off = np.linalg.norm(expected[..., :2] - joints, axis=2)
    assert np.median(off[expected[..., 2] < 0.4]) > 1.5 * np.median(off[expected[..., 2] > 0.8])


def test_joints_without_a_label_are_not_expected(joints):
    joints[[3, 10]] = np.nan
    expected = many(joints, 50)
    assert np.isfinite(expected).all()
    assert (expected[:, [3, 10], 2] == 0).all() and (expected[:, [1, 5], 2] > 0).all()
    joints[1:] = np.nan
    assert not expected_of(joints, np.random.default_rng(0)).any()


def test_where_there_is_no_hand_one_is_expected_in_the_middle(joints):
    expected = np.stack([expected_nowhere(joints + [300, -200], SIDE, np.random.default_rng(k))
                         for k in range(400)])
    low, high = expected[..., :2].min(axis=1), expected[..., :2].max(axis=1)
    assert np.abs(np.median((low + high) / 2, axis=0) - (SIDE - 1) / 2).max() < 3
    assert 0.5 * SIDE < np.median((high - low).max(axis=1)) < 0.95 * SIDE


def test_expected_joints_go_with_the_crop(joints):
    expected = expected_of(joints, np.random.default_rng(0))
    crop = Crop((50.0, 60.0), 100.0, 0.4, True, 64)
    told = in_crop(expected, crop)
    assert np.allclose(crop.to_image(told[:, :2]), expected[:, :2], atol=1e-3)
    assert np.allclose(told[:, 2], expected[:, 2]) and told.dtype == np.float32


def test_crops_go_about_what_is_expected_unless_the_hand_is_not_in_them(bank):
    mix = HandMix(MixOptions(renders=(str(bank),), **TOLD, shift=0.0, upright_share=0.0,
                             angle_deg=0.0, wild_share=0.0), 64, seed=3)
    away = []
    for i in range(60):
        sample = mix[i]
        points, told = sample['keypoints'], sample['expected'][:, :2]
        assert ((points > -0.5) & (points < 63.5)).all(axis=1).mean() >= 0.6
        away.append(np.abs((told.min(axis=0) + told.max(axis=0)) / 2 - 31.5).max())
    assert np.median(away) < 0.1 and max(away) > 2


def test_only_told_crops_come_with_expected_joints(bank, cache):
    plain = HandMix(MixOptions(photos=str(cache), renders=(str(bank),)), 64, seed=3)
    assert 'expected' not in plain[0]
    half = HandMix(MixOptions(photos=str(cache), renders=(str(bank),), negative_share=0.3,
                              expected_share=0.5), 64, seed=3)
    kinds = {(bool(half[i]['presence']), bool(half[i]['expected'].any())) for i in range(60)}
    assert len(kinds) == 4


def test_a_hand_that_another_one_covers_is_expected_and_not_there(bank, monkeypatch):
    # The hands of these tests are all alike, open and small.
    monkeypatch.setattr('hiu_ros.training.mix._COVERED', 0.6)
    never = HandMix(MixOptions(renders=(str(bank),), **TOLD), 64, seed=3)
    mix = HandMix(MixOptions(renders=(str(bank),), **TOLD, covered_share=1.0), 64, seed=3)
    assert all(never[i]['presence'] == 1 for i in range(60))
    covered = [sample for sample in map(mix.__getitem__, range(400)) if sample['presence'] == 0]
    assert covered
    for sample in covered:
        assert sample['expected'][:, 2].all() and not sample['keypoint_weights'].any()
        assert sample['mask_weights'] == 1 and sample['masks'].mean() < 0.2


def test_joints_that_went_astray_are_beside_the_hand_and_mostly_on_its_arm(joints):
    size, arm = np.ptp(joints, axis=0).max(), (joints[0] - joints[9])
    arm = arm / np.linalg.norm(arm)
    away = np.stack([astray(np.column_stack([joints, np.ones(21)]), np.random.default_rng(k))
                     for k in range(200)])[..., :2].mean(axis=1) - joints.mean(axis=0)
    far = np.linalg.norm(away, axis=1)
    assert far.min() > 0.3 * size and far.max() < 1.8 * size
    assert 0.55 < (away @ arm / far > 0.8).mean() < 0.9


def test_a_crop_beside_the_hand_shows_none(bank):
    mix = HandMix(MixOptions(renders=(str(bank),), **TOLD, astray_share=1.0), 64, seed=3)
    samples = [mix[i] for i in range(60)]
    without = [sample for sample in samples if sample['presence'] == 0]
    assert 5 < len(without) < 55
    for sample in without:
        assert sample['expected'][:, 2].all() and not sample['keypoint_weights'].any()
        assert sample['mask_weights'] == 1 and not sample['masks'].any()
