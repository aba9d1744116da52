import gc
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hiu_ros.geometry.camera import CameraError
from hiu_ros.geometry.crop import Crop
from hiu_ros.geometry.rasteriser import rasterise
from hiu_ros.hand.size import hand_length
from hiu_ros.hand.template import load_template
from hiu_ros.perception.finder import HandFinder
from hiu_ros.perception.frame import Frame
from hiu_ros.perception.lifting import _beyond_wrist, _within
from hiu_ros.perception.masks import full_mask
from hiu_ros.perception.options import PipelineOptions, TrackingOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.result import ScaleSource
from hiu_ros.perception.smoothing import Smoothing

SINGLE = PipelineOptions(tracking=None, device='cpu')
TRUE_LENGTH = float(hand_length(load_template('fast'), np.zeros(10)))


def pipeline(stage, options=SINGLE):
    return Pipeline(options, network=stage, finder=stage)


def box_of(hand, grow=1.0):
    low, high = hand.pixels.min(0), hand.pixels.max(0)
    middle, size = (low + high) / 2, (high - low) * grow
    return [*(middle - size / 2), *size]


def two_hands(stage):
    return [stage.hand('right', (0.12, 0.02, 0.6)),
            stage.hand('left', (-0.15, -0.05, 0.8), turn=(0.1, 0.5, 1.2))]


def test_a_hand_comes_back_as_it_was_put_in(make_stage):
    stage = make_stage()
    truth = two_hands(stage)
    hands = pipeline(stage).process(stage.image(truth), stage.camera)
    assert {hand.id for hand in hands} == {'left_1', 'right_1'}
    for true in truth:
        hand = next(hand for hand in hands if hand.side == true.side)
        assert np.allclose(hand.keypoints_px, true.pixels, atol=1.2)
        assert np.allclose(hand.translation_m, true.place, atol=0.012)
        assert np.allclose(hand.keypoints_m, true.keypoints_m, atol=0.004)
        assert np.allclose(hand.vertices_m, true.vertices_m, atol=0.005)
        assert hand.scale_source is ScaleSource.CAMERA_INFO
        assert hand.residual_px < 1.2 and hand.side_score > 0.9
        low, high = true.pixels.min(0), true.pixels.max(0)
        assert (hand.box[:2] < low + 1).all() and (hand.box[:2] + hand.box[2:] > high - 1).all()
        assert np.allclose(hand.box, [*low, *(high - low)], atol=30)


@pytest.mark.parametrize('grow', [0.8, 1.0, 1.8])
def test_boxes_may_be_tight_or_loose(make_stage, grow):
    stage = make_stage()
    truth = two_hands(stage)
    boxes = [box_of(hand, grow) for hand in truth]
    hands = pipeline(stage).process(stage.image(truth), stage.camera, boxes=boxes)
    assert [hand.side for hand in hands] == ['right', 'left']
    assert stage.searches == 0
    for hand, true in zip(hands, truth):
        assert np.allclose(hand.keypoints_px, true.pixels, atol=1.2)


def test_a_doubtful_find_begins_a_followed_hand_but_shows_none(make_stage):
    stage = make_stage()
    image = stage.image([stage.hand()])
    stage.sureness = 0.22
    # On its own the hand network alone judges it.
    assert len(pipeline(stage).process(image)) == 1
    following = pipeline(stage, PipelineOptions(device='cpu'))
    assert not any(len(following.process(image, stamp=k / 30)) for k in range(9))
    stage.sureness = 0.9
    # It is known already, and needs the finder's word only.
    shown = [len(following.process(image, stamp=k / 30)) for k in range(9, 13)]
    assert shown[-1] == 1


def test_in_an_image_on_its_own_the_finder_has_a_say(make_stage):
    scores = {}
    for sureness in (0.25, 0.9):
        stage = make_stage()
        stage.sureness = sureness
        hand = replace(stage.hand(), presence=0.35)
        scores[sureness] = [h.score for h in pipeline(stage).process(stage.image([hand]))]
        boxed = pipeline(stage, replace(SINGLE, regions='boxes')).process(
            stage.image([hand]), boxes=[box_of(hand)])
        assert 0.3 < boxed.hands[0].score < 0.5  # nobody but the network was asked
    assert scores[0.25] == [] and len(scores[0.9]) == 1 and 0.5 < scores[0.9][0] < 1


def test_every_box_given_has_a_hand_with_a_score(make_stage):
    stage = make_stage()
    image = stage.image([stage.hand()])
    hands = pipeline(stage).process(image, boxes=[box_of(stage.scenes[0][0]), [5, 5, 60, 60]])
    assert len(hands) == 2
    assert hands.hands[0].score > 0.8 and hands.hands[1].score < 0.1


def test_boxes_far_beyond_the_image_are_cut(make_stage):
    stage = make_stage()
    true = stage.hand(place=(0, 0, 0.5))
    boxes = [[-1e9, -1e9, 2e9, 2e9], [1e8, 1e8, 5, 5]]
    huge, outside = pipeline(stage).process(stage.image([true]), boxes=boxes)
    assert huge.side == 'right' and outside.score < 0.1


def test_a_network_that_gives_nan_gives_no_hand(make_stage):
    stage = make_stage()
    perfect = stage.predict
    stage.predict = lambda images: perfect(images)._replace(
        rotations=perfect(images).rotations * float('nan'))
    image = stage.image([stage.hand()])
    assert len(pipeline(stage).process(image, stage.camera)) == 0
    hand, = pipeline(stage).process(image, boxes=[[200, 100, 200, 200]])
    assert hand.score < 1e-3


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
    image = stage.image([stage.hand(place=(0, 0, 0.7))])
    unknown, = pipeline(stage).process(image, stage.camera)
    known, = pipeline(stage, replace(SINGLE, hand_length_m=TRUE_LENGTH)).process(
        image, stage.camera)
    assert 0.04 < unknown.depth_sigma_m < 0.08
    assert known.depth_sigma_m < 0.6 * unknown.depth_sigma_m


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


def test_a_length_measured_by_depth_is_kept_when_depth_drops_out(make_stage):
    stage = make_stage()
    true = stage.hand(place=(0.0, 0.0, 0.8), size=1.5)
    told, (depth, _) = replace_shape(true), depth_of(stage, true)
    run = pipeline(stage, PipelineOptions(device='cpu'))
    for k in range(8):
        hands = run.process(stage.image([told]), stage.camera, k / 30, depth)
    measured, = hands
    blind, = run.process(stage.image([told]), stage.camera, 8 / 30)
    assert measured.scale_source is ScaleSource.DEPTH
    assert blind.scale_source is ScaleSource.CAMERA_INFO
    assert blind.translation_m[2] == pytest.approx(0.8, rel=0.03)
    assert blind.depth_sigma_m < 0.04


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


def test_mirrored_input_turns_sides_and_pixels_round(make_stage):
    stage = make_stage()
    true = stage.hand('left', (0.1, 0.0, 0.6))
    image = stage.image([true])
    selfie = np.ascontiguousarray(image[:, ::-1])
    options = replace(SINGLE, mirrored_input=True)
    hand, = pipeline(stage, options).process(selfie, stage.camera)
    plain, = pipeline(stage).process(image, stage.camera)
    assert hand.side == 'left'
    assert np.allclose(hand.keypoints_px, [[639, 0]] + plain.keypoints_px * [-1, 1], atol=1e-3)
    assert np.allclose(hand.translation_m, plain.translation_m)
    assert np.allclose(hand.box, [639, 0, 0, 0] + plain.box * [-1, 1, 1, 1] - [
        plain.box[2], 0, 0, 0], atol=1e-3)
    mask = full_mask(hand.mask, hand.mask_origin, 640, 480)
    assert np.array_equal(mask[:, ::-1], full_mask(plain.mask, plain.mask_origin, 640, 480))


def test_a_hand_followed_before_images_were_taken_as_mirrored_is_of_the_other_side_at_once(
        make_stage):
    stage = make_stage()
    hand = stage.hand('left', (0.0, 0.0, 0.6))
    options = PipelineOptions(device='cpu')
    run = pipeline(stage, options)
    for k in range(20):
        before, = run.process(stage.image([hand]), stage.camera, k / 30)
    run.reconfigure(replace(options, mirrored_input=True))
    after, = run.process(stage.image([hand]), stage.camera, 20 / 30)
    assert (before.side, after.side) == ('left', 'right')
    assert after.id != before.id


def test_cameras_of_one_batch_give_what_they_give_alone(make_stage):
    stage = make_stage()
    together, alone = (pipeline(stage, PipelineOptions(device='cpu')) for _ in range(2))
    for k in range(5):
        images = {
            'left': stage.image([stage.hand('right', (0.01 * k, 0.0, 0.6)),
                                 stage.hand('left', (-0.15, 0.0, 0.7))]),
            'right': stage.image([stage.hand('left', (0.1, -0.01 * k, 0.9))]),
            'none': stage.image([]),
        }
        calls = len(stage.calls)
        batch = together.process_many([
            Frame(image, stage.camera, k / 30, key=key) for key, image in images.items()])
        assert len(stage.calls) - calls <= 2
        for (key, image), hands in zip(images.items(), batch):
            one = alone.process(image, stage.camera, k / 30, key=key)
            assert [hand.id for hand in one] == [hand.id for hand in hands]
            for a, b in zip(one, hands):
                for name in ('keypoints_px', 'translation_m', 'pose', 'vertices_m', 'mask'):
                    assert np.allclose(getattr(a, name), getattr(b, name), atol=1e-4), name
    assert [len(hands) for hands in batch] == [2, 1, 0]


def test_a_followed_hand_keeps_one_bone_length(make_stage):
    stage = make_stage()
    run = pipeline(stage, PipelineOptions(device='cpu'))
    lengths = []
    for k in range(40):
        true = stage.hand(size=float(np.sin(k)))
        hands = run.process(stage.image([true]), stage.camera, k / 30)
        lengths += [hand_length(load_template('fast'), hand.shape) for hand in hands]
    assert np.abs(np.diff(lengths[-10:])).max() < 0.001


def test_smoothing_steadies_a_hand_at_rest(make_stage):
    def jitter(options):
        stage = make_stage(noise=0.5)
        run = pipeline(stage, options)
        places = []
        for k in range(50):
            image = stage.image([stage.hand(place=(0.1, 0.0, 0.7))])
            places += [[*h.translation_m, *h.keypoints_m[8]]
                       for h in run.process(image, stage.camera, k / 30)]
        return np.std(places[20:], axis=0)

    rough = jitter(PipelineOptions(device='cpu'))
    smooth = jitter(PipelineOptions(device='cpu', smoothing=Smoothing.usual()))
    assert (smooth < 0.75 * rough).all()


def test_options_can_change_between_frames_but_not_what_was_loaded(make_stage):
    stage = make_stage()
    options = PipelineOptions(device='cpu', tracking=TrackingOptions(min_hits=1))
    run = pipeline(stage, options)
    image = stage.image([stage.hand()])
    before, = run.process(image, stage.camera, 0.0)
    run.reconfigure(replace(options, hand_length_m=0.16))
    after, = run.process(image, stage.camera, 0.1)
    assert after.id == before.id
    assert after.translation_m[2] < 0.9 * before.translation_m[2]
    with pytest.raises(ValueError, match='device'):
        run.reconfigure(replace(options, device='cuda'))


def test_a_pipeline_ends_with_its_last_user_and_waits_for_no_search_for_garbage(make_stage):
    stage = make_stage()
    run = pipeline(stage, PipelineOptions(device='cpu', tracking=TrackingOptions(min_hits=1)))
    assert len(run.process(stage.image([stage.hand()]), stage.camera, 0.0)) == 1
    ended = weakref.ref(run)
    gc.disable()
    try:
        del run
        assert ended() is None
    finally:
        gc.enable()


def test_smoothing_can_begin_between_frames_for_hands_that_come_later(make_stage):
    stage = make_stage()
    options = PipelineOptions(device='cpu', tracking=TrackingOptions(min_hits=1))
    run = pipeline(stage, options)
    run.process(stage.image([]), stage.camera, 0.0)
    run.reconfigure(replace(options, smoothing=Smoothing.usual()))
    assert len(run.process(stage.image([stage.hand()]), stage.camera, 0.1)) == 1
    assert run._trackers[None].tracks[0].memory.smoother is not None


def test_a_running_finder_takes_over_how_thoroughly_it_searches(make_stage):
    stage, finder = make_stage(), HandFinder(SimpleNamespace(config=SimpleNamespace(long_side=64)))
    run = Pipeline(SINGLE, network=stage, finder=finder)
    run.reconfigure(replace(SINGLE, small_hands=True, views=2))
    assert finder.small_hands and finder.both_ways
    run.reconfigure(SINGLE)
    assert not finder.small_hands and not finder.both_ways


def test_whole_image_as_one_region(make_stage):
    stage = make_stage()
    options = replace(SINGLE, regions='whole', refine_passes=2)
    true = stage.hand(place=(0.0, 0.0, 0.45))
    hand, = Pipeline(options, network=stage).process(stage.image([true]), stage.camera)
    assert np.allclose(hand.keypoints_px, true.pixels, atol=1.2)
    assert stage.searches == 0


@pytest.mark.parametrize('change, message', [
    ({'image': np.zeros((4, 4), np.uint8)}, 'H, W, 3'),
    ({'image': np.zeros((4, 4, 3))}, 'uint8'),
    ({'image': np.zeros((0, 4, 3), np.uint8)}, 'not empty'),
    ({'depth': np.zeros((10, 10))}, 'registered'),
    ({'depth': np.zeros((480, 640), np.int32)}, 'uint16'),
    ({'boxes': [[0, 0, 5]]}, 'box'),
    ({'boxes': [[0, 0, 5, float('nan')]]}, 'box'),
    ({'boxes': [[0, 0, 5, 0]]}, 'box'),
])
def test_frames_that_cannot_be_processed_are_refused(make_stage, change, message):
    stage = make_stage()
    frame = {'image': stage.image([]), 'key': 'front', **change}
    with pytest.raises(ValueError, match=message):
        pipeline(stage).process(**frame)


def test_camera_of_another_image_size_is_refused(make_stage):
    stage = make_stage()
    with pytest.raises(CameraError, match='640 x 480'):
        pipeline(stage).process(np.zeros((240, 320, 3), np.uint8), stage.camera)


@pytest.mark.parametrize('change, message', [
    ({'regions': 'topic'}, 'regions'), ({'max_hands': 0}, 'max_hands'),
    ({'hand_length_m': 19.0}, 'hand_length_m'), ({'crop_scale': 0.1}, 'crop_scale'),
    ({'min_score': 1.5}, 'min_score'),
])
def test_options_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        PipelineOptions(**change)
