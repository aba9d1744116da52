"""Painted hands with exact labels, and folders of such photos."""

import json
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch

from hiu_ros.data.photo_fits import joint_axes
from hiu_ros.data.photo_outlines import outline
from hiu_ros.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from hiu_ros.hand.model import HandModel, load_template


@dataclass
class PaintedHand:
    """An image of a hand with a forearm, its labels and the truth behind them."""

    image: np.ndarray
    silhouette: np.ndarray
    keypoints: np.ndarray
    keypoints_m: np.ndarray
    pose: np.ndarray
    camera: np.ndarray


@pytest.fixture(scope='session')
def model():
    torch.set_num_threads(1)
    return HandModel(load_template('fast'))


@pytest.fixture(scope='session')
def paint(model):
    """Paint a right hand, palm to the viewer, fingers up and bent by `bend` radians."""

    def make(seed=0, bend=0.3, pixels=240, scale=4.5, turn=0.0):
        rng = np.random.default_rng(seed)
        upright = axis_angle_to_matrix(torch.tensor([0.0, 0.0, np.pi / 2 + turn]))
        facing = axis_angle_to_matrix(torch.tensor([np.pi / 2, 0.0, 0.0]))
        bends = torch.as_tensor(bend * rng.uniform(0.5, 1.5, 15), dtype=torch.float32)
        fingers = axis_angle_to_matrix(bends[:, None] * joint_axes(model)[:, 0])
        rotations = torch.cat([(upright @ facing)[None], fingers])[None]
        points = model.keypoints(rotations, torch.zeros(1, 10))[0].numpy()
        middle = (points.max(0) + points.min(0))[:2] / 2
        camera = np.array([scale, *(-scale * middle)], np.float32)
        keypoints = (points[:, :2] * camera[0] + camera[1:] + 1) * pixels / 2 - 0.5
        pose = matrix_to_axis_angle(rotations[0]).numpy()
        silhouette, palm = outline(
            model, pose, np.zeros(10, np.float32), camera, False, pixels)
        image = rng.normal((90, 130, 60), 12, (pixels, pixels, 3))
        hand = silhouette.astype(np.uint8)
        back = (keypoints[0] - keypoints[9]) / np.linalg.norm(keypoints[0] - keypoints[9])
        arm = hand.copy()
        cv2.line(arm, np.round(keypoints[0]).astype(int).tolist(),
                 np.round(keypoints[0] + 3 * palm * back).astype(int).tolist(), 1,
                 int(0.5 * palm))
        skin = rng.normal((120, 150, 205), 8, (pixels, pixels, 3))
        image = np.where(arm[..., None] > 0, skin, image).clip(0, 255).astype(np.uint8)
        return PaintedHand(image, silhouette, keypoints, points - points.mean(0), pose, camera)

    return make


@pytest.fixture
def photo_folder(tmp_path, paint):
    """A folder of painted photos: a right hand, its mirror image, none, and two hands."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    right = paint(0)

    def label(hand, mirrored=False, offset=0):
        pixels, metres = hand.keypoints.copy(), hand.keypoints_m.copy()
        if mirrored:
            pixels[:, 0] = hand.image.shape[1] - 1 - pixels[:, 0]
            metres[:, 0] *= -1
        return {'side': 'left' if mirrored else 'right', 'side_score': 0.9,
                'keypoints_px': (pixels + [offset, 0]).tolist(), 'keypoints_m': metres.tolist()}

    other = paint(1, bend=0.5)
    flipped = np.ascontiguousarray(right.image[:, ::-1])
    lines = [
        ('first', 'first/a.png', 'train', right.image, [label(right)]),
        ('first', 'first/b.png', 'val', flipped, [label(right, True)]),
        ('second', 'second/c.png', 'train', np.zeros((50, 60, 3), np.uint8), []),
        ('second', 'second/d.png', 'train', np.hstack([right.image, other.image]),
         [label(right), label(other, offset=right.image.shape[1])]),
    ]
    with (folder / 'labels.jsonl').open('w') as file:
        for name, path, split, image, hands in lines:
            (folder / path).parent.mkdir(exist_ok=True)
            cv2.imwrite(str(folder / path), image)
            file.write(json.dumps({
                'set': name, 'file': path, 'width': image.shape[1], 'height': image.shape[0],
                'split': split, 'licence': 'none', 'hands': hands}) + '\n')
    return folder
