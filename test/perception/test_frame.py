"""Frames that a pipeline refuses, and what it does then."""

import numpy as np
import pytest
import torch

from hiu_ros.geometry.camera import CameraError
from hiu_ros.perception.options import PipelineOptions
from test.perception.conftest import pipeline


@pytest.mark.parametrize('change, message', [
    ({'image': np.zeros((4, 4), np.uint8)}, 'H, W, 3'),
    ({'image': np.zeros((4, 4, 3))}, 'uint8'),
    ({'image': np.zeros((0, 4, 3), np.uint8)}, 'not empty'),
    ({'image': torch.zeros(480, 640, 3, dtype=torch.uint8)}, 'NumPy array.*got Tensor'),
    ({'depth': np.zeros((10, 10))}, 'registered'),
    ({'depth': torch.zeros(480, 640)}, 'NumPy array.*got Tensor'),
    ({'camera': [600, 0, 320, 0, 600, 240, 0, 0, 1]}, 'intrinsics of camera .front..*got list'),
    ({'depth': np.zeros((480, 640), np.int32)}, 'uint16'),
    ({'boxes': [[0, 0, 5]]}, 'box'),
    ({'boxes': [[0, 0, 5, float('nan')]]}, 'box'),
    ({'boxes': [[0, 0, 5, 0]]}, 'box'),
    ({'boxes': [['a', 0, 5, 5]]}, 'box'),
    ({'boxes': (box for box in [[0, 0, 5, 5]])}, 'must be a list.*got generator'),
    ({'stamp': float('nan')}, 'stamp of camera .front. must be finite'),
    ({'stamp': float('inf')}, 'stamp'),
    ({'stamp': '5'}, "stamp.*got '5'"),
])
def test_frames_that_cannot_be_processed_are_refused(make_stage, change, message):
    stage = make_stage()
    frame = {'image': stage.image([]), 'key': 'front', **change}
    with pytest.raises(ValueError, match=message):
        pipeline(stage).process(**frame)


def test_a_refused_frame_changes_nothing_for_those_that_follow(make_stage):
    stage = make_stage()
    run = pipeline(stage, PipelineOptions(device='cpu'))
    names = []
    for stamp in (0.0, 0.03, float('nan'), float('inf'), 0.1, 0.13):
        image = stage.image([stage.hand()])
        if np.isfinite(stamp):
            names += [[hand.id for hand in run.process(image, stage.camera, stamp)]]
        else:
            with pytest.raises(ValueError, match='stamp'):
                run.process(image, stage.camera, stamp)
    assert names == [['right_1']] * 4


def test_camera_of_another_image_size_is_refused(make_stage):
    stage = make_stage()
    with pytest.raises(CameraError, match='640 x 480'):
        pipeline(stage).process(np.zeros((240, 320, 3), np.uint8), stage.camera)
