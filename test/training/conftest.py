"""Small hands with exact labels: a render bank, a photo cache, settings of a tiny training."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from hiu_ros.geometry.rotations import axis_angle_to_matrix
from hiu_ros.hand.model import HandModel, load_template
from hiu_ros.network.config import preset
from hiu_ros.network.hiu import HIU, StageOutput
from hiu_ros.training.batch import Batch
from hiu_ros.training.loop import train
from hiu_ros.training.settings import Settings, read_settings
from hiu_ros.training.silhouettes import Silhouettes, reproject
from hiu_ros.training.targets import heatmap_targets, pof_targets, to_map

TINY = {'input_size': 64, 'stem_channels': [8, 8], 'encoder_channels': [8, 8, 16, 16],
        'encoder_blocks': [1, 1, 1, 1], 'decoder_channels': 8, 'attention_hidden': 8,
        'regressor_channels': [16, 16], 'regressor_blocks': [1, 1], 'regressor_hidden': 16}
TILE = 80
SKIN = np.array([120, 150, 210], np.uint8)


@pytest.fixture(scope='session')
def hand() -> HandModel:
    return HandModel(load_template('fast'))


@pytest.fixture
def network() -> HIU:
    """hiu_lite with fewer and narrower layers, ready for training."""
    torch.manual_seed(0)
    return HIU(preset('hiu_lite', **TINY)).train()


def some_poses(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Axis-angle poses (count, 16, 3), shapes (count, 10) and cameras of hands in a crop."""
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(count, 16, 3, generator=generator) * 0.2
    pose[:, 0] += torch.tensor([0.3, 1.2, 0.2])
    shape = torch.randn(count, 10, generator=generator) * 0.7
    camera = torch.tensor([[7.0, 0.0, 0.0]]).repeat(count, 1)
    return pose, shape, camera


def hand_labels(hand: HandModel, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Tiles of plain hands and their labels, as a render bank has them."""
    pose, shape, camera = some_poses(count, seed)
    posed = hand(axis_angle_to_matrix(pose), shape)
    middle = reproject(posed.keypoints, camera).mean(1)
    camera[:, 1:] -= 2 * middle - 1
    points = reproject(posed.keypoints, camera) * TILE - 0.5
    mask = Silhouettes(hand.faces)(posed.vertices, camera, TILE)
    mask = (mask.numpy() * 255).astype(np.uint8)
    bgra = np.concatenate([np.broadcast_to(SKIN, (*mask.shape, 3)), mask[..., None]], 3)
    return {
        'bgra': bgra, 'mask': mask, 'keypoints_px': points.numpy(),
        'keypoints_m': (posed.keypoints + torch.tensor([0, 0, 0.5])).numpy(),
        'pose': pose.numpy(), 'shape': shape.numpy(),
        'K': np.tile(np.eye(3), (count, 1, 1)), 'visibility': np.ones((count, 21), bool),
    }


def labelled(hand: HandModel, count: int, size: int = 64) -> tuple[Batch, torch.Tensor]:
    """A batch with every label, of hands in the middle of their crops, and their cameras."""
    pose, shape, camera = some_poses(count, seed=2)
    rotations = axis_angle_to_matrix(pose)
    posed = hand(rotations, shape)
    camera[:, 1:] -= 2 * reproject(posed.keypoints, camera).mean(1) - 1
    ones = torch.ones(count)
    generator = torch.Generator().manual_seed(4)
    return Batch(
        images=torch.rand(count, 3, size, size, generator=generator) * 2 - 1,
        keypoints=reproject(posed.keypoints, camera) * size - 0.5,
        keypoint_weights=torch.ones(count, 21), keypoints_m=posed.keypoints + 0.1,
        weights_3d=ones, masks=Silhouettes(hand.faces)(posed.vertices, camera, size // 2),
        mask_weights=ones, rotations=rotations, shapes=shape, parameter_weights=ones,
        shape_weights=ones, presence=ones, sides=ones, side_weights=ones, canonical=ones,
        vertices=posed.vertices, vertex_weights=ones,
    ), camera


@pytest.fixture(scope='session')
def mixed_batch(hand) -> Batch:
    """A render, a photo with joints and pose, a hand without labels, no hand, vertices alone, a
    photo whose joints are known in the image alone."""
    batch, _ = labelled(hand, 6)
    on = torch.tensor
    batch.keypoint_weights = on([1.0, 1, 0, 0, 1, 1])[:, None] * torch.ones(6, 21)
    batch.keypoint_weights[1, :4] = 0
    batch.weights_3d = on([1.0, 0.3, 0, 0, 1, 0])
    batch.mask_weights = on([1.0, 0, 0, 1, 0, 0])
    batch.parameter_weights = on([1.0, 0.3, 0, 0, 0, 0])
    batch.shape_weights = on([1.0, 0, 0, 0, 0, 0])
    batch.vertex_weights = on([0.0, 0, 0, 0, 1, 0])
    batch.presence = on([1.0, 1, 1, 0, 1, 1])
    batch.presence_weights = on([1.0, 1, 0, 1, 1, 1])
    batch.side_weights = on([1.0, 1, 0, 0, 1, 1])
    batch.canonical = on([1.0, 1, 1, 1, 1, 1])
    batch.self_supervised = on([0.0, 0, 1, 0, 0, 0])
    batch.masks[3] = 0
    return batch


@pytest.fixture(scope='session')
def perfect(hand):
    """A function: a batch with every label, and the output of a stage that knows them all."""

    def make(variant: str = 'image', size: int = 64) -> tuple[Batch, StageOutput]:
        batch, camera = labelled(hand, 3, size)
        m = size // 4
        points = to_map(batch.keypoints, size, m)
        directions, inside = pof_targets(points, batch.keypoints_m, m, variant)
        fields = directions[..., None, None] * inside[:, :, None]
        mask = torch.nn.functional.interpolate(batch.masks[:, None], (m, m), mode='area')
        sure = torch.full((3,), 20.0)
        return batch, StageOutput(
            heatmap_targets(points, m, 0.05 * m), fields.flatten(1, 2),
            torch.logit(mask, 1e-3), batch.rotations, batch.shapes, camera, sure, sure,
            torch.zeros(3, 0), mask[:, :0])

    return make


@pytest.fixture(scope='session')
def bank(tmp_path_factory, hand) -> Path:
    folder = tmp_path_factory.mktemp('bank')
    labels = hand_labels(hand, 6)
    for name in ('bgra', 'mask'):
        np.save(folder / f'{name}.npy', labels.pop(name))
    np.savez(folder / 'labels.npz', **labels, seed=np.arange(6))
    return folder


@pytest.fixture(scope='session')
def cache(tmp_path_factory, hand) -> Path:
    """A photo cache of 12 hands in three sets; every second is a left one, seen mirrored."""
    folder = tmp_path_factory.mktemp('cache')
    labels = hand_labels(hand, 12, seed=5)
    bgra = labels['bgra']
    alpha = bgra[..., 3:] / 255
    crops = (bgra[..., :3] * alpha + 60 * (1 - alpha)).astype(np.uint8)
    left = np.arange(12) % 2 == 0
    crops[left] = crops[left][:, :, ::-1]
    mask = np.where(left[:, None, None], labels['mask'][:, :, ::-1], labels['mask'])
    points, points_m = labels['keypoints_px'].copy(), labels['keypoints_m'].copy()
    points[left, :, 0] = TILE - 1 - points[left, :, 0]
    points_m[left, :, 0] *= -1
    np.save(folder / 'crops.npy', crops)
    np.save(folder / 'mask.npy', mask)
    np.savez(
        folder / 'labels.npz', keypoints=points, keypoints_m=points_m,
        side=(~left).astype(np.int8), set=np.arange(12) % 3, split=np.arange(12) // 9,
        trust=np.where(np.arange(12) == 1, 0.1, 1.0), trust_3d=np.full(12, 0.5),
        mask_ok=np.arange(12) != 4,
        pose=labels['pose'], shape=labels['shape'], fit_ok=np.arange(12) != 5,
        sets=np.array(['kitchen', 'garden', 'street']), files=np.array(['a.jpg']),
    )
    return folder


@pytest.fixture(scope='module')
def tiny_settings(tmp_path_factory, bank):
    """A function that makes the settings of a training of seconds, with some values changed."""
    folders = tmp_path_factory.mktemp('runs')

    def make(*changes: str, folder: str = '') -> Settings:
        path = folders / 'tiny.yaml'
        run = folders / folder if folder else tmp_path_factory.mktemp('run')
        path.write_text(yaml.safe_dump({
            'network': 'hiu_lite', 'network_changes': TINY, 'run': str(run),
            'data': {'renders': [str(bank)], 'negative_share': 0.2}, 'sigmas': [0.06, 0.04],
            'loss': {'heatmap': 1.0, 'pof': 4.0, 'keypoints_3d': 10.0, 'rotations': 0.5,
                     'silhouette': 0, 'pose_angles': 0, 'pof_inside': 0.4},
            'batch': 2, 'steps': 12, 'rate': 0.002, 'threads': 1, 'log_every': 2,
            'save_every': 4, 'validate_every': 100, 'tensorboard': False,
        }))
        return read_settings(str(path), changes)

    return make


@pytest.fixture(scope='module')
def uninterrupted(tiny_settings):
    """Settings of a training that ran from its first step to its last."""
    settings = tiny_settings(folder='straight')
    train(settings)
    return settings
