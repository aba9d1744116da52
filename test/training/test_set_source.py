"""Data sets in the mix: their labels arrive in the crop's axes, as one hand."""

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets import registry
from hiu_ros.geometry.crop import Crop
from hiu_ros.training.mix import HandMix
from hiu_ros.training.mix_options import MixOptions
from hiu_ros.training.set_source import SetOptions, SetSource

CAMERA = np.array([[400.0, 0, 159.5], [0, 400.0, 119.5], [0, 0, 1]])
CALM = {'negative_share': 0.0, 'wrong_side_share': 0.0, 'occluder_share': 0.0,
        'photometric': False, 'wild_share': 0.5}


class Seen:
    """A data set of one hand, off the camera's axis, with every label."""

    name = 'seen'

    def __init__(self, root: str, side: str = 'right', hand=None, count: int = 5, drop=()):
        self.side, self.count, self.drop = side, count, drop
        rng = np.random.default_rng(2)
        pose = rng.normal(0, 0.2, (16, 3))
        pose[0] += [0.3, 1.2, 0.2]
        shape = rng.normal(0, 0.7, 10)
        rotations = Rotation.from_rotvec(pose).as_matrix()
        with torch.no_grad():
            posed = hand(torch.from_numpy(rotations).float()[None],
                         torch.from_numpy(shape).float()[None])
        points, vertices = posed.keypoints[0].numpy(), posed.vertices[0].numpy()
        if side == 'left':
            points, vertices, pose = points * [-1, 1, 1], vertices * [-1, 1, 1], pose * [1, -1, -1]
        place = np.array([0.16, -0.1, 0.55])
        self.points, self.vertices = points + place, vertices + place
        self.pose, self.shape = pose.reshape(-1), shape

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        pixels = self.points @ CAMERA.T
        pixels = pixels[:, :2] / pixels[:, 2:]
        labels = {
            'side': self.side, 'camera': CAMERA, 'keypoints_px': pixels,
            'keypoints_m': self.points, 'vertices_m': self.vertices, 'pose': self.pose,
            'shape': self.shape, 'mask': np.full((240, 320), 255, np.uint8), 'model': 'hiu',
            'box': np.array([*pixels.min(0), *np.ptp(pixels, axis=0)]),
        }
        for name in self.drop:
            labels.pop(name)
        image = np.full((240, 320, 3), index, np.uint8)
        return Sample(f'seen/{index}', image, **labels)


@pytest.fixture
def seen(monkeypatch, hand):
    """Makes a mix whose only source is `Seen`."""
    monkeypatch.setitem(registry.DATA_SETS, 'seen', Seen)

    def make(set_options: dict | None = None, **options) -> HandMix:
        options = {'hand': hand} | options
        one = SetOptions('seen', 'anywhere', options=options, **(set_options or {}))
        return HandMix(MixOptions(sets=(one,), **CALM), 64, seed=3)

    return make


@pytest.mark.parametrize('side', ['right', 'left'])
def test_labels_of_a_hand_off_the_axis_agree_in_the_crops_axes(seen, hand, side):
    mix = seen(side=side)
    for i in range(6):
        sample = mix[i]
        assert sample['sides'] == sample['side_weights'] == sample['canonical'] == 1
        posed = hand(torch.from_numpy(sample['rotations'])[None],
                     torch.from_numpy(sample['shapes'])[None])
        wanted = torch.from_numpy(sample['keypoints_m'])
        assert torch.allclose(posed.keypoints[0] - posed.keypoints[0, 0], wanted - wanted[0],
                              atol=1e-4)
        assert np.allclose(posed.vertices[0] - posed.keypoints[0, 0], sample['vertices'],
                           atol=1e-4)
        assert misfit(sample) < 0.12


def misfit(sample: dict) -> float:
    """How far weak perspective is from the crop: largest distance over the hand's reach."""
    flat = sample['keypoints_m'][:, :2] - sample['keypoints_m'][:, :2].mean(0)
    shown = sample['keypoints'] - sample['keypoints'].mean(0)
    scale = (flat * shown).sum() / (flat * flat).sum()
    return np.linalg.norm(scale * flat - shown, axis=1).max() / np.linalg.norm(shown, axis=1).max()


def test_the_turn_to_the_crops_axis_is_what_makes_them_agree(seen):
    turned, straight = seen(), seen(drop=('camera',))
    errors = np.array([[misfit(mix[i]) for mix in (turned, straight)] for i in range(4)])
    assert (errors[:, 0] < 0.6 * errors[:, 1]).all()


def test_an_epoch_draws_every_sample_once_and_the_next_in_another_order(seen):
    source = next(iter(seen().sources.values()))
    rng = np.random.default_rng(0)
    drawn = [int(source.draw(rng, i).image[0, 0, 0]) for i in range(15)]
    assert [sorted(drawn[k:k + 5]) for k in (0, 5, 10)] == [list(range(5))] * 3
    assert len({tuple(drawn[k:k + 5]) for k in (0, 5, 10)}) > 1
    assert int(source.draw(rng, 7).image[0, 0, 0]) == drawn[7]


def test_labels_that_a_set_lacks_weigh_nothing(seen):
    sample = seen(drop=('keypoints_m', 'vertices_m', 'pose', 'shape', 'mask'))[0]
    assert sample['keypoint_weights'].sum() > 10 and sample['presence_weights'] == 1
    for name in ('weights_3d', 'mask_weights', 'parameter_weights', 'shape_weights'):
        assert sample[name] == 0
    assert 'vertices' not in sample


def test_hands_with_a_box_alone_are_unlabelled_hands(seen):
    mix = seen(drop=('keypoints_m', 'vertices_m', 'pose', 'shape', 'mask', 'keypoints_px'))
    sample = mix[0]
    assert sample['self_supervised'] == 1 and sample['presence_weights'] == 0
    assert sample['keypoint_weights'].max() == 0 and np.isfinite(sample['keypoints']).all()


def test_unknown_side_teaches_the_maps_alone(seen):
    sample = seen(drop=('side',))[0]
    assert sample['side_weights'] == 0 == sample['canonical'] == sample['parameter_weights']
    assert sample['keypoint_weights'].sum() > 10


def test_parameters_of_another_hand_model_are_left_out(seen, hand):
    one = SetOptions('seen', 'anywhere', options={'hand': hand})
    source = SetSource(one, hand.template, mano=True, seed=0)
    tile = source.tile(source.data[0])
    assert tile.pose is None and tile.shape is None and tile.vertices_m is None
    assert tile.keypoints_m is not None


def test_weights_of_a_set_reach_the_sample(seen):
    sample = seen({'weight_2d': 3.0, 'weight_3d': 0.5, 'parameter_weight': 0.2, 'masks': False,
                   'self_supervised': True})[0]
    assert sample['keypoint_weights'].max() == 3 and sample['weights_3d'] == 0.5
    assert sample['parameter_weights'] == sample['vertex_weights'] == pytest.approx(0.2)
    assert sample['shape_weights'] == pytest.approx(0.2)
    assert sample['mask_weights'] == 0
    assert sample['self_supervised'] == 1


def test_unlabelled_joints_have_no_weight_and_do_not_move_the_crop(seen, monkeypatch):
    mix = seen()
    source = next(iter(mix.sources.values()))
    sample = source.data[0]
    visibility = np.full(21, Visibility.VISIBLE)
    visibility[[3, 4]] = Visibility.UNLABELLED
    hidden = Sample('x', sample.image, side='right', camera=CAMERA,
                    keypoints_px=sample.keypoints_px, visibility=visibility)
    tile = source.tile(hidden)
    assert np.isnan(tile.keypoints[[3, 4]]).all() and np.isfinite(tile.keypoints[5:]).all()
    made = mix.hand(tile, np.random.default_rng(0))
    assert (made['keypoint_weights'][[3, 4]] == 0).all() and made['keypoint_weights'].sum() > 10
    assert Crop.around_keypoints(tile.outline).size > 0


def test_joints_labelled_beyond_the_picture_count_and_a_hand_in_part_in_space_has_no_3d(seen):
    source = next(iter(seen().sources.values()))
    sample = source.data[0]
    visibility, valid = np.full(21, Visibility.VISIBLE), np.ones(21, bool)
    visibility[4], valid[7] = Visibility.OUTSIDE, False
    tile = source.tile(Sample('x', sample.image, side='right', keypoints_px=sample.keypoints_px,
                              visibility=visibility, keypoints_m=sample.keypoints_m,
                              valid_m=valid))
    assert np.isfinite(tile.keypoints).all() and tile.keypoints_m is None


@pytest.mark.parametrize('side', ['left', 'right'])
def test_folder_of_pictures_shows_their_middle_as_hands_of_the_side_that_is_told(tmp_path, side):
    picture = np.zeros((60, 100, 3), np.uint8)
    picture[20:40, 40:60] = 255
    picture[20:40, 40:45] = 100
    cv2.imwrite(str(tmp_path / 'a.png'), picture)
    options = MixOptions(sets=(SetOptions('folder', str(tmp_path), options={'side': side}),),
                         **{**CALM, 'wild_share': 0.0, 'angle_deg': 0.0, 'shift': 0.0,
                            'scale': (1.5, 1.5)})
    sample = HandMix(options, 64)[0]
    assert sample['self_supervised'] == sample['canonical'] == 1
    row = sample['images'][32, :, 0] if side == 'right' else sample['images'][32, ::-1, 0]
    assert row[4] == 0 and row[24] == 100 and row[32] == row[40] == 255
    assert sample['presence_weights'] == sample['keypoint_weights'].max() == 0


def test_pictures_that_teach_nothing_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((6, 10, 3), np.uint8))
    with pytest.raises(ValueError, match='not even the side of their hand.*options: {side: right'):
        HandMix(MixOptions(sets=(SetOptions('folder', str(tmp_path)),)), 64)


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match='name and root'):
        SetOptions('freihand')
    with pytest.raises(ValueError, match='no data set'):
        HandMix(MixOptions(sets=(SetOptions('imagined', 'x'),)), 64)
