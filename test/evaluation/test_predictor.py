"""The axes that predicted hands are in."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hiu_ros.data.sample import Sample
from hiu_ros.evaluation import labelled
from hiu_ros.evaluation.predictor import CropPredictor, PipelinePredictor
from hiu_ros.geometry.camera import Camera
from hiu_ros.geometry.placement import crop_to_camera
from hiu_ros.hand.model import HandModel, load_template
from hiu_ros.perception.reading import Reading
from hiu_ros.perception.result import Hands
from hiu_ros.perception.wrist_frame import wrist_rotation

K = np.array([[600.0, 0, 319.5], [0, 600.0, 239.5], [0, 0, 1]])
CAMERA = Camera(600.0, 600.0, 319.5, 239.5, 640, 480)
IMAGE = np.zeros((480, 640, 3), np.uint8)
ROTATIONS = Rotation.from_rotvec([[0.3, 0.2, 1.5], *[[0, 0, 0.2]] * 15]).as_matrix()


def true_sample(side, place):
    """A hand with the wrist at `place` (m) as a labelled sample."""
    template = load_template('fast')
    model = HandModel(template if side == 'right' else template.mirrored())
    points = model(torch.tensor(ROTATIONS[None]).float(), torch.zeros(1, 10)).keypoints[0].numpy()
    points = points + np.asarray(place)
    return Sample('a', IMAGE, side=side, camera=K, keypoints_m=points,
                  keypoints_px=CAMERA.project(points))


class PerfectEstimator:
    """Reads off the true hand what a network without an error sees in a crop."""

    resolution = 64

    def __init__(self, sample):
        self.sample = sample

    def look(self, regions):
        readings = []
        for region in regions:
            rotations = ROTATIONS.copy()
            ray = CAMERA.rays(region.crop.centre)
            rotations[0] = crop_to_camera(ray, region.crop.angle).T @ rotations[0]
            readings.append(Reading(
                region.crop, self.sample.side, self.sample.keypoints_px, np.ones(21),
                np.zeros((64, 64), np.float32), rotations, np.zeros(10), 1.0, 0.0, 5.0))
        return readings


def perfect_predictor(sample):
    predictor = CropPredictor(SimpleNamespace(config=SimpleNamespace(input_size=64)))
    predictor.estimator = PerfectEstimator(sample)
    return predictor


@pytest.mark.parametrize('side', ['right', 'left'])
@pytest.mark.parametrize('place', [(0.0, 0.0, 0.6), (0.15, 0.1, 0.6), (-0.25, 0.0, 0.6)])
def test_a_perfect_network_has_no_error_off_the_axis(side, place):
    sample = true_sample(side, place)
    figures = labelled.evaluate([sample], perfect_predictor(sample), quiet=True)
    assert figures['root_mpjpe'] < 0.01 and figures['pa_mpjpe'] < 0.01


def test_pose_and_mesh_turn_with_the_joints_and_stay_without_a_camera():
    sample = true_sample('right', (0.25, 0.1, 0.6))
    predict = perfect_predictor(sample)
    seen, = predict([IMAGE], [sample.joint_box()], [CAMERA])
    bare, = predict([IMAGE], [sample.joint_box()])
    assert np.allclose(seen.wrist_rotation, wrist_rotation(seen.keypoints_m, 'right'))
    assert np.allclose(Rotation.from_rotvec(seen.pose[:3]).as_matrix(), ROTATIONS[0], atol=1e-5)
    turn = seen.wrist_rotation @ bare.wrist_rotation.T
    off_axis = np.degrees(Rotation.from_matrix(turn).magnitude())
    assert 15 < off_axis < 35
    assert np.allclose(bare.vertices_m @ turn.T, seen.vertices_m, atol=1e-5)
    assert (seen.pose[3:] == bare.pose[3:]).all()


def test_the_pipeline_is_given_the_camera_of_each_image():
    frames = []

    class Stub:
        def process_many(self, given):
            frames.extend(given)
            return [Hands(640, 480, (hand,))] * len(given)

    sample = true_sample('right', (0.0, 0.0, 0.6))
    hand, = perfect_predictor(sample)([IMAGE], [sample.joint_box()])
    predictor = PipelinePredictor.__new__(PipelinePredictor)
    predictor.pipeline = Stub()
    box = sample.joint_box()
    assert predictor([IMAGE] * 2, [box] * 2, [CAMERA, None]) == [hand] * 2
    predictor([IMAGE], [box])
    assert [frame.camera for frame in frames] == [CAMERA, None, None]
    assert all(frame.boxes == [box] for frame in frames)
