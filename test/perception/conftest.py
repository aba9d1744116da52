"""A stage for the pipeline: hands whose truth is known, and a network that reads it off.

Images carry coordinates in their pixels (blue: x, green: y, red: number of the scene), so the
stand-in for the network recovers from a crop alone, mirrored or not, where it was cut out, and
answers what a perfect network would.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.camera import Camera
from hiu_ros.geometry.outline_fit import silhouette
from hiu_ros.geometry.placement import rotation_to_ray
from hiu_ros.hand.model import HandModel, load_template
from hiu_ros.network.readout import CropReading
from hiu_ros.perception.finder import Detection
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.poor_light import Corrected

WIDTH, HEIGHT = 640, 480
FLIP = np.diag([-1.0, 1.0, 1.0])
OPTIONS = PipelineOptions(device='cpu', fit_pose=False, fit_outline=False)
SINGLE = PipelineOptions(tracking=None, device='cpu')


@dataclass(eq=False)
class TrueHand:
    """A hand as it is: camera axes, metres."""

    side: str
    place: np.ndarray
    rotations: np.ndarray
    shape: np.ndarray
    label: str
    keypoints_m: np.ndarray
    vertices_m: np.ndarray
    pixels: np.ndarray
    presence: float = 0.97


class Stage:
    """Scenes of hands, their images, and a perfect network and finder for them."""

    def __init__(self, noise=0.0, resolution=64):
        self.camera = Camera(600.0, 600.0, 319.5, 239.5, WIDTH, HEIGHT)
        self.scenes = []
        self.config = SimpleNamespace(input_size=resolution)
        self.calls, self.searches, self.sureness = [], 0, 0.9
        self.noise, self.rng = noise, np.random.default_rng(0)
        template = load_template('fast')
        self.models = {'right': HandModel(template), 'left': HandModel(template.mirrored())}

    def hand(self, side='right', place=(0.0, 0.0, 0.6), turn=(0.3, 0.2, 1.5), label='', size=0.0):
        """A hand posed a little; `size` is its first shape coefficient."""
        pose = np.zeros((16, 3))
        pose[1:13, 2] = 0.2
        pose[0] = turn
        if side == 'left':
            pose = pose * [1, -1, -1]
        rotations = Rotation.from_rotvec(pose).as_matrix()
        shape = np.zeros(10)
        shape[0] = size
        out = self.models[side](torch.tensor(rotations[None], dtype=torch.float32),
                                torch.tensor(shape[None], dtype=torch.float32))
        keypoints, place = out.keypoints[0].numpy(), np.asarray(place, dtype=float)
        return TrueHand(side, place, rotations, shape, label or side, keypoints,
                        out.vertices[0].numpy(), self.camera.project(keypoints + place))

    def image(self, hands):
        """An image of a new scene."""
        self.scenes.append(list(hands))
        image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        image[..., 0] = np.rint(np.arange(WIDTH) * 255 / WIDTH)
        image[..., 1] = np.rint(np.arange(HEIGHT) * 255 / HEIGHT)[:, None]
        image[..., 2] = len(self.scenes)
        return image

    # What the pipeline sees of a network.
    def predict(self, images):
        self.calls.append(len(images))
        rows = [self._answer(crop) for crop in images.permute(0, 2, 3, 1).numpy()]
        return CropReading(*(torch.tensor(np.stack(column), dtype=torch.float32)
                             for column in zip(*rows)))

    def _answer(self, crop):
        n = len(crop)
        pixels = (crop + 1) * 127.5
        number = np.rint(pixels[..., 2].max())
        inside = (np.abs(pixels[..., 2] - number) < 0.01) & (number > 0)
        # At the image's edge pixels are mixed with what is beyond.
        inside = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        y, x = np.nonzero(inside)
        if len(y) < 50:
            return self._nothing(n)
        system = np.stack([x, y, np.ones(len(x))], axis=1)
        seen = pixels[inside][:, :2] * [WIDTH / 255, HEIGHT / 255]
        to_image = np.linalg.solve(system.T @ system, system.T @ seen).T
        scene = self.scenes[int(number) - 1]
        mirrored = np.linalg.det(to_image[:, :2]) < 0
        centre = to_image @ [(n - 1) / 2, (n - 1) / 2, 1]
        size = n * np.sqrt(abs(np.linalg.det(to_image[:, :2])))
        near = [h for h in scene if np.abs(h.pixels.mean(0) - centre).max() < 0.6 * size]
        if not near:
            return self._nothing(n)
        hand = min(near, key=lambda h: np.linalg.norm(h.pixels.mean(0) - centre))
        back = np.linalg.inv(to_image[:, :2])
        points = (hand.pixels - to_image[:, 2]) @ back.T
        points = points + self.rng.normal(0, self.noise + 1e-9, points.shape)
        rotations = hand.rotations.copy()
        rotations[0] = rotation_to_ray(self.camera.rays(centre)).T @ rotations[0]
        upright = np.diag([-1.0, 1.0]) @ back if mirrored else back
        turn = Rotation.from_euler('z', np.arctan2(upright[1, 0], upright[0, 0]))
        rotations[0] = turn.as_matrix() @ rotations[0]
        if mirrored:
            rotations = FLIP @ rotations @ FLIP
        shown_right = (hand.side == 'right') != mirrored
        mask = self._mask(hand, to_image, back, n)
        for other in scene:
            if other.place[2] < hand.place[2]:
                mask[self._mask(other, to_image, back, n) > 0] = 0
        return (points, np.full(21, 0.9), mask, mask, rotations, hand.shape, np.zeros(3),
                hand.presence, 0.95 if shown_right else 0.05, np.zeros(0))

    def _mask(self, hand, to_image, back, n):
        seen = self.camera.project(hand.vertices_m + hand.place)
        points = (seen - to_image[:, 2]) @ back.T
        faces, mirrored = self.models[hand.side].template.faces, np.linalg.det(back) < 0
        # Drawn larger: at the size of the crop, pixels that a triangle only touches would count.
        large = silhouette(4 * points + 1.5, faces, 4 * n, mirrored)
        return (cv2.resize(large, (n, n), interpolation=cv2.INTER_AREA) / 255).astype(np.float32)

    def _nothing(self, n):
        return (np.full((21, 2), n / 2) + self.rng.normal(0, n / 8, (21, 2)), np.full(21, 0.1),
                *np.zeros((2, n, n)), np.tile(np.eye(3), (16, 1, 1)), np.zeros(10), np.zeros(3),
                0.02, 0.5, np.zeros(0))

    # What the pipeline sees of a finder.
    def find(self, image):
        self.searches += 1
        found = []
        for hand in self.scenes[int(image[0, 0, 2]) - 1]:
            low, high = hand.pixels.min(0), hand.pixels.max(0)
            if (high > 0).all() and (low < [WIDTH, HEIGHT]).all():
                found.append(Detection(np.array([*low, *(high - low)]), None, 0.5,
                                       self.sureness))
        return found


@pytest.fixture
def make_stage(monkeypatch):
    # The poses of a perfect network need no correction.
    monkeypatch.setattr('hiu_ros.perception.lifting.MESH_EXCESS', 1.0)
    # Scenes are told by the colours of their images.
    monkeypatch.setattr('hiu_ros.perception.pipeline.in_good_light',
                        lambda image: Corrected(image, 0.0))
    return Stage


def pipeline(stage, options=SINGLE):
    """A pipeline that sees the stage."""
    return Pipeline(options, network=stage, finder=stage)


def follow(stage, scenes, options=OPTIONS, stamps=None, run=None):
    """Ids by the true labels of the hands, one dictionary a frame; '?' where there is no hand."""
    run = run or Pipeline(options, network=stage, finder=stage)
    seen = []
    for k, hands in enumerate(scenes):
        stamp = k / 30 if stamps is None else stamps[k]
        out = run.process(stage.image(hands), stage.camera, stamp)
        frame = {}
        for hand in out:
            away = {t.label: np.linalg.norm(t.pixels - hand.keypoints_px, axis=1).mean()
                    for t in hands}
            nearest = min(away, key=away.get, default='?')
            frame[nearest if away.get(nearest, 1e9) < 15 else '?'] = hand.id
        seen.append(frame)
    return seen


def ids(seen, label):
    return [frame[label] for frame in seen if label in frame]
