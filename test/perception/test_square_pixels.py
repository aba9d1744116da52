"""Images of cameras whose pixels are not square."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hiu_ros.geometry.camera import Camera
from hiu_ros.perception.frame import Frame
from hiu_ros.perception.masks import full_mask
from hiu_ros.perception.options import TrackingOptions
from hiu_ros.perception.square_pixels import squared_back, squared_frame
from test.perception.conftest import SINGLE, pipeline

SIZES = [(400, 480), (640, 320)]


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('given', ['finder', 'boxes'])
def test_a_hand_is_as_in_the_same_picture_with_square_pixels(make_stage, size, given):
    stage = make_stage()
    image = stage.image([stage.hand('left', (0.05, 0.02, 0.6))])
    depth = np.full((480, 640), 600, np.uint16)
    options = replace(SINGLE, regions=given)
    box = [] if given == 'finder' else [[300, 150, 160, 200]]
    scale = np.array(size) / (640, 480)
    boxes = [[*((np.array(b[:2]) + 0.5) * scale - 0.5), *(b[2:] * scale)] for b in box] or None
    plain, = pipeline(stage, options).process(image, stage.camera, depth=depth, boxes=box or None)
    flat = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    hand, = pipeline(stage, options).process(
        flat, stage.camera.scaled_to(*size), depth=cv2.resize(depth, size), boxes=boxes)
    assert hand.side == plain.side == 'left'
    back = (hand.keypoints_px + 0.5) / scale - 0.5
    assert np.abs(back - plain.keypoints_px).max() < 1
    assert np.allclose(hand.translation_m, plain.translation_m, atol=2e-3)
    assert np.abs(hand.keypoints_m - plain.keypoints_m).max() < 2e-3
    box = [*(hand.box[:2] + 0.5) / scale - 0.5, *(hand.box[2:] / scale)]
    assert np.abs(box - plain.box).max() < 2.5
    mask = cv2.resize(full_mask(hand.mask, hand.mask_origin, *size), (640, 480))
    there, seen = full_mask(plain.mask, plain.mask_origin, 640, 480) > 0, mask > 127
    assert (there & seen).sum() > 0.94 * (there | seen).sum()


def test_hands_are_followed_and_the_result_has_the_size_of_the_image(make_stage):
    stage = make_stage()
    run = pipeline(stage, replace(SINGLE, tracking=TrackingOptions()))
    for k in range(3):
        image = cv2.resize(stage.image([stage.hand('right', (0.01 * k, 0.0, 0.6))]), (400, 480))
        hands = run.process(image, stage.camera.scaled_to(400, 480), k / 30)
        assert (hands.width, hands.height) == (400, 480)
        assert [hand.id for hand in hands] == ['right_1']


@pytest.mark.parametrize('fx, fy', [(600, 600), (600, 620), (600, 250), (600, 1210)])
def test_what_is_square_or_cannot_be_believed_is_left_as_it_is(fx, fy):
    frame = Frame(np.zeros((48, 64, 3), np.uint8), Camera(fx, fy, 31.5, 23.5, 64, 48))
    assert squared_frame(frame) is frame
    bare = replace(frame, camera=None)
    assert squared_frame(bare) is bare


def test_depth_of_any_kind_keeps_its_values_and_its_place():
    depth = np.arange(12.0).reshape(3, 4)
    image = np.zeros((3, 4, 3), np.uint8)
    camera = Camera(5.0, 10.0, 1.5, 1.0, 4, 3)
    for kind in ('<u2', '<f2', '>f4', '<f8'):
        frame = squared_frame(Frame(image, camera, depth=depth.astype(kind)))
        assert frame.image.shape == (3, 8, 3)
        assert np.array_equal(frame.depth, np.repeat(depth, 2, axis=1))
        assert np.isclose(frame.camera.fx, frame.camera.fy)


def test_a_mask_at_the_edge_or_without_the_hand_comes_back_within_the_image(make_stage):
    stage = make_stage()
    hand, = pipeline(stage).process(stage.image([stage.hand()]), stage.camera)
    for mask, origin in ((np.full((30, 51), 255, np.uint8), (589, 450)),
                         (np.zeros((1, 1), np.uint8), (639, 479))):
        hands = pipeline(stage).process(stage.image([]), stage.camera)
        hands = replace(hands, hands=(replace(hand, mask=mask, mask_origin=origin),))
        back, = squared_back(hands, 400, 480)
        height, width = back.mask.shape
        left, top = back.mask_origin
        assert left + width <= 400 and top + height <= 480
        assert height > 0 and width > 0
        assert (back.mask > 0).sum() == pytest.approx((mask > 0).sum() * 400 / 640, rel=0.05)
