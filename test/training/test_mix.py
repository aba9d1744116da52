"""The mix of training crops: one stream for everybody, with labels that fit the pictures."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from hiu_ros.data.sets.layout import DataSetError
from hiu_ros.geometry.crop import Crop
from hiu_ros.training import mix as mix_module
from hiu_ros.training.augment import thing_shape
from hiu_ros.training.batch import collate
from hiu_ros.training.losses import palm_length
from hiu_ros.training.mix import HandMix
from hiu_ros.training.mix_options import MixOptions
from hiu_ros.training.set_source import SetOptions
from hiu_ros.training.silhouettes import reproject
from hiu_ros.training.sources import RenderSource, _by_root_of_size

CALM = {'negative_share': 0.0, 'wrong_side_share': 0.0, 'occluder_share': 0.0,
        'photometric': False, 'wild_share': 0.5}


def mix_of(**options) -> HandMix:
    return HandMix(MixOptions(**options), 64, seed=3)


def check_labels(sample: dict, hand, tolerance: float = 1e-4) -> None:
    """Pose, shape, 3D and 2D labels of one sample are the same hand."""
    posed = hand.keypoints(torch.from_numpy(sample['rotations'])[None],
                           torch.from_numpy(sample['shapes'])[None])
    wanted = torch.from_numpy(sample['keypoints_m'])[None]
    wanted = wanted - wanted[:, :1]
    ours = posed - posed[:, :1]
    ours = ours * (palm_length(wanted) / palm_length(ours))[:, None, None]
    assert torch.allclose(ours, wanted, atol=tolerance)
    # Weak perspective: the crop shows the 3D joints turned as they are, up to scale and place.
    flat = wanted[0, :, :2] - wanted[0, :, :2].mean(0)
    seen = torch.from_numpy(sample['keypoints'])
    seen = seen - seen.mean(0)
    scale = (flat * seen).sum() / flat.square().sum()
    assert scale > 0 and (flat * scale - seen).norm(dim=1).max() < 0.04 * seen.norm(dim=1).max()


def test_samples_are_a_function_of_seed_and_number(bank, cache):
    options = MixOptions(photos=str(cache), renders=(str(bank),), negative_share=0.2)
    one, two = HandMix(options, 64, seed=3), HandMix(options, 64, seed=3)
    _ = two[11]
    for i in range(6):
        a, b = one[i], two[i]
        assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
    other = HandMix(options, 64, seed=4)
    assert any(not np.array_equal(one[i]['images'], other[i]['images']) for i in range(3))


def test_render_labels_are_one_hand_however_it_is_cut(bank, hand):
    mix = mix_of(renders=(str(bank),), **CALM)
    for i in range(8):
        sample = mix[i]
        assert sample['keypoint_weights'].sum() > 10 and sample['shape_weights'] == 1
        check_labels(sample, hand)


def test_photo_labels_are_one_hand_left_or_right(cache, hand):
    mix = mix_of(photos=str(cache), **CALM)
    posed = 0
    for i in range(24):
        sample = mix[i]
        if sample['parameter_weights'] > 0:
            # A cache's shapes are not trained on; those of its fits are near enough to none.
            check_labels(sample, hand, tolerance=0.02)
            posed += 1
        assert sample['shape_weights'] == 0 and sample['sides'] == 1
    assert 8 < posed < 24


def test_another_hand_does_not_learn_the_parameters_of_ours(bank, cache):
    options = MixOptions(photos=str(cache), renders=(str(bank),), **CALM)
    for i in range(12):
        ours, other = (HandMix(options, 64, seed=3, mano=mano)[i] for mano in (False, True))
        assert other['parameter_weights'] == other['shape_weights'] == 0
        for name in ('images', 'keypoints', 'keypoints_m', 'weights_3d', 'masks', 'mask_weights'):
            assert np.array_equal(ours[name], other[name])


def test_mask_lies_on_the_hand(bank):
    mix = mix_of(renders=(str(bank),), **CALM)
    for i in range(4):
        sample = mix[i]
        at = ((sample['keypoints'][sample['keypoint_weights'] > 0] + 0.5) / 2 - 0.5)
        at = at.round().astype(int).clip(0, 31)
        assert sample['masks'][at[:, 1], at[:, 0]].mean() > 0.6
        assert sample['masks'].mean() < 0.6


def test_wrong_side_is_mirrored_and_has_no_pose(bank):
    mix = mix_of(renders=(str(bank),), **{**CALM, 'wrong_side_share': 1.0, 'wild_share': 0,
                                          'angle_deg': 0.0, 'shift': 0.0, 'scale': (1.5, 1.5)})
    right = mix_of(renders=(str(bank),), **{**CALM, 'wild_share': 0, 'angle_deg': 0.0,
                                            'shift': 0.0, 'scale': (1.5, 1.5)})
    wrong, sample = mix[0], right[0]
    assert wrong['sides'] == 0 == wrong['canonical'] == wrong['parameter_weights']
    assert wrong['shape_weights'] == 0
    assert np.allclose(wrong['keypoints'][:, 0], 63 - sample['keypoints'][:, 0], atol=1e-3)
    assert np.allclose(wrong['masks'], sample['masks'][:, ::-1], atol=0.02)


@pytest.mark.parametrize('side', [0.0, 1.0])
def test_upright_crops_have_the_fingers_above_the_wrist(cache, hand, side):
    """Left hands are shown mirrored, and the wrong side mirrored again."""
    mix = mix_of(photos=str(cache), **CALM | {'wild_share': 0.0, 'upright_share': 1.0,
                                              'upright_deg': 0.0, 'wrong_side_share': side})
    tilted = mix_of(photos=str(cache), **CALM | {'wild_share': 0.0, 'upright_share': 0.0})
    lean = []
    for i in range(12):
        palms = [one['keypoints'][[5, 9, 13, 17]].mean(0) - one['keypoints'][0]
                 for one in (mix[i], tilted[i])]
        assert abs(palms[0][0]) < 0.01 and palms[0][1] < -3
        lean.append(abs(palms[1][0]))
        if mix[i]['parameter_weights'] > 0:
            check_labels(mix[i], hand, tolerance=0.02)
    assert max(lean) > 3


def test_negatives_have_an_empty_mask_and_no_hand(bank):
    mix = mix_of(renders=(str(bank),), render_share=1e-9, negative_share=1.0)
    sample = mix[0]
    assert sample['presence'] == 0 and sample['presence_weights'] == 1
    assert sample['mask_weights'] == 1 and sample['masks'].max() == 0
    assert sample['keypoint_weights'].max() == 0 == sample['side_weights']
    hand = mix_of(renders=(str(bank),), **CALM)[0]
    for one in (sample, mix.unlabelled()):
        assert {k: (v.shape, v.dtype) for k, v in one.items()} == {
            k: (hand[k].shape, hand[k].dtype) for k in one}


def test_wild_crops_are_turned_by_any_angle_and_the_others_by_a_little(bank):
    outline = np.random.default_rng(2).uniform(10, 50, (20, 2))
    turns = {}
    for share in (0.0, 1.0):
        mix = mix_of(renders=(str(bank),), wild_share=share, angle_deg=5.0)
        turns[share] = [mix.crop(outline, False, np.random.default_rng(k)).angle
                        for k in range(80)]
    assert np.abs(turns[0.0]).max() < np.radians(25) and np.std(turns[0.0]) > np.radians(3)
    assert min(turns[1.0]) < -2.5 and max(turns[1.0]) > 2.5


def test_crops_are_shifted_by_a_share_of_their_side_and_no_more(bank):
    outline = np.random.default_rng(2).uniform(100, 300, (20, 2))
    mix = mix_of(renders=(str(bank),), shift=0.1)
    away = []
    for k in range(120):
        crop = mix.crop(outline, False, np.random.default_rng(k))
        middle = np.array(Crop.around_keypoints(outline, 1.0, angle=crop.angle).centre)
        away.append((np.array(crop.centre) - middle) / crop.size)
    assert np.abs(away).max() == pytest.approx(0.1)
    assert np.std(away, axis=0) == pytest.approx(0.05, rel=0.25)
    assert np.abs(np.mean(away, axis=0)).max() < 0.02


def test_an_occluder_takes_its_place_from_picture_and_mask(bank, monkeypatch):
    mix = mix_of(renders=(str(bank),), **CALM | {'occluder_share': 1.0})
    made = []

    def occlude(image, mask, shape, rng):
        assert shape.shape == mask.shape and shape.max() > 0.5
        made.append((image, mask, *HandMix.occlude(mix, image, mask, shape, rng)))
        return made[-1][2:]

    monkeypatch.setattr(mix, 'occlude', occlude)
    for i in range(12):
        mix[i]
    hidden = 0
    for image, mask, shown, left in made:
        assert (left <= mask).all()
        seen = (mask == 255) & (left == 255)
        assert np.array_equal(shown[seen], image[seen])
        gone = (mask == 255) & (left == 0)
        hidden += (shown[gone] != image[gone]).any(-1).sum()
    assert len(made) == 12 and hidden > 50


def test_a_thing_hides_up_to_half_of_the_joints_which_keep_their_labels(bank, monkeypatch):
    shapes = []

    def made(*given):
        shapes.append(thing_shape(*given))
        return shapes[-1]

    monkeypatch.setattr('hiu_ros.training.mix.thing_shape', made)
    bare, hidden = (mix_of(renders=(str(bank),), **CALM | {'thing_share': share})
                    for share in (0.0, 1.0))
    shares, gone = [], []
    for i in range(40):
        one, two = bare[i], hidden[i]
        assert len(shapes) == i + 1
        for name in ('keypoints', 'keypoint_weights', 'keypoints_m'):
            assert np.array_equal(one[name], two[name])
        x, y = np.round(two['keypoints']).astype(int).clip(0, 63).T
        shares.append((shapes[-1][y, x] > 0.5).mean())
        gone.append((two['masks'] < one['masks'] - 0.01).any())
        assert (two['masks'] <= one['masks'] + 1e-6).all()
    assert 0.2 < np.mean(shares) < 0.5 and max(shares) < 0.7 and np.mean(gone) > 0.9


@pytest.mark.parametrize('share, maker', [
    ('occluder_share', 'occluder_shape'), ('thing_share', 'thing_shape'),
    ('arm_share', 'bare_arm'), ('other_hand_share', 'other_hand'), ('edge_share', 'cut_off'),
    ('recolour_share', 'recoloured'), ('glove_share', 'gloved'), ('harsh_share', 'harsh')])
def test_each_change_is_made_to_its_share_of_the_crops(cache, monkeypatch, share, maker):
    made, change = [], getattr(mix_module, maker)
    monkeypatch.setattr(mix_module, maker, lambda *given: made.append(1) or change(*given))
    for asked, least, most in ((0.0, 0, 0), (0.3, 3, 16)):
        mix = mix_of(photos=str(cache), **CALM | {'other_hand_share': 0.0, share: asked})
        made.clear()
        for i in range(30):
            mix[i]
        assert least <= len(made) <= most


def test_a_camera_changes_the_picture_where_that_is_asked_for(bank):
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    for asked in (False, True):
        mix = mix_of(renders=(str(bank),), photometric=asked)
        made = [mix.degrade(picture, np.random.default_rng(k)) for k in range(8)]
        assert any(not np.array_equal(one, picture) for one in made) is asked


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


def test_batch_fills_in_missing_vertices(bank):
    mix = mix_of(renders=(str(bank),), **CALM)
    first, second = mix[0], mix[1]
    assert collate([first, second]).vertices is None
    first['vertices'], first['vertex_weights'] = np.ones((5, 3), np.float32), np.float32(1)
    batch = collate([first, second]).to('cpu')
    assert batch.vertices.shape == (2, 5, 3) and batch.vertex_weights.tolist() == [1, 0]
    assert batch.images.min() >= -1 and batch.images.max() <= 1


def test_silhouette_of_the_labels_is_the_mask(bank, hand):
    """The parametric hand under a camera fitted to the labelled joints covers the mask."""
    from hiu_ros.training.silhouettes import Silhouettes

    sample = mix_of(renders=(str(bank),), **CALM)[1]
    rotations = torch.from_numpy(sample['rotations'])[None]
    posed = hand(rotations, torch.from_numpy(sample['shapes'])[None])
    units = (torch.from_numpy(sample['keypoints']) + 0.5) / 64 * 2 - 1
    flat = posed.keypoints[0, :, :2]
    scale = (flat.var(0).sum() / units.var(0).sum()) ** -0.5
    camera = torch.cat([scale[None], units.mean(0) - scale * flat.mean(0)])[None]
    assert torch.allclose(reproject(posed.keypoints, camera)[0] * 2 - 1, units, atol=0.02)
    drawn = Silhouettes(hand.faces)(posed.vertices, camera, 32)[0] > 0.5
    mask = torch.from_numpy(sample['masks']) > 0.5
    assert (drawn & mask).sum() / (drawn | mask).sum() > 0.85


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
