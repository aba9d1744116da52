"""Crops with another background or another hand: pictures change, what is known does not."""

from unittest.mock import Mock

import numpy as np
import pytest

from hiu_ros.geometry.crop import Crop
from hiu_ros.training.collage import MOST_HIDDEN, cut, share_hidden
from hiu_ros.training.mix import HandMix
from hiu_ros.training.mix_options import MixOptions

N = 128
CALM = {'negative_share': 0.0, 'wrong_side_share': 0.0, 'occluder_share': 0.0,
        'photometric': False}
WHITE = np.full((N, N, 3), 255, np.uint8)
RED = np.broadcast_to(np.array([0, 0, 255], np.uint8), (N, N, 3))


@pytest.fixture
def red(tmp_path) -> str:
    """Backgrounds that are red all over."""
    np.save(tmp_path / 'red.npy', np.broadcast_to(RED[:1, :1], (4, 32, 32, 3)))
    return str(tmp_path / 'red.npy')


def mix_of(**options) -> HandMix:
    return HandMix(MixOptions(**CALM | {'cutout_share': 0.0, 'other_hand_share': 0.0} | options),
                   N, seed=3)


def with_cover(mix: HandMix, cover: np.ndarray) -> HandMix:
    """The mix with a white hand of this shape (n, n, 1) in place of every other hand."""
    mix.another = lambda rng: (WHITE, cover)
    return mix


def drawn(mix: HandMix, kind: str, seed: int) -> tuple:
    """A tile of a source and its crop, picture, opacity and mask."""
    tile = mix.sources[kind].draw(np.random.default_rng(seed))
    crop = Crop.around_keypoints(tile.outline, 1.5, N)
    return tile, crop, *cut(tile, crop, 'replicate'), (
        None if tile.mask is None else crop.extract(tile.mask))


def composed(mix: HandMix, kind: str, seed: int) -> tuple:
    tile, crop, image, alpha, mask = drawn(mix, kind, seed)
    rng = np.random.default_rng(seed)
    return tile, image, mask, *mix.compose(tile, crop, image, alpha, mask, rng)


def patch_over(joints: np.ndarray, index: int) -> np.ndarray:
    """A cover of 5 x 5 px over one joint."""
    cover = np.zeros((N, N, 1), np.float32)
    x, y = np.round(joints[index]).astype(int)
    cover[max(y - 2, 0):y + 3, max(x - 2, 0):x + 3] = 1
    return cover


def test_stream_of_a_seed_is_one_with_cut_outs_and_other_hands(bank, cache, red):
    options = {'photos': str(cache), 'renders': (str(bank),), 'backgrounds': red,
               'cutout_share': 0.5, 'other_hand_share': 0.5, 'photometric': True}
    one, two, plain = mix_of(**options), mix_of(**options), mix_of(
        **options | {'cutout_share': 0.0, 'other_hand_share': 0.0})
    first = [one[i] for i in range(12)]
    for i in reversed(range(12)):
        again = two[i]
        assert all(np.array_equal(first[i][name], again[name]) for name in again)
    changed = [not np.array_equal(a['images'], plain[i]['images']) for i, a in enumerate(first)]
    assert sum(changed) > 4


def test_labels_stay_and_masks_only_lose(bank, cache, red):
    options = {'photos': str(cache), 'renders': (str(bank),), 'backgrounds': red}
    plain = mix_of(**options)
    busy = mix_of(**options, cutout_share=1.0, other_hand_share=1.0)
    less = 0
    for i in range(40):
        a, b = plain[i], busy[i]
        assert a.keys() == b.keys()
        for name in a.keys() - {'images', 'masks'}:
            assert np.array_equal(a[name], b[name]), name
        assert (b['masks'] <= a['masks'] + 1e-6).all()
        less += b['masks'].sum() < a['masks'].sum() - 1
    assert less > 4


def test_another_hand_in_front_takes_its_place_from_picture_and_mask(cache):
    mix = mix_of(photos=str(cache), other_hand_share=1.0)
    covered = 0
    for seed in range(12):
        tile, crop, image, _, mask = drawn(mix, 'photo', seed)
        cover = patch_over(crop.to_crop(tile.outline), 8)
        _, _, _, made, left = composed(with_cover(mix, cover), 'photo', seed)
        under = cover[..., 0] > 0
        assert (made[under] == 255).all() and (made[~under] == image[~under]).all()
        if mask is None:
            assert left is None
        else:
            assert left[under].max() == 0 and (left[~under] == mask[~under]).all()
            covered += mask[under].any()
    assert covered > 4


def test_a_hand_that_would_be_hidden_stays_alone(cache):
    mix = mix_of(photos=str(cache), other_hand_share=1.0)
    kept = {True: 0, False: 0}
    for seed in range(12):
        tile, crop, *_ = drawn(mix, 'photo', seed)
        joints = crop.to_crop(tile.outline)
        for share in (0.2, 0.8):
            cover = np.zeros((N, N, 1), np.float32)
            cover[:int(round(np.quantile(joints[:, 1], share)))] = 1
            tile, image, mask, made, left = composed(with_cover(mix, cover), 'photo', seed)
            alone = share_hidden(cover, joints) > MOST_HIDDEN
            assert alone == (share > 0.5)
            assert np.array_equal(made, image) == alone
            if alone and mask is not None:
                assert np.array_equal(left, mask)
            kept[alone] += 1
    assert kept == {True: 12, False: 12}


def test_cut_out_keeps_the_hand_and_changes_what_is_behind(cache, red):
    mix = mix_of(photos=str(cache), backgrounds=red, cutout_share=1.0)
    cut = behind_red = 0
    for seed in range(16):
        _, image, mask, made, left = composed(mix, 'photo', seed)
        if mask is None:
            assert np.array_equal(made, image) and left is None
            continue
        inside = soft(mask, 255)
        assert inside.any()
        assert np.abs(made[inside].astype(int) - image[inside]).max() <= 1
        assert np.array_equal(left, mask)
        outside = soft(mask, 0)
        assert not np.array_equal(made[outside], image[outside])
        # One background in twelve is of random colours.
        behind_red += (made[outside] == RED[outside]).all()
        cut += 1
    assert cut > 8 and behind_red > 0.7 * cut


def soft(mask: np.ndarray, value: int) -> np.ndarray:
    """Where a mask has one value for 5 px around."""
    same = np.pad(mask == value, 5, mode='edge')
    windows = np.lib.stride_tricks.sliding_window_view(same, (11, 11))
    return windows.all((2, 3))


def test_a_recoloured_hand_keeps_its_place_labels_and_surroundings(cache):
    mix = mix_of(photos=str(cache), recolour_share=1.0)
    changed = 0
    for seed in range(16):
        _, image, mask, made, left = composed(mix, 'photo', seed)
        if mask is None:
            assert np.array_equal(made, image) and left is None
            continue
        assert np.array_equal(left, mask)
        inside, outside = soft(mask, 255), soft(mask, 0)
        assert np.array_equal(made[outside], image[outside])
        changed += np.abs(made[inside].astype(int) - image[inside]).mean() > 4
    assert changed > 8


def test_photographs_are_not_cut_out_without_backgrounds(cache):
    mix = mix_of(photos=str(cache), cutout_share=1.0)
    for seed in range(8):
        _, image, _, made, _ = composed(mix, 'photo', seed)
        assert np.array_equal(made, image)


def test_another_hand_lies_before_or_behind_a_render(bank, red):
    mix = mix_of(renders=(str(bank),), backgrounds=red, other_hand_share=1.0)
    before = behind = 0
    for seed in range(24):
        tile, crop, image, _, mask = drawn(mix, 'render', seed)
        cover = patch_over(crop.to_crop(tile.outline), 9)
        cover[:, :20] = 1
        _, _, _, made, left = composed(with_cover(mix, cover), 'render', seed)
        beside = (cover[..., 0] > 0) & (soft(mask, 0))
        hand = (cover[..., 0] > 0) & (mask == 255)
        assert beside.any() and hand.any()
        assert (made[beside] == 255).all()
        if np.array_equal(left, mask):
            behind += 1
            assert np.abs(made[hand].astype(int) - image[hand]).max() <= 1
        else:
            before += 1
            assert (made[hand] == 255).all() and left[hand].max() == 0
    assert before > 4 and behind > 4


def test_other_hands_come_from_photographs_and_renders_with_a_known_shape(bank, cache):
    both = mix_of(photos=str(cache), renders=(str(bank),))
    made = [both.another(np.random.default_rng(k)) for k in range(40)]
    # One photograph of the cache has no mask.
    assert 0 < sum(other is None for other in made) < 10
    assert all(cover.any() for other in made if other for cover in other[1:])
    assert mix_of(unlabelled=str(cache)).another(np.random.default_rng(0)) is None


def test_an_arm_over_a_hand_takes_its_place_from_picture_and_mask(cache, bank, red):
    options = {'photos': str(cache), 'renders': (str(bank),), 'backgrounds': red}
    plain, crossed = mix_of(**options), mix_of(**options, arm_share=1.0)
    fewer = 0
    for i in range(30):
        a, b = plain[i], crossed[i]
        for name in a.keys() - {'images', 'masks'}:
            assert np.array_equal(a[name], b[name]), name
        lost = a['masks'] - b['masks']
        assert lost.min() > -1e-6
        same = np.array_equal(a['images'], b['images'])
        assert not (same and lost.any())
        fewer += lost.sum() > 4
    assert fewer > 10


def test_a_hand_that_an_arm_would_hide_stays_as_it_is(cache, monkeypatch):
    points = np.array([[30.0, 30.0], [34.0, 30.0], [50.0, 50.0]])
    image, mask = np.full((64, 64, 3), 90, np.uint8), np.full((64, 64), 255, np.uint8)
    picture = np.zeros_like(image)
    for hidden, same in ((1, False), (2, True), (3, True)):
        cover = np.zeros((64, 64, 1), np.float32)
        for x, y in points[:hidden].astype(int):
            cover[y, x] = 1
        monkeypatch.setattr('hiu_ros.training.mix.bare_arm', Mock(return_value=(picture, cover)))
        crossed = HandMix.cross(image, mask, points, np.random.default_rng(0))
        assert [np.array_equal(*pair) for pair in zip(crossed, (image, mask))] == [same] * 2


def test_a_hand_far_aside_is_no_hand_of_the_crop(cache, red):
    options = {'photos': str(cache), 'backgrounds': red, 'near_misses': red}
    plain = mix_of(**options)
    beside = mix_of(**options, aside_share=1.0)
    changed = 0
    for k in range(30):
        a, b = (mix.negative(np.random.default_rng(k)) for mix in (plain, beside))
        assert b['presence'] == 0 and not b['masks'].any() and b['mask_weights'] == 1
        assert not b['keypoint_weights'].any()
        changed += not np.array_equal(a['images'], b['images'])
    assert changed > 8
