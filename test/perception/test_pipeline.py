import gc
import time
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hiu_ros.hand.size import hand_length
from hiu_ros.hand.template import load_template
from hiu_ros.perception.finder import HandFinder
from hiu_ros.perception.frame import Frame
from hiu_ros.perception.masks import full_mask
from hiu_ros.perception.options import PipelineOptions, TrackingOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.result import ScaleSource
from hiu_ros.perception.smoothing import Smoothing
from test.perception.conftest import SINGLE, pipeline


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
        rows, columns = np.nonzero(full_mask(hand.mask, hand.mask_origin, 640, 480))
        shown = np.stack([columns, rows], axis=1)
        low = np.minimum(hand.keypoints_px.min(0), shown.min(0) - 0.5)
        high = np.maximum(hand.keypoints_px.max(0), shown.max(0) + 0.5)
        assert np.allclose(hand.box, [*low, *(high - low)], atol=1e-3)
        assert np.allclose(hand.box, [*true.pixels.min(0), *np.ptp(true.pixels, axis=0)], atol=30)


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
    stage.sureness = 0.28
    # On its own a region that the hand network is sure of is shown.
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
    assert hand.score < 1e-3 and np.allclose(hand.keypoints_px, [300, 200], atol=0.1)
    # Where everything is shown that is found, that is, too, and is followed.
    run = pipeline(stage, PipelineOptions(device='cpu', min_score=0.0))
    assert all(hand.score < 1e-3 for k in range(4) for hand in run.process(image, stamp=k / 30))


def test_the_box_holds_joints_that_no_mask_covers_and_blurred_ones_are_not_valid(make_stage):
    stage = make_stage()
    perfect, sharp, middle = stage.predict, np.arange(21) % 5 > 0, torch.zeros(64, 64)
    middle[28:36, 28:36] = 1

    def predict(images):
        reading = perfect(images)
        return reading._replace(mask=middle * reading.mask, keypoint_scores=torch.tensor(
            np.where(sharp, 0.9, 0.1)[None].repeat(len(images), 0), dtype=torch.float32))

    stage.predict = predict
    hand, = pipeline(stage).process(
        stage.image([stage.hand()]), boxes=[box_of(stage.scenes[0][0])])
    assert np.array_equal(hand.keypoints_valid, sharp)
    joints = hand.keypoints_px
    assert np.allclose(hand.box, [*joints.min(0), *np.ptp(joints, axis=0)], atol=1e-3)


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
    sizes, lengths = 1 + np.sin(np.arange(40)), []
    for k, size in enumerate(sizes):
        hand, = run.process(stage.image([stage.hand(size=size)]), stage.camera, k / 30)
        lengths += [hand_length(load_template('fast'), hand.shape)]
    assert np.abs(np.diff(lengths[-10:])).max() < 0.001
    assert hand.shape[0] == pytest.approx(sizes.mean(), abs=0.05)


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


def test_smoothing_that_changes_does_so_for_followed_hands_and_else_goes_on(make_stage):
    stage = make_stage()
    options = PipelineOptions(device='cpu', tracking=TrackingOptions(min_hits=1),
                              smoothing=Smoothing.usual())
    run = pipeline(stage, options)
    run.process(stage.image([stage.hand()]), stage.camera, 0.0)
    track, = run._trackers[None].tracks
    before = track.memory.smoother
    run.reconfigure(replace(options, hand_length_m=0.16))
    assert track.memory.smoother is before is not None
    run.reconfigure(replace(options, smoothing=Smoothing()))
    assert track.memory.smoother is None


@pytest.mark.parametrize('change, shown', [
    ({}, [2, 2, 2, 2]), ({'min_score': 1.0}, [0, 0, 0, 0]), ({'max_hands': 1}, [1, 1, 1, 1]),
    ({'tracking': TrackingOptions(min_hits=4)}, [0, 0, 0, 2])])
def test_hands_that_come_later_are_followed_as_the_options_are_by_then(make_stage, change, shown):
    stage = make_stage()
    options = PipelineOptions(device='cpu', tracking=TrackingOptions(min_hits=1))
    run = pipeline(stage, options)
    run.process(stage.image([]), stage.camera, 0.0)
    run.reconfigure(replace(options, **change))
    seen = [run.process(stage.image(two_hands(stage)), stage.camera, k / 30) for k in range(1, 5)]
    assert [len(hands) for hands in seen] == shown


def test_a_pipeline_in_the_place_of_another_one_uses_no_name_again(make_stage):
    stage = make_stage()
    options = PipelineOptions(device='cpu', tracking=TrackingOptions(min_hits=1))

    def numbers(run, key):
        hands = run.process(stage.image(two_hands(stage)), stage.camera, 0.0, key=key)
        return sorted(hand.number for hand in hands)

    first, second = pipeline(stage, options), pipeline(stage, options)
    assert first.named == {} and numbers(first, 'left') == [1, 2]
    assert first.named == {'left': 2}
    second.name_on(first.named)
    assert numbers(second, 'left') == [3, 4] and numbers(second, 'right') == [1, 2]


def test_two_frames_of_one_camera_in_a_call_are_refused_unless_tracking_is_off(make_stage):
    stage = make_stage()
    frames = [Frame(stage.image([stage.hand()]), key='front') for _ in range(2)]
    with pytest.raises(ValueError, match='different cameras.*front'):
        pipeline(stage, PipelineOptions(device='cpu')).process_many(frames)
    assert [len(hands) for hands in pipeline(stage).process_many(iter(frames))] == [1, 1]
    with pytest.raises(ValueError, match='must be Frames, got ndarray'):
        pipeline(stage).process_many([frames[0].image])


def test_the_seconds_of_the_steps_are_those_of_the_last_call(make_stage):
    stage = make_stage()
    run, start = pipeline(stage), time.perf_counter()
    run.process(stage.image([stage.hand()]), stage.camera)
    assert set(run.seconds) == {'find', 'look', 'place'} and min(run.seconds.values()) >= 0
    assert 0 < sum(run.seconds.values()) <= time.perf_counter() - start


def test_no_frames_have_no_hands(make_stage):
    for options in (SINGLE, PipelineOptions(device='cpu')):
        assert pipeline(make_stage(), options).process_many([]) == []


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
