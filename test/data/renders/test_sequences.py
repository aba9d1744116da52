import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from hiu_ros.data.renders.sequences import HandSequence, main, write_clip
from hiu_ros.geometry.outline_fit import fit_outline, silhouette
from hiu_ros.geometry.rotations import axis_angle_to_matrix
from hiu_ros.hand.model import HandModel, load_template


def small(**changes):
    settings = {'seed': 3, 'hands': 2, 'width': 160, 'height': 120, 'frames': 30, 'rate': 15}
    return HandSequence(**{**settings, **changes})


@pytest.fixture(scope='module')
def sequence():
    return small(with_depth=True, with_vertices=True)


@pytest.fixture(scope='module')
def frames(sequence):
    return [sequence.frame(i) for i in (4, 12, 20)]


def test_frames_have_pictures_and_truth(sequence, frames):
    assert len(sequence) == 30
    for frame in frames:
        assert frame.image.shape == (120, 160, 3) and frame.image.dtype == np.uint8
        assert frame.depth.shape == (120, 160) and frame.depth.dtype == np.float32
        for hand in frame.hands:
            assert hand.side in ('left', 'right') and 0 <= hand.visible <= 1
            assert hand.pose.shape == (48,) and hand.shape.shape == (10,)
            assert set(np.unique(hand.mask)) <= {0, 255}
            assert np.allclose(hand.translation, hand.keypoints_m[0])
    assert {hand.side for frame in frames for hand in frame.hands} == {'left', 'right'}


def test_keypoints_project_to_their_pixels_on_both_sides(sequence, frames):
    k = sequence.camera_matrix
    for frame in frames:
        for hand in frame.hands:
            seen = hand.keypoints_m @ k.T
            assert np.allclose(seen[:, :2] / seen[:, 2:], hand.keypoints_px, atol=1e-2)


def test_pose_and_shape_give_keypoints_and_vertices_on_both_sides(frames):
    right = load_template('fast')
    models = {'right': HandModel(right), 'left': HandModel(right.mirrored())}
    for frame in frames:
        for hand in frame.hands:
            pose = torch.from_numpy(hand.pose).view(1, 16, 3)
            again = models[hand.side](axis_angle_to_matrix(pose),
                                      torch.from_numpy(hand.shape)[None])
            assert np.allclose(again.keypoints[0].numpy() + hand.translation, hand.keypoints_m,
                               atol=1e-5)
            assert np.allclose(again.vertices[0].numpy() + hand.translation, hand.vertices,
                               atol=1e-5)


def test_masks_and_depth_lie_on_the_hand(frames):
    checked = 0
    for frame in frames:
        for hand in frame.hands:
            if hand.visible < 0.6:
                continue
            rows, columns = np.nonzero(hand.mask)
            box = cv2.convexHull(hand.keypoints_px.astype(np.float32))
            near = [cv2.pointPolygonTest(box, (float(x), float(y)), True)
                    for x, y in zip(columns, rows)]
            assert min(near) > -14
            z = frame.depth[hand.mask > 0]
            low, high = hand.keypoints_m[:, 2].min(), hand.keypoints_m[:, 2].max()
            assert (z > low - 0.04).all() and (z < high + 0.04).all()
            checked += 1
        together = sum((hand.mask > 0).astype(int) for hand in frame.hands)
        assert np.max(together) <= 1
    assert checked >= 2


def outline_of(hand, sequence):
    """Silhouette of the hand's true mesh, (H + 400, W + 400): the picture and 200 px about it."""
    pixels = hand.vertices @ sequence.camera_matrix.T
    size = max(sequence.width, sequence.height) + 400
    return silhouette(pixels[:, :2] / pixels[:, 2:] + 200, load_template('fast').faces, size,
                      hand.side == 'left')[:sequence.height + 400, :sequence.width + 400]


@pytest.mark.parametrize('seed', [0, 3])
@pytest.mark.parametrize('place', [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])
def test_hands_are_drawn_where_their_truth_is_in_the_middle_and_at_every_edge(seed, place):
    sequence = small(seed=seed, hands=1, width=200, height=240, with_vertices=True)
    actor, = sequence._actors
    half = 0.5 * np.array([sequence.width, sequence.height]) / sequence.camera_matrix[0, 0]
    actor.motion.reach = np.zeros(3)
    actor.motion.centre = np.array([*(0.9 * half * place), 1]) * 0.45
    hand, = sequence.frame(12).hands
    whole, seen = outline_of(hand, sequence) > 0, hand.mask > 0
    true = whole[200:-200, 200:-200]
    assert hand.visible == pytest.approx(true.sum() / whole.sum(), abs=0.03)
    assert hand.side == ('right', 'left')[seed % 2] and seen.sum() > 300
    rows, columns = np.nonzero(true & seen)
    # The mask ends nearer to the wrist than the mesh.
    assert len(rows) / seen.sum() > 0.96 and len(rows) / true.sum() > 0.93
    pixels = hand.keypoints_px[4:].round().astype(int)
    inside = ((pixels >= 0) & (pixels < [sequence.width, sequence.height])).all(1)
    x, y = pixels[inside].T
    assert inside.sum() > 3 and seen[y, x].mean() > 0.85
    if place == (0, 0):
        square = np.zeros((2, 240, 240), bool)
        square[:, :, :200] = seen, true
        fit = fit_outline(*square, scale_doubt=1.0, shift_doubt=1.0)
        assert np.abs(fit.shift).max() < 0.6 and abs(fit.scale - 1) < 0.02


def test_hands_look_like_hands_before_what_is_behind_them():
    sequence, empty = small(noise=0), small(noise=0)
    empty._actors = []
    frame, behind = sequence.frame(12), empty.frame(12)
    assert not behind.hands
    changed = np.abs(frame.image.astype(int) - behind.image).max(-1) > 2
    # All of the picture but hands and arms stays as it is.
    assert 0.05 < changed.mean() < 0.8
    for hand in frame.hands:
        blue, green, red = np.median(frame.image[hand.mask > 0], axis=0)
        assert 250 > red > green > blue > 5
        assert changed[cv2.erode(hand.mask, np.ones((3, 3))) > 0].mean() > 0.9


def test_the_pixels_noise_has_its_deviation_no_bias_and_no_frame_twice():
    quiet, noisy = small(noise=0), small(noise=4.0)
    grain = []
    for index in (4, 5):
        clean = quiet.frame(index).image.astype(float)
        inside = (clean > 25) & (clean < 230)
        grain.append(np.where(inside, noisy.frame(index).image - clean, np.nan))
        assert np.nanstd(grain[-1]) == pytest.approx(4.0, rel=0.1)
        assert abs(np.nanmean(grain[-1])) < 0.15
    assert np.nanstd(grain[0] - grain[1]) > 5


def test_hands_are_as_far_away_as_asked_for_and_the_second_pair_behind_the_first():
    near, far = (small(hands=4, distance=distance)._actors for distance in (0.5, 0.9))
    for actors, distance in ((near, 0.5), (far, 0.9)):
        away = [actor.motion.centre[2] for actor in actors]
        assert np.allclose(away[:2], distance) and np.allclose(away[2:], distance + 0.18)
    away = [actor.motion.centre[2] for actor in small(hands=4)._actors]
    assert max(away[:2]) < 0.53 and 0.58 < min(away[2:]) <= max(away[2:]) < 0.71


def test_frames_show_the_hands_that_are_there():
    sequence = small(frames=300, rate=30)
    late = max(sequence._actors, key=lambda actor: actor.motion.span[0])
    start, stop = late.motion.span
    assert 0 < start < stop < 10
    shown = [[hand.id for hand in sequence.frame(round(30 * time)).hands]
             for time in (start - 0.2, (start + stop) / 2, stop + 0.2)]
    assert [late.id in ids for ids in shown] == [False, True, False]


@pytest.mark.parametrize('place', [(-4, 0), (4, 0), (0, 4)])
def test_a_hand_beyond_the_picture_is_not_among_those_it_shows(place):
    sequence = small(seed=3, hands=1)
    actor, = sequence._actors
    actor.motion.centre = np.array([*place, 1]) * 0.45
    assert actor.motion.at(0.8) is not None and not sequence.frame(12).hands


def test_frames_come_again_in_any_order(sequence, frames):
    again = small(with_depth=True, with_vertices=True).frame(12)
    assert np.array_equal(again.image, frames[1].image)
    assert not np.array_equal(small(seed=4).frame(12).image, frames[1].image)


def test_hands_whose_paths_meet_hide_each_other_whole():
    """Where two hands overlap, all that is seen is of the one that is nearer throughout."""
    sequence = small(seed=7, noise=0, with_depth=True)
    near, far = sorted(sequence._actors, key=lambda actor: actor.motion.centre[2])
    overlapping = 0
    for index in range(0, 30, 3):
        pictures = {}
        for name, actors in (('near', [near]), ('far', [far]), ('both', [near, far])):
            sequence._actors = actors
            pictures[name] = sequence.frame(index)
        masks = {name: [hand.mask > 0 for hand in picture.hands]
                 for name, picture in pictures.items()}
        if not masks['near'] or not masks['far']:
            continue
        overlapping += int((masks['near'][0] & masks['far'][0]).sum())
        # But for its soft edge.
        inside = cv2.erode(pictures['near'].hands[0].mask, np.ones((3, 3))) > 0
        assert np.array_equal(pictures['both'].image[inside], pictures['near'].image[inside])
        hands = {hand.id: hand for hand in pictures['both'].hands}
        # What the nearer one does not hide keeps its distance.
        bare = (pictures['far'].hands[0].mask > 0) & np.isinf(pictures['near'].depth)
        assert np.array_equal(pictures['both'].depth[bare], pictures['far'].depth[bare])
        assert np.array_equal(hands[near.id].mask, pictures['near'].hands[0].mask)
        assert hands[far.id].visible <= pictures['far'].hands[0].visible + 1e-6
    assert overlapping > 50


def test_motion_is_smooth():
    sequence = small(hands=1, frames=60, rate=30)
    path = [actor.motion.at(i / 30) for i in range(60) for actor in sequence._actors]
    places = np.stack([moment.place for moment in path])
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 0.03
    rotations = np.stack([moment.plan.rotations for moment in path])
    change = np.einsum('tjab,tjab->tj', rotations[1:], rotations[:-1])
    assert np.degrees(np.arccos(np.clip((change - 1) / 2, -1, 1))).max() < 25


def test_hands_enter_and_leave():
    sequence = small(hands=2, frames=300, rate=30)
    counts = [sum(actor.motion.at(i / 30) is not None for actor in sequence._actors)
              for i in range(0, 300, 5)]
    assert min(counts) >= 1 and max(counts) == 2


def test_holding_hands_keep_their_grasp_around_a_thing_that_goes_with_them():
    plain, holding = small(with_depth=True), small(with_depth=True, holding=True)
    fingers, hidden = {}, []
    for index in (4, 12, 20):
        free, held = plain.frame(index), holding.frame(index)
        assert [hand.id for hand in free.hands] == [hand.id for hand in held.hands]
        for one, other in zip(free.hands, held.hands):
            # The same way through the picture, with another pose of the fingers.
            assert np.allclose(one.keypoints_m.mean(0), other.keypoints_m.mean(0), atol=1e-4)
            fingers.setdefault(other.id, []).append(other.pose[3:])
            assert not np.allclose(one.pose[3:], other.pose[3:], atol=0.1)
        # Something is there that is no hand, and which no hand is missed in.
        hands = np.zeros(held.depth.shape, bool)
        for hand in held.hands:
            hands |= cv2.dilate(hand.mask, np.ones((3, 3))) > 0
        hidden.append((np.isfinite(held.depth) & ~hands).sum())
    for poses in fingers.values():
        assert np.allclose(poses, poses[0], atol=1e-5)
    assert len(fingers) == 2 and max(hidden) > 100


def test_a_thing_is_drawn_whole_where_it_sticks_out():
    sequence = small(hands=1, seed=5, holding=True)
    actor, = sequence._actors
    thing = actor.scene.held
    middle = thing.vertices.mean(0)
    thing.vertices = middle + 1.5 * (thing.vertices - middle)
    free = small(hands=1, seed=5, holding=True)
    free._actors[0].scene = replace(actor.scene, held=None)
    moment = actor.motion.at(0.8)
    with_thing, without = sequence.frame(12), free.frame(12)
    changed = np.abs(with_thing.image.astype(int) - without.image).max(-1) > 12
    points = thing.vertices @ moment.plan.rotations[0].T
    if actor.side == 'left':
        points = points * [-1, 1, 1]
    hand, = with_thing.hands
    seen = (points + hand.translation) @ sequence.camera_matrix.T
    seen = seen[:, :2] / seen[:, 2:]
    rows, columns = np.nonzero(changed)
    # The outermost points of the thing's mesh are where the picture changes.
    assert np.allclose([columns.min(), rows.min()], np.clip(seen.min(0), 0, None), atol=2.5)
    assert np.allclose([columns.max(), rows.max()], np.minimum(seen.max(0), [159, 119]), atol=2.5)


def test_wrong_numbers_are_named():
    with pytest.raises(ValueError, match='5'):
        small(hands=5)
    with pytest.raises(ValueError, match='0x120'):
        small(width=0)
    with pytest.raises(ValueError, match='nan Hz'):
        small(rate=float('nan'))
    with pytest.raises(ValueError, match='seed is -4'):
        small(seed=-4)


@pytest.mark.parametrize('arguments, told', [
    (['clip.mp4', '--hands', '9'], 'hands must be 1 to 4, got 9'),
    (['clip.txt', '--frames', '1'], 'cannot write the video'),
    (['file/clip.mp4', '--frames', '1'], 'file is a file, expected a folder')])
def test_the_command_tells_wrong_numbers_and_places_in_one_line(
        tmp_path, monkeypatch, capfd, arguments, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').write_text('')
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith('python -m hiu_ros.data.renders.sequences: ') and told in line


def test_a_clip_has_its_truth_beside_it(tmp_path):
    sequence = small(frames=4)
    truth = json.loads(write_clip(tmp_path / 'clip.mp4', sequence).read_text())
    assert truth['width'] == 160 and len(truth['frames']) == 4
    video = cv2.VideoCapture(str(tmp_path / 'clip.mp4'))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 4
    assert video.read()[1].shape == (120, 160, 3)
