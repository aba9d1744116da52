"""The mix of training crops: one stream for everybody, with labels that fit the pictures."""


import numpy as np
import pytest
import torch

from hiu_ros.geometry.crop import Crop
from hiu_ros.training import mix as mix_module
from hiu_ros.training.augment import thing_shape
from hiu_ros.training.batch import collate
from hiu_ros.training.losses import palm_length
from hiu_ros.training.mix import HandMix
from hiu_ros.training.mix_options import MixOptions
from hiu_ros.training.silhouettes import reproject

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
