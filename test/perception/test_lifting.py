"""From one reading to a hand, without a network or a pipeline."""

from dataclasses import replace

import numpy as np
import pytest

from hiu_ros.geometry.crop import Crop
from hiu_ros.geometry.depth_surface import DepthEvidence
from hiu_ros.geometry.outline_fit import OutlineFit
from hiu_ros.geometry.placement import crop_to_camera
from hiu_ros.hand.template import load_template
from hiu_ros.network import checkpoint
from hiu_ros.network.config import HIU_LITE
from hiu_ros.network.hiu import HIU
from hiu_ros.perception.hand_memory import HandMemory
from hiu_ros.perception.lifting import Lifter, Sighting
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.reading import Reading
from hiu_ros.perception.result import ScaleSource
from hiu_ros.perception.smoothing import HandSmoother, OneEuro, Smoothing
from test.perception.conftest import SINGLE, pipeline


def sighting(stage, hand, stamp=0.0, memory=None, **changes):
    """A perfect reading of a hand, with some of its values changed."""
    crop = Crop(tuple(hand.pixels.mean(0)), 250.0, resolution=64)
    rotations = hand.rotations.copy()
    rotations[0] = crop_to_camera(stage.camera.rays(np.array(crop.centre)), 0.0).T @ rotations[0]
    reading = Reading(
        crop, hand.side, hand.pixels, np.full(21, 0.9), np.zeros((64, 64), np.float32),
        rotations, hand.shape, presence=0.97, clarity=0.9, right=3.0)
    return Sighting(
        'a', hand.side, 0.95, 0.9, replace(reading, **changes), memory or HandMemory(),
        np.full((480, 640, 3), 90, np.uint8), stamp, stage.camera)


def lift(*sightings, **options):
    return Lifter(load_template('fast'), PipelineOptions(device='cpu', **options)).lift(sightings)


def test_a_perfect_reading_is_the_hand_itself_and_is_not_changed(make_stage):
    stage = make_stage()
    true = stage.hand(place=(0.15, -0.05, 0.6))
    seen = sighting(stage, true)
    first, = lift(seen)
    again, = lift(replace(seen, memory=HandMemory()))
    assert np.allclose(first.translation_m, true.place, atol=2e-3)
    assert np.abs(first.keypoints_m - true.keypoints_m).max() < 2e-3
    assert np.array_equal(first.translation_m, again.translation_m)
    assert np.array_equal(first.pose, again.pose)


@pytest.mark.parametrize('side', ['left', 'right'])
def test_a_mesh_of_another_hand_model_has_the_bones_that_were_seen(make_stage, side):
    """Its first two shapes are ours the other way round."""
    ours, order = load_template('fast'), [1, 0, *range(2, 10)]
    other = replace(ours, name='MANO_RIGHT', **{
        name: -getattr(ours, name)[order] for name in ('shapedirs', 'joint_dirs', 'tip_dirs')})
    stage = make_stage()
    seen = sighting(stage, stage.hand(side, place=(0.1, 0.0, 0.6), size=1.5))
    options = PipelineOptions(device='cpu')
    (true,), (hand,), (wrong,) = (lifter.lift([replace(seen, memory=HandMemory())]) for lifter in (
        Lifter(ours, options), Lifter(other, options, ours), Lifter(other, options)))
    assert np.abs(hand.keypoints_m - true.keypoints_m).max() < 2e-3
    assert np.abs(hand.vertices_m - true.vertices_m).max() < 4e-3
    assert abs(hand.translation_m[2] - true.translation_m[2]) < 0.01
    assert abs(wrong.translation_m[2] - true.translation_m[2]) > 0.03


def test_hands_are_lifted_in_their_order_and_none_to_none(make_stage):
    stage = make_stage()
    assert lift() == []
    hands = [stage.hand('left', (-0.1, 0, 0.7)), stage.hand('right', (0.1, 0, 0.5))]
    together = lift(*(sighting(stage, hand) for hand in hands))
    for hand, found in zip(hands, together):
        alone, = lift(sighting(stage, hand))
        assert found.side == hand.side
        assert np.allclose(found.translation_m, alone.translation_m, atol=1e-6)
        assert np.allclose(found.vertices_m, alone.vertices_m, atol=1e-6)


def test_joints_that_are_hardly_seen_hardly_move_the_hand(make_stage):
    stage = make_stage()
    true = stage.hand()
    pixels, scores = true.pixels.copy(), np.full(21, 0.9)
    pixels[[3, 4, 8, 20]] += [12, 5]
    scores[[3, 4, 8, 20]] = 0.1
    off = [np.linalg.norm(hand.translation_m - true.place) for hand in lift(
        sighting(stage, true, keypoints_px=pixels, keypoint_scores=scores),
        sighting(stage, true, keypoints_px=pixels), fit_pose=False)]
    assert off[0] < 0.1 * off[1]


def test_a_pose_that_may_be_wrong_leaves_more_doubt_of_the_distance(make_stage):
    stage = make_stage()
    true = stage.hand()
    sure, doubted = (lift(sighting(stage, true), fit_pose=fit, hand_length_m=0.19)[0].depth_sigma_m
                     for fit in (False, True))
    assert sure < 0.97 * doubted < 1.5 * sure


@pytest.mark.parametrize('x, y, inside', [
    (-0.4, 100, True), (-0.6, 100, False), (639.4, 100, True), (639.6, 100, False),
    (100, -0.4, True), (100, -0.6, False), (100, 479.4, True), (100, 479.6, False),
])
def test_a_joint_is_valid_on_the_pixels_of_the_image(make_stage, x, y, inside):
    stage = make_stage()
    true = stage.hand()
    pixels = true.pixels.copy()
    pixels[20] = x, y
    hand, = lift(sighting(stage, true, keypoints_px=pixels))
    assert hand.keypoints_valid[:20].all() and hand.keypoints_valid[20] == inside


def test_the_box_holds_the_joints_and_the_mask(make_stage):
    stage = make_stage()
    true = stage.hand()
    empty, = lift(sighting(stage, true))
    assert np.allclose(empty.box, [*true.pixels.min(0), *np.ptp(true.pixels, axis=0)], atol=1e-3)
    full, = lift(sighting(stage, true, mask=np.ones((64, 64), np.float32)))
    edge = full.box[2:] - full.mask.shape[::-1]
    assert np.allclose(full.box[:2], np.array(full.mask_origin) - 0.5) and np.allclose(edge, 0)
    assert (full.box[2:] > 230).all()


def test_the_box_of_a_hand_without_a_mask_is_that_of_its_joints(make_stage):
    stage = make_stage()
    true = stage.hand()
    beside = true.pixels + [700.0, 0.0]
    hand, = lift(sighting(stage, true, keypoints_px=beside, crop=Crop((1020.0, 240.0), 250.0)))
    assert np.allclose(hand.box, [*beside.min(0), *np.ptp(beside, axis=0)], atol=1e-3)


def test_place_pose_and_joints_of_a_followed_hand_are_smoothed_if_asked_for(make_stage):
    stage, slow = make_stage(), OneEuro(1.0, 0.0)
    hands = [stage.hand(place=(0, 0, 0.6)), stage.hand(place=(0.03, 0.02, 0.66), turn=(0.3, 0, 1))]
    memory = HandMemory(smoother=HandSmoother(Smoothing(slow, slow, slow, slow)))
    smooth = [lift(sighting(stage, hand, k / 30, memory))[0] for k, hand in enumerate(hands)]
    raw = [lift(sighting(stage, hand))[0] for hand in hands]
    for name in ('translation_m', 'pose', 'keypoints_px'):
        moved = np.linalg.norm(getattr(smooth[1], name) - getattr(raw[0], name))
        assert 0.05 < moved / np.linalg.norm(getattr(raw[1], name) - getattr(raw[0], name)) < 0.4


@pytest.mark.parametrize('length, shares', [
    (0.28, [0.3]), (0.28, [0.03, 0.2]), (0.1, [-0.4]), (0.1, [-0.05, -0.4])])
def test_depth_that_leads_to_no_hand_leaves_it_where_it_was(
    make_stage, monkeypatch, length, shares
):
    stage = make_stage()
    image, told = stage.image([stage.hand()]), iter(shares)
    run = pipeline(stage, replace(SINGLE, hand_length_m=length))
    without, = run.process(image, stage.camera)
    monkeypatch.setattr(
        'hiu_ros.perception.lifting.depth_behind_mesh', lambda vertices, *_: DepthEvidence(
            next(told) * vertices[:, 2].mean(), sigma=0.003, pixels=900, share=1.0))
    hand, = run.process(image, stage.camera, depth=np.ones((480, 640)))
    assert not list(told) and hand.scale_source is ScaleSource.CAMERA_INFO
    for name in ('translation_m', 'shape', 'vertices_m'):
        assert np.array_equal(getattr(hand, name), getattr(without, name))


def test_an_outline_never_moves_a_wrist_behind_the_camera(make_stage, monkeypatch):
    stage = make_stage()
    # The fingers of a hand at the lens point away: its middle is four times as far as its wrist.
    true = stage.hand(place=(0.0, 0.0, 0.03), turn=(0.0, np.pi / 2, 0.0))
    fits = iter([1.6, 1.2])
    monkeypatch.setattr('hiu_ros.perception.lifting.fit_outline', lambda mask, *_: OutlineFit(
        next(fits), np.zeros(2), np.array([31.5, 31.5]), share=1.0))
    memory = HandMemory(smoother=HandSmoother(Smoothing.usual()))
    behind, before = (lift(sighting(stage, true, memory=memory))[0] for _ in range(2))
    assert not list(fits)
    assert behind.translation_m[2] == pytest.approx(0.03, abs=0.002)
    assert 0.0 < before.translation_m[2] < 0.025


@pytest.mark.parametrize('learned, template, told', [
    ('hand_right_fast', 'MANO_RIGHT', True), ('hand_right_render', 'mine', True),
    ('MANO_RIGHT', 'MANO_RIGHT', False), ('hand_right_fast', 'hand_right_render', False),
    (None, 'MANO_RIGHT', False),
])
def test_shapes_are_carried_over_where_weights_learned_the_shipped_hand_and_meshes_are_of_another(
        tmp_path, monkeypatch, learned, template, told):
    checkpoint.save(tmp_path / 'w.safetensors', HIU(HIU_LITE), learned and {'hand': learned})
    seen = []
    monkeypatch.setattr('hiu_ros.perception.pipeline.Lifter',
                        lambda template, options, learned: seen.append(learned))
    Pipeline(replace(SINGLE, weights=tmp_path / 'w.safetensors', regions='boxes'),
             template=replace(load_template('fast'), name=template))
    assert seen == [load_template('fast') if told else None]
