"""Where a hand is: its distance by its size, by depth and by the outline of its mask."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.camera import Camera
from hiu_ros.geometry.crop import Crop
from hiu_ros.geometry.rasteriser import rasterise
from hiu_ros.hand.size import LENGTH_RANGE, hand_length
from hiu_ros.hand.template import load_template
from hiu_ros.perception.hand_memory import HandMemory
from hiu_ros.perception.lifting import _beyond_wrist, _within
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.result import ScaleSource
from hiu_ros.perception.smoothing import Smoothing
from test.perception.conftest import SINGLE, pipeline

TRUE_LENGTH = float(hand_length(load_template('fast'), np.zeros(10)))


def test_without_a_camera_there_is_no_place_and_no_claim_of_scale(make_stage):
    stage = make_stage()
    true = stage.hand('left', (-0.1, 0.05, 0.6))
    hand, = pipeline(stage).process(stage.image([true]))
    assert hand.translation_m is None and np.isnan(hand.depth_sigma_m)
    assert hand.scale_source is ScaleSource.ASSUMED_SIZE
    assert np.abs(hand.keypoints_m - true.keypoints_m).max() < 0.02


@pytest.mark.parametrize('assumed', [0.17, 0.21])
def test_a_known_hand_length_sets_the_distance(make_stage, assumed):
    stage = make_stage()
    true = stage.hand(place=(0.05, 0.0, 0.9))
    options = replace(SINGLE, hand_length_m=assumed)
    hand, = pipeline(stage, options).process(stage.image([true]), stage.camera)
    expected = true.place[2] * assumed / TRUE_LENGTH
    assert hand.translation_m[2] == pytest.approx(expected, rel=0.03)
    assert hand_length(load_template('fast'), hand.shape) == pytest.approx(assumed, abs=1e-4)
    assert hand.residual_px < 1.0


def test_the_sigma_of_the_depth_covers_an_unknown_size(make_stage):
    stage = make_stage()
    for away in (0.4, 1.4):
        image = stage.image([stage.hand(place=(0, 0, away))])
        unknown, = pipeline(stage).process(image, stage.camera)
        known, = pipeline(stage, replace(SINGLE, hand_length_m=TRUE_LENGTH)).process(
            image, stage.camera)
        assert 0.07 < unknown.depth_sigma_m / away < 0.1
        # A length that is known to 1.5 % leaves what the joints leave open.
        assert 0.03 < known.depth_sigma_m / away < 0.05


def test_the_pose_is_brought_into_line_with_the_joints_unless_that_is_off(make_stage):
    stage = make_stage()
    true = stage.hand()
    rotations = true.rotations.copy()
    rotations[1:13] = rotations[1:13] @ Rotation.from_rotvec([0, 0, 0.25]).as_matrix()
    image = stage.image([replace(true, rotations=rotations)])
    off = []
    for fit in (True, False):
        hand, = pipeline(stage, replace(SINGLE, fit_pose=fit)).process(image, stage.camera)
        off += [np.linalg.norm(hand.keypoints_m - true.keypoints_m, axis=1).mean()]
    assert off[0] < 0.007 < 0.01 < off[1]


def depth_of(stage, hand, background=1.5):
    """Depth image (m) of a scene with one hand before a wall, and the hand's pixels."""
    import torch
    pixels = stage.camera.project(hand.vertices_m + hand.place)
    vertices = np.concatenate([pixels, (hand.vertices_m + hand.place)[:, 2:]], axis=1)
    faces = stage.models[hand.side].template.faces
    raster = rasterise(torch.tensor(vertices[None], dtype=torch.float32),
                       torch.tensor(np.asarray(faces, np.int64)), 480, 640)
    depth = raster.depth[0].numpy()
    seen = np.isfinite(depth)
    return np.where(seen, depth, background), seen


def test_depth_gives_the_distance_of_a_hand_of_unknown_size(make_stage):
    stage = make_stage()
    true = stage.hand(place=(0.05, 0.0, 1.0), size=1.2)
    told = replace_shape(true)
    depth, _ = depth_of(stage, true)
    run = pipeline(stage)
    hand, = run.process(stage.image([told]), stage.camera, depth=depth)
    assert hand.scale_source is ScaleSource.DEPTH
    assert abs(hand.translation_m[2] - 1.0) < 0.006
    assert hand.depth_sigma_m < 0.01
    length = hand_length(load_template('fast'), true.shape)
    assert hand_length(load_template('fast'), hand.shape) == pytest.approx(length, rel=0.03)
    # Joints and mesh are those of the size that was measured.
    assert np.abs(hand.keypoints_m - true.keypoints_m).max() < 0.006
    assert np.abs(hand.vertices_m - true.vertices_m).max() < 0.008
    millimetres, = run.process(
        stage.image([told]), stage.camera, depth=(depth * 1000).astype(np.uint16))
    assert np.allclose(millimetres.translation_m, hand.translation_m, atol=2e-3)


def replace_shape(hand):
    """The same hand, but the network reads a mean shape: its size is not known."""
    return type(hand)(**{**vars(hand), 'shape': np.zeros(10)})


@pytest.mark.parametrize('fault', ['holes', 'shadow', 'object', 'noise', 'garbage'])
def test_outlier_pixels_of_the_depth_do_not_move_the_hand(make_stage, fault):
    stage = make_stage()
    true = stage.hand(place=(0.0, 0.02, 1.0), size=-0.8)
    depth, seen = depth_of(stage, true)
    rng = np.random.default_rng(0)
    if fault == 'holes':
        depth = np.where(rng.random(depth.shape) < 0.5, 0.0, depth)
        depth[rng.random(depth.shape) < 0.1] = np.nan
    elif fault == 'shadow':  # the background shines over the rim of the hand
        from scipy.ndimage import binary_erosion
        depth = np.where(binary_erosion(seen, iterations=4), depth, 1.5)
    elif fault == 'object':  # a thing held before a third of the hand
        x = np.nonzero(seen)[1]
        depth[:, :int(np.quantile(x, 0.35))] = 0.93
    elif fault == 'noise':
        depth = depth + rng.normal(0, 0.006, depth.shape)
    else:
        depth = np.where(rng.random(depth.shape) < 0.35, rng.uniform(0.3, 4, depth.shape), depth)
    hand, = pipeline(stage).process(stage.image([replace_shape(true)]), stage.camera, depth=depth)
    assert hand.scale_source is ScaleSource.DEPTH
    assert abs(hand.translation_m[2] - 1.0) < 0.008


def test_a_depth_image_of_nothing_changes_nothing(make_stage):
    stage = make_stage()
    image = stage.image([stage.hand()])
    without, = pipeline(stage).process(image, stage.camera)
    with_holes, = pipeline(stage).process(image, stage.camera, depth=np.zeros((480, 640)))
    assert with_holes.scale_source is ScaleSource.CAMERA_INFO
    assert np.allclose(without.translation_m, with_holes.translation_m, atol=1e-6)


def test_a_depth_image_that_makes_a_hand_too_long_for_one_changes_nothing(make_stage):
    stage = make_stage()
    true = stage.hand()
    run = pipeline(stage, replace(SINGLE, hand_length_m=0.28))
    image = stage.image([true])
    without, = run.process(image, stage.camera)
    far = np.full((480, 640), 1.3 * without.translation_m[2])
    hand, = run.process(image, stage.camera, depth=far)
    assert hand.scale_source is ScaleSource.CAMERA_INFO
    assert np.allclose(without.translation_m, hand.translation_m, atol=1e-6)


def test_a_length_measured_by_depth_is_kept_when_depth_drops_out(make_stage):
    stage = make_stage()
    true = stage.hand(place=(0.0, 0.0, 0.8), size=1.5)
    told, (depth, _) = replace_shape(true), depth_of(stage, true)
    doubts = []
    for count in (1, 8):
        run = pipeline(stage, PipelineOptions(device='cpu'))
        for k in range(count):
            measured, = run.process(stage.image([told]), stage.camera, k / 30, depth)
        blind, = run.process(stage.image([told]), stage.camera, count / 30)
        assert measured.scale_source is ScaleSource.DEPTH
        assert blind.scale_source is ScaleSource.CAMERA_INFO
        assert blind.translation_m[2] == pytest.approx(0.8, rel=0.03)
        doubts += [blind.depth_sigma_m]
    # The more often it was measured the less it is doubted.
    assert doubts[1] < min(0.04, 0.8 * doubts[0])


def test_the_size_of_a_hand_does_not_flicker_with_its_depth(make_stage):
    stage = make_stage()
    true = stage.hand(place=(0.0, 0.0, 0.8))
    depth, _ = depth_of(stage, true)
    run, lengths = pipeline(stage, PipelineOptions(device='cpu')), []
    for k in range(20):
        hand, = run.process(
            stage.image([true]), stage.camera, k / 30, depth * (1 + 0.03 * (k % 2)))
        lengths += [hand_length(load_template('fast'), hand.shape)]
    assert np.ptp(lengths[-6:]) < 0.005 * TRUE_LENGTH


def test_what_is_known_of_a_hand_is_a_mean_that_forgets_frames_long_past():
    memory, one = HandMemory(), np.ones(10)
    assert memory.length is None
    assert np.allclose(memory.see_shape(one, 0.9), 1)
    assert np.allclose(memory.see_shape(3 * one, 0.3), 1.5)
    for length in (0.16, 0.25):
        memory.see_length(length)
    assert memory.length == pytest.approx(0.2)  # geometric
    for k in range(400):
        shape = memory.see_shape(one if k < 340 else 2 * one, 0.9)
        memory.see_length(0.1 if k < 370 else 0.2)
    assert np.allclose(shape, 1.6, atol=0.05) and memory.length == pytest.approx(0.155, abs=0.01)


@pytest.mark.parametrize('size', [-20.0, 20.0])
def test_a_shape_that_is_no_hand_has_the_length_of_one(make_stage, size):
    stage = make_stage()
    odd = replace(stage.hand(), shape=np.full(10, size))
    hand, = pipeline(stage).process(stage.image([odd]), stage.camera)
    low, high = LENGTH_RANGE
    assert low - 1e-4 < hand_length(load_template('fast'), hand.shape) < high + 1e-4


def test_a_hand_where_the_lens_shows_nothing_has_no_place(make_stage):
    stage = make_stage()
    true = stage.hand(place=(0.2, 0.1, 0.6))
    bent = Camera(600.0, 600.0, 319.5, 239.5, 640, 480, 'plumb_bob', (-4.0, 0, 0, 0))
    assert np.isnan(bent.rays(true.pixels)).all()
    hand, = pipeline(stage).process(stage.image([true]), bent)
    assert hand.translation_m is None and hand.scale_source is ScaleSource.ASSUMED_SIZE
    assert np.isnan(hand.residual_px) and np.allclose(hand.keypoints_px, true.pixels, atol=1.2)
    # Smoothing goes on behind such a frame.
    run = pipeline(stage, PipelineOptions(device='cpu', smoothing=Smoothing.usual()))
    for k, camera in enumerate([stage.camera, bent, stage.camera]):
        hand, = run.process(stage.image([true]), camera, k / 30)
    assert np.allclose(hand.translation_m, true.place, atol=0.02)


def test_depth_without_a_camera_teaches_no_length(make_stage):
    stage = make_stage()
    true = stage.hand(place=(0.0, 0.0, 0.8), size=1.5)
    told, (depth, _) = replace_shape(true), depth_of(stage, true)
    places = []
    for shown in (depth, None):
        run = pipeline(stage, PipelineOptions(device='cpu'))
        for k in range(3):
            hand, = run.process(stage.image([told]), None, k / 30, shown)
            assert hand.translation_m is None and hand.scale_source is ScaleSource.ASSUMED_SIZE
        places += [run.process(stage.image([told]), stage.camera, 0.1).hands[0].translation_m]
    assert np.allclose(*places, atol=1e-4)


@pytest.mark.parametrize('place, error', [((0.05, 0.0, 0.6), 0.004), ((0.0, 0.22, 0.6), 0.012)],
                         ids=['whole', 'cut'])
def test_the_outline_corrects_the_distance_of_joints_read_too_far_apart(make_stage, place, error):
    stage = make_stage()
    true, middle = stage.hand(place=place), stage.hand(place=place).pixels.mean(0)
    wide = type(true)(**{**vars(true), 'pixels': middle + 1.05 * (true.pixels - middle)})
    options = replace(SINGLE, hand_length_m=TRUE_LENGTH)
    with_outline, without = (
        pipeline(stage, replace(options, fit_outline=fit)).process(
            stage.image([wide]), stage.camera).hands[0].translation_m[2] for fit in (True, False))
    assert abs(without - 0.6) > 0.02 and abs(with_outline - 0.6) < error


def test_the_outline_moves_a_hand_whose_joints_are_read_beside_it(make_stage, monkeypatch):
    stage = make_stage()
    true = stage.hand(place=(0.0, 0.0, 0.6))
    image = stage.image([replace(true, pixels=true.pixels + [8, -8])])
    options = replace(SINGLE, hand_length_m=TRUE_LENGTH)
    beside, = pipeline(stage, replace(options, fit_outline=False)).process(image, stage.camera)
    put, = pipeline(stage, options).process(image, stage.camera)
    assert (np.abs(beside.translation_m[:2]) > 0.006).all()
    assert (np.abs(put.translation_m[:2]) < 0.003).all()
    # What is known to come out too large is put nearer.
    monkeypatch.setattr('hiu_ros.perception.lifting.MESH_EXCESS', 1.1)
    near, = pipeline(stage, options).process(image, stage.camera)
    assert near.translation_m[2] == pytest.approx(put.translation_m[2] / 1.1, rel=0.01)


def test_an_arm_in_the_mask_does_not_move_a_hand(make_stage):
    stage = make_stage()
    perfect, true = stage.predict, stage.hand(place=(0.0, 0.0, 0.6))
    rows, columns = np.mgrid[:64, :64]

    def predict(images):
        reading = perfect(images)
        for mask, joints in zip(reading.mask.numpy(), reading.keypoints_px.numpy()):
            (x, y), (across, up) = joints[0], joints[9] - joints[0]
            along = (columns - x) * across + (rows - y) * up
            beside = (columns - x) * up - (rows - y) * across
            mask[(along < 0) & (np.abs(beside) < 0.4 * (across ** 2 + up ** 2))] = 1
        return reading

    run, places = pipeline(stage, replace(SINGLE, hand_length_m=TRUE_LENGTH)), []
    for stage.predict in (perfect, predict):
        places += [run.process(stage.image([true]), stage.camera).hands[0].translation_m]
    assert np.allclose(*places, atol=1e-5)


def test_what_a_mask_says_beyond_the_image_does_not_move_a_hand(make_stage):
    stage = make_stage()
    perfect, true = stage.predict, stage.hand(place=(0.3, 0.0, 0.6))
    run = pipeline(stage, replace(SINGLE, hand_length_m=TRUE_LENGTH, refine_passes=0))
    places = []
    for beyond in (0.0, 1.0):
        def predict(images, beyond=beyond):
            reading = perfect(images)
            black = images[:, 2] < -0.997  # the stage's images are nowhere black
            return reading._replace(mask=reading.mask.masked_fill(black, beyond))
        stage.predict = predict
        places += [run.process(stage.image([true]), stage.camera).hands[0].translation_m]
    assert np.allclose(*places, atol=1e-3) and abs(places[0][2] - 0.6) < 0.012


@pytest.mark.parametrize('mirrored', [False, True])
def test_the_outline_counts_inside_the_image_and_on_the_hands_side_of_the_wrist(mirrored):
    crop = Crop((20.0, 450.0), 200.0, 0.5, mirrored, 64)
    rows, columns = np.mgrid[:64, :64]
    x, y = np.moveaxis(crop.to_image(np.stack([columns, rows], axis=-1)), -1, 0)
    edge = 1.5 * 200 / 64
    inside = (x > edge) & (y > edge) & (x < 639 - edge) & (y < 479 - edge)
    assert 0.2 < inside.mean() < 0.8 and np.array_equal(_within(crop, 640, 480), inside)

    joints = np.zeros((21, 2))
    joints[0], joints[9], joints[12] = (10, 50), (30, 40), (60, 20)
    along = (columns - 10) * 20 - (rows - 50) * 10
    assert np.array_equal(_beyond_wrist(joints, 64), along > 50)
    joints[9] = joints[0] + 1
    assert _beyond_wrist(joints, 64).all()


def test_the_residual_is_the_distance_of_the_projected_joints_from_those_that_were_read(
    make_stage
):
    stage = make_stage(noise=2.0)
    hand, = pipeline(stage).process(stage.image([stage.hand()]), stage.camera)
    joints = stage.camera.project(hand.keypoints_m + hand.translation_m)
    away = np.linalg.norm(joints - hand.keypoints_px, axis=1)
    assert 0.5 < away.mean() and hand.residual_px == pytest.approx(away.mean(), rel=1e-3)


def test_joints_beyond_the_image_have_a_place_but_are_not_seen(make_stage):
    stage = make_stage()
    true = stage.hand(place=(0.3, 0.0, 0.6))
    hand, = pipeline(stage).process(stage.image([true]), stage.camera)
    x, y = hand.keypoints_px.T
    inside = (x > -0.5) & (x < 639.5) & (y > -0.5) & (y < 479.5)
    assert 3 < inside.sum() < 18 and (hand.keypoint_scores > 0.5).all()
    assert np.array_equal(hand.keypoints_valid, inside)
    assert np.isfinite(hand.keypoints_px).all() and np.isfinite(hand.keypoints_m).all()
