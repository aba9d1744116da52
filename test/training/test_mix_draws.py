"""What a mix is drawn from: photographs, renders, sets, near misses, and the share of each."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from hiu_ros.data.sets.layout import DataSetError
from hiu_ros.training.mix import HandMix
from hiu_ros.training.mix_options import MixOptions
from hiu_ros.training.set_source import SetOptions
from hiu_ros.training.sources import RenderSource, _by_root_of_size

CALM = {'negative_share': 0.0, 'wrong_side_share': 0.0, 'occluder_share': 0.0,
        'photometric': False, 'wild_share': 0.5}


def mix_of(**options) -> HandMix:
    return HandMix(MixOptions(**options), 64, seed=3)


def test_unlabelled_hands_have_no_label_at_all(cache):
    mix = mix_of(unlabelled=str(cache), unlabelled_sets=('garden',),
                 **CALM | {'wrong_side_share': 1.0})  # of hands whose side is a label
    for i in range(4):
        sample = mix[i]
        weights = [k for k in sample if k.endswith('weights') and np.any(sample[k] > 0)]
        assert not weights and sample['self_supervised'] == 1 == sample['canonical']
        assert sample['images'].std() > 5


def test_hands_of_which_only_a_box_is_known_have_crops_as_wide_however_turned(cache):
    mix = mix_of(unlabelled=str(cache), scale=(1.3, 1.3))
    box = np.array([[10.0, 20.0], [110.0, 80.0]])
    crops = [mix.crop(box, False, np.random.default_rng(i)) for i in range(30)]
    assert {round(crop.size, 6) for crop in crops} == {130.0}
    assert np.ptp([crop.angle for crop in crops]) > 0.5


def test_unlabelled_hands_are_those_of_the_sets_asked_for_and_none_to_validate_with(cache):
    for sets, numbers in (((), {0, 1, 2}), (('garden',), {1})):
        source = mix_of(unlabelled=str(cache), unlabelled_sets=sets).sources['unlabelled']
        assert set(source.labels['set'][source.indices]) == numbers
        assert (source.labels['split'][source.indices] == 0).all()


def test_photographs_count_in_space_as_far_as_they_are_trusted(cache):
    mix = mix_of(photos=str(cache), photo_3d_weight=0.8, photo_parameter_weight=0.7, **CALM)
    samples = [mix[i] for i in range(8)]
    assert {round(float(one['weights_3d']), 6) for one in samples} == {0.8 * 0.5}
    assert {round(float(one['parameter_weights']), 6) for one in samples} <= {0.0, 0.7}


def test_photographs_whose_labels_are_not_trusted_are_left_out(cache):
    for least, numbers in ((0.05, set(range(9))), (0.5, set(range(9)) - {1})):
        photos = mix_of(photos=str(cache), least_trust=least).sources['photo']
        assert set(photos.rows[:, 1]) == numbers


def test_what_has_no_share_is_drawn_for_nothing(bank, cache):
    given = {'photos': str(cache), 'renders': (str(bank),), 'unlabelled': str(cache)}
    assert list(mix_of(**given, render_share=0.0).sources) == ['photo', 'unlabelled']
    assert list(mix_of(**given, photo_share=0.0).sources) == ['render', 'unlabelled']
    assert list(mix_of(**given, unlabelled_share=0.0).sources) == ['photo', 'render']


def test_joints_beyond_the_crop_have_no_weight(bank):
    mix = mix_of(renders=(str(bank),), **CALM | {'scale': (0.6, 0.6)})
    for i in range(4):
        sample = mix[i]
        inside = ((sample['keypoints'] > -0.5) & (sample['keypoints'] < 63.5)).all(1)
        assert 0 < inside.sum() < 21
        assert np.array_equal(sample['keypoint_weights'] > 0, inside)


def test_without_near_misses_crops_without_a_hand_show_backgrounds(bank, tmp_path):
    np.save(tmp_path / 'red.npy', np.full((1, 160, 160, 3), (0, 0, 255), np.uint8))
    mix = mix_of(renders=(str(bank),), backgrounds=str(tmp_path / 'red.npy'), photometric=False)
    images = [mix.negative(np.random.default_rng(k))['images'] for k in range(20)]
    assert sum((image == (0, 0, 255)).all() for image in images) > 15


def test_three_of_four_crops_without_a_hand_show_near_misses_where_there_are_some(bank, tmp_path):
    files = {}
    for name, colour in (('backgrounds', (0, 0, 255)), ('near_misses', (255, 0, 0))):
        files[name] = str(tmp_path / f'{name}.npy')
        np.save(files[name], np.full((1, 160, 160, 3), colour, np.uint8))
    mix = mix_of(renders=(str(bank),), photometric=False, **files)
    images = [mix.negative(np.random.default_rng(k))['images'] for k in range(120)]
    blue, red = ([(image == colour).all() for image in images]
                 for colour in ((255, 0, 0), (0, 0, 255)))
    assert np.mean(blue) / (np.mean(blue) + np.mean(red)) == pytest.approx(0.75, abs=0.12)


def test_sets_and_banks_have_their_share_of_the_draws(bank, tmp_path):
    shares = np.diff(_by_root_of_size(np.array([0] * 16 + [1] * 4)), prepend=0)
    assert shares[:16].sum() == pytest.approx(2 / 3) and np.ptp(shares[:16]) < 1e-12
    few = tmp_path / 'few'
    few.mkdir()
    for name in ('bgra', 'mask'):
        np.save(few / f'{name}.npy', np.load(bank / f'{name}.npy')[:2])
    with np.load(bank / 'labels.npz') as labels:
        np.savez(few / 'labels.npz', **{key: labels[key][:2] for key in labels.files})
    assert RenderSource((str(bank), str(few))).cumulative == pytest.approx([6 / 8, 1])


def test_sets_are_left_out_and_named(cache):
    photos = mix_of(photos=str(cache), leave_out=('kitchen',)).sources['photo']
    labels, rows = photos.caches[0][2], photos.rows[:, 1]
    assert set(labels['set'][rows]) == {1, 2} and 1 not in rows
    assert not set(np.flatnonzero(labels['split'] == 1)) & set(rows)
    with pytest.raises(ValueError, match="leave_out names \\['cellar'\\].*kitchen"):
        mix_of(photos=str(cache), leave_out=('cellar',))
    with pytest.raises(ValueError, match='unlabelled_sets'):
        mix_of(unlabelled=str(cache), unlabelled_sets=('cellar',))


@pytest.mark.parametrize('name', ['backgrounds', 'near_misses'])
def test_a_file_of_something_else_than_patches_is_told_at_once(bank, name):
    with pytest.raises(DataSetError, match='bgra.npy holds .* expected uint8 patches'):
        mix_of(renders=(str(bank),), **{name: str(bank / 'bgra.npy')})


def test_shares_that_are_all_nothing_are_refused(bank):
    one = SetOptions('renders', str(bank), share=0.0)
    with pytest.raises(ValueError, match='the shares of negative, set 0: renders are all 0'):
        mix_of(sets=(one,), negative_share=0.0)


def test_nothing_to_train_on_is_an_error(tmp_path):
    with pytest.raises(ValueError, match='nothing to train on.*data.sets'):
        mix_of()
    with pytest.raises(FileNotFoundError, match='photo_cache'):
        mix_of(photos=str(tmp_path))
    with pytest.raises(DataSetError, match='renders.bank'):
        mix_of(renders=(str(tmp_path),))


def test_of_a_bank_that_is_being_rendered_only_what_is_done_is_drawn(bank, tmp_path):
    for name in ('bgra.npy', 'mask.npy'):
        done = np.load(bank / name)
        np.save(tmp_path / name, np.concatenate([done, np.zeros_like(done)]))
    shutil.copy(bank / 'labels.npz', tmp_path)
    source = RenderSource((str(tmp_path), str(bank)))
    rng = np.random.default_rng(0)
    assert all(source.draw(rng).mask.any() for _ in range(60))


def test_shares_are_kept(bank, cache):
    options = MixOptions(photos=str(cache), renders=(str(bank),), unlabelled=str(cache),
                         photo_share=0.3, render_share=0.4, negative_share=0.1,
                         unlabelled_share=0.2)
    mix = HandMix(options, 64, seed=1)
    drawn = []
    mix.hand = lambda tile, rng: drawn.append(tile) or {}
    mix.negative = lambda rng: drawn.append(None)
    for i in range(400):
        mix[i]
    share = [sum(t is None for t in drawn), sum(t is not None and t.alpha is not None
                                                 for t in drawn),
             sum(t is not None and t.self_supervised for t in drawn)]
    assert share == pytest.approx([40, 160, 80], abs=25)


@pytest.mark.parametrize('name', ['more_photos', 'dropped', 'unlabelled_sets'])
def test_an_option_that_would_do_nothing_is_refused(bank, name):
    with pytest.raises(ValueError, match=f'{name} is given, but (photos|unlabelled), which'):
        MixOptions(renders=(str(bank),), **{name: 'x.npy' if name == 'dropped' else ('x',)})


def test_options_can_be_changed_one_by_one():
    assert replace(MixOptions(), photometric=False).photometric is False


def test_further_caches_are_drawn_from_and_dropped_rows_are_not(cache, tmp_path):
    alone = mix_of(photos=str(cache)).sources['photo']
    gone = alone.rows[::2, 1]
    np.save(tmp_path / 'dropped.npy', gone)
    photos = mix_of(photos=str(cache), more_photos=(str(cache),),
                    dropped=str(tmp_path / 'dropped.npy')).sources['photo']
    np.save(tmp_path / 'other.npy', [len(alone.caches[0][2]['split'])])
    with pytest.raises(ValueError, match='give the one that was made of this cache'):
        mix_of(photos=str(cache), dropped=str(tmp_path / 'other.npy'))
    first, second = (photos.rows[photos.rows[:, 0] == k, 1] for k in (0, 1))
    assert set(first) == set(alone.rows[:, 1]) - set(gone) and set(second) == set(alone.rows[:, 1])
    rng = np.random.default_rng(0)
    drawn = [photos.draw(rng).keypoints for _ in range(200)]
    seen = {row for row in alone.rows[:, 1] for keypoints in drawn
            if np.array_equal(keypoints, alone.caches[0][2]['keypoints'][row])}
    assert seen == set(alone.rows[:, 1])
