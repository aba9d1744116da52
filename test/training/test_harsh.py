"""Pictures as bad as robots have to work with: of the same size, the same hand, much worse."""

import cv2
import numpy as np
import pytest

from hiu_ros.training import finder_paste, finder_scenes
from hiu_ros.training import harsh as module
from hiu_ros.training.finder_paste import Renders
from hiu_ros.training.finder_scenes import SceneOptions, Scenes
from hiu_ros.training.finder_targets import Frame, joints_box
from hiu_ros.training.harsh import gloved, harsh
from hiu_ros.training.mix import HandMix
from hiu_ros.training.mix_options import MixOptions

N = 64
KINDS = (module._burnt_out, module._noisy, module._badly_sent, module._unsharp, module._far)


def picture(height=N, width=N, seed=0):
    coarse = np.random.default_rng(seed).uniform(30, 150, (8, 8, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(
        0, 255).astype(np.uint8)


def finest(image):
    return np.abs(np.diff(image.astype(float), axis=1)).mean()


def every(kind, image, unit=0.5, count=40):
    return [kind(image, unit, np.random.default_rng(k)) for k in range(count)]


@pytest.mark.parametrize('shape', [(N, N), (97, 50), (20, 33)])
@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_keeps_size_and_type_and_leaves_the_picture_it_is_given(kind, shape):
    image = picture(*shape)
    before = image.copy()
    for worse in every(kind, image, count=10):
        assert worse.shape == image.shape and worse.dtype == np.uint8
        assert not np.array_equal(worse, image)
    assert np.array_equal(image, before)


def test_all_kinds_are_drawn_and_the_same_generator_gives_the_same_picture(monkeypatch):
    drawn = []
    for kind in KINDS:
        def told(image, unit, rng, name=kind.__name__):
            drawn.append((name, unit))
            return image
        monkeypatch.setattr(module, kind.__name__, told)
    for k in range(100):
        harsh(picture(), np.random.default_rng(k))
    assert {name for name, _ in drawn} == {kind.__name__ for kind in KINDS}
    assert {unit for _, unit in drawn} == {N / 128}
    harsh(picture(90, 200), np.random.default_rng(0), side=256)
    assert drawn[-1][1] == 2
    monkeypatch.undo()
    for k in range(10):
        assert np.array_equal(*(harsh(picture(), np.random.default_rng(k)) for _ in range(2)))


def test_what_is_burnt_out_is_brighter_and_partly_white():
    image = picture()
    for worse in every(module._burnt_out, image):
        assert worse.mean() > 1.15 * image.mean()
    assert np.mean([(worse == 255).mean() for worse in every(module._burnt_out, image)]) > 0.1


def test_noise_has_the_deviation_that_is_asked_for_and_grows_grain_with_the_hand():
    image = np.full((N, N, 3), 128, np.uint8)
    spread = [worse.std() for worse in every(module._noisy, image)]
    assert 11 < min(spread) < 20 and 40 < max(spread) < 51

    def alike(unit):
        return np.mean([np.corrcoef(worse[:, :-1, 0].ravel(), worse[:, 1:, 0].ravel())[0, 1]
                        for worse in every(module._noisy, image, unit)])

    assert alike(4.0) > 0.7 > 0.4 > alike(0.5)


@pytest.mark.parametrize('kind', [module._unsharp, module._far, module._badly_sent])
def test_what_is_fine_is_lost_the_more_the_larger_the_hand_is_shown(kind):
    image = np.random.default_rng(3).integers(0, 256, (N, N, 3), dtype=np.uint8)
    small, large = (np.mean([finest(w) for w in every(kind, image, unit)]) for unit in (0.5, 2.0))
    assert large < small < 0.8 * finest(image)


def test_blur_of_many_pixels_is_as_that_of_one_that_is_not_shrunk():
    image = picture(200, 260, seed=4)
    exact = cv2.GaussianBlur(image, (0, 0), 20)[40:-40, 40:-40]
    assert np.abs(module._smooth(image, 20)[40:-40, 40:-40].astype(int) - exact).mean() < 2


def test_a_glove_takes_the_colour_of_the_hand_and_leaves_its_shade():
    image = picture()
    image[:, :32] = (image[:, :32] * 0.5).astype(np.uint8)
    mask = np.full((N, N), 255, np.uint8)
    hues, values = [], []
    for k in range(200):
        glove = gloved(image, mask, np.random.default_rng(k)).astype(float)
        mean = glove.mean((0, 1))
        assert glove.shape == image.shape and glove[:, :32].mean() < glove[:, 32:].mean()
        hues.append(int(mean.argmax()))
        values.append(mean.max())
    assert {0, 1, 2} == set(hues) and min(values) < 40 and max(values) > 200
    assert gloved(image, np.zeros_like(mask), np.random.default_rng(0)).shape == image.shape


def mixes(bank, cache, **options):
    common = {'photos': str(cache), 'renders': (str(bank),), 'photometric': False,
              'occluder_share': 0.0, 'cutout_share': 0.0, 'other_hand_share': 0.0}
    return [HandMix(MixOptions(**common | one), N, seed=3) for one in ({}, options)]


def test_a_share_of_all_crops_is_harsh_with_the_labels_they_had(bank, cache):
    plain, worse = mixes(bank, cache, harsh_share=1.0)
    changed = 0
    for index in range(40):
        one, other = plain[index], worse[index]
        for name in one.keys() - {'images'}:
            assert np.array_equal(one[name], other[name]), name
        changed += not np.array_equal(one['images'], other['images'])
    assert changed == 40


def test_gloves_are_for_photographs_with_a_mask_alone(bank, cache):
    plain, worse = mixes(bank, cache, glove_share=1.0)
    kinds = {'changed': 0, 'same': 0}
    for index in range(60):
        one, other = plain[index], worse[index]
        assert np.array_equal(one['masks'], other['masks'])
        same = np.array_equal(one['images'], other['images'])
        kinds['same' if same else 'changed'] += 1
        if not same:
            assert one['mask_weights'] == 1 and one['presence'] == 1
            mask = cv2.resize(one['masks'], (N, N))
            far = cv2.dilate(mask, np.ones((15, 15))) == 0
            assert np.array_equal(one['images'][far], other['images'][far])
    assert min(kinds.values()) > 3


def test_a_share_of_the_finders_frames_is_harsh_by_the_size_of_their_hands(bank, monkeypatch):
    sides = []
    monkeypatch.setattr(finder_scenes, 'harsh',
                        lambda image, rng, side: sides.append(side) or 255 - image)
    plain, worse, some = (
        Scenes(SceneOptions(renders=(str(bank),), harsh=share), 128, seed=6)
        for share in (0.0, 1.0, 0.3))
    checked = 0
    for index in range(30):
        one, other = plain[index], worse[index]
        assert np.array_equal(255 - one['images'], other['images'])
        assert all(np.array_equal(one[name], other[name]) for name in one if name != 'images')
        largest = np.exp(one['log_size'][one['known'] == 1]) * 128 * 1.35
        if len(largest) == 1 and one['care'].all():
            assert sides[-1] == pytest.approx(largest[0], rel=1e-4)
            checked += 1
    assert checked > 3 and len(sides) == 30 and min(sides) > 7
    for index in range(60):
        some[index]
    assert 8 < len(sides) - 30 < 30


def test_rendered_hands_get_gloves_in_their_share_and_keep_their_outline(bank, monkeypatch):
    green = np.array([10, 200, 10], np.uint8)
    monkeypatch.setattr(finder_paste, 'gloved', lambda image, mask, rng:
                        np.full_like(image, green) * (mask[..., None] > 0))
    renders, gloves = Renders([bank]), 0
    for k in range(40):
        frame = Frame(np.full((96, 128, 3), 90, np.uint8))
        renders.add(frame, np.random.default_rng(k), 0.0, 0.5)
        assert len(frame.points) == 1
        changed = (frame.image != 90).any(2)
        way = (frame.image[changed].astype(float) - 90) / (green - 90.0)
        gloved_hand = changed.any() and np.ptp(way, axis=1).max() < 0.06
        gloves += gloved_hand
        if gloved_hand and changed.sum() > 300:
            drawn, box = np.argwhere(changed), joints_box(frame.points[0])
            if (box[:2] > 8).all() and (box[2:] < [120, 88]).all():
                assert drawn.mean(0)[::-1] == pytest.approx(
                    (box[:2] + box[2:]) / 2, abs=0.35 * (box[2:] - box[:2]).max())
    assert 10 < gloves < 30
