"""Frames for the finder: repeatable, with labels that stay on the hands."""

import itertools
import json
import os
import shutil
from dataclasses import replace
from unittest.mock import Mock

import cv2
import numpy as np
import pytest

from hiu_ros.data.sets.layout import DataSetError
from hiu_ros.training.finder_light import Weather
from hiu_ros.training.finder_paste import Renders, add_arm, add_patch, hide, lay, skin_at
from hiu_ros.training.finder_photos import Shots
from hiu_ros.training.finder_scenes import SceneOptions, Scenes, _view, mirror
from hiu_ros.training.finder_targets import Frame, frame_targets, joints_box

WIDTH, HEIGHT = 120, 90
RED = (20, 20, 220)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Grey photographs in which the joints of a hand lie on the border of a red disc."""
    folder = tmp_path_factory.mktemp('photos')
    lines = []
    for k in range(6):
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        centre = (40 + 8 * k, 40)
        cv2.circle(image, centre, 16, RED, -1)
        cv2.imwrite(str(folder / f'{k}.png'), image)
        angle = np.arange(21) * 2 * np.pi / 21
        points = np.array(centre) + 16 * np.stack([np.cos(angle), np.sin(angle)], 1)
        lines.append(json.dumps({
            'set': 'kitchen', 'file': f'{k}.png', 'width': WIDTH, 'height': HEIGHT,
            'split': 'val' if k == 5 else 'train', 'licence': 'CC0',
            'hands': [] if k == 4 else [{
                'side': 'right', 'side_score': 1.0, 'keypoints_px': points.tolist(),
                'keypoints_m': np.zeros((21, 3)).tolist()}]}))
    (folder / 'labels.jsonl').write_text('\n'.join(lines))
    return folder


def is_red(image: np.ndarray) -> np.ndarray:
    return (image[..., 2] > 150) & (image[..., 1] < 80)


def test_scenes_are_a_function_of_seed_and_number(bank, photos, tmp_path):
    near = tmp_path / 'near.npy'
    np.save(near, np.random.default_rng(0).integers(0, 255, (3, 40, 40, 3), dtype=np.uint8))
    options = SceneOptions(str(photos), (str(bank),), str(near), str(near), str(tmp_path / 'p'))
    one, two = (Scenes(options, 128, seed=5, group=2) for _ in range(2))
    order = list(range(12))
    first = {i: one[i] for i in order}
    for i in reversed(order):
        again = two[i]
        assert all(np.array_equal(first[i][name], again[name]) for name in again)
        height, width = first[i]['images'].shape[:2]
        assert max(height, width) == 128 and (height, width) in {(96, 128), (128, 96),
                                                                 (128, 128)}
        assert first[i]['centre'].shape == (height // 8, width // 8)
        assert first[i]['images'].shape == first[i ^ 1]['images'].shape
    assert sum(sample['known'].any() for sample in first.values()) > 6
    other = Scenes(options, 128, seed=6, group=2)
    assert not any(np.array_equal(first[i]['centre'], other[i]['centre']) for i in (0, 2, 4))


def test_labels_stay_on_the_hands_of_photographs(photos, tmp_path):
    scenes = Scenes(SceneOptions(str(photos), pack=str(tmp_path / 'p')), 128, seed=3)
    checked = 0
    for k in range(40):
        frame = scenes.photograph(np.random.default_rng(k), 96, 128)
        for points in frame.points:
            x, y = np.round(points.mean(0)).astype(int)
            assert is_red(frame.image)[y, x]
            checked += 1
    assert checked > 20


def test_a_hand_that_leaves_the_frame_is_in_doubt_and_so_is_what_nobody_labelled(photos, tmp_path):
    scenes = Scenes(SceneOptions(str(photos), pack=str(tmp_path / 'p')), 128, seed=3)
    shot, doubts = scenes.shots[0], 0
    pair = (shot.points[0], shot.points[0] + [36, 0])
    for k in range(200):
        scenes.shots = Mock(draw=Mock(return_value=replace(
            shot, points=pair, right=(True, False), sure=k % 2 == 0)))
        frame = scenes.photograph(np.random.default_rng(k), 96, 128)
        assert frame.trust == (1.0 if k % 2 == 0 else 0.3)
        for box in frame.doubts:
            middle = (box[:2] + box[2:]) / 2
            assert (middle <= 0).any() or (middle >= [127, 95]).any()
            assert (box[2:] > 0).all() and (box[:2] < [128, 96]).all()
        doubts += len(frame.doubts)
    assert doubts > 3


def test_hands_doubts_and_trust_of_photographs_side_by_side_are_where_each_lies(photos, tmp_path):
    scenes = Scenes(SceneOptions(str(photos), pack=str(tmp_path / 'p')), 128, seed=3)
    counts = set()
    for k in range(12):
        numbers = itertools.count()

        def photograph(rng, height, width, numbers=numbers):
            n = next(numbers)
            return Frame(np.full((height, width, 3), n + 1, np.uint8),
                         [np.tile([2.0, 3], (21, 1))], [n % 2 == 0],
                         [np.array([1.0, 2, 4, 5])], trust=0.3 if n == 0 else 1.0)

        scenes.photograph = photograph
        whole = scenes.mosaic(np.random.default_rng(k), 96, 128)
        assert whole.trust == 0.3
        for n, (points, right, box) in enumerate(
                zip(whole.points, whole.right, whole.doubts, strict=True)):
            y, x = np.argwhere(whole.image[..., 0] == n + 1).min(axis=0)
            assert (points == [x + 2, y + 3]).all() and right == (n % 2 == 0)
            assert box.tolist() == [x + 1, y + 2, x + 4, y + 5]
        counts.add(len(whole.points))
    assert counts == {2, 4}


def test_as_many_photographs_are_turned_as_asked_for(photos, tmp_path):
    shot = Shots(str(photos), tmp_path / 'pack')[0]
    rng = np.random.default_rng(0)

    def angles(turned: float) -> np.ndarray:
        along = np.array([_view(shot, rng, 96, 128, turned)[:, 0] for _ in range(200)])
        return np.degrees(np.abs(np.arctan2(along[:, 1], along[:, 0])))

    assert (angles(1.0) > 50).all() and (angles(1.0) > 140).mean() > 0.3
    assert (angles(0.0) < 40).mean() > 0.85
    assert abs((angles(0.5) > 140).mean() - 0.25) < 0.12


def test_photographs_of_validation_and_without_hands_are_not_packed(photos, tmp_path):
    shots = Shots(photos, tmp_path / 'p')
    assert len(shots) == 4
    again = Shots(photos, tmp_path / 'p')
    assert all(np.array_equal(shots[k].image, again[k].image) for k in range(4))
    assert shots[0].half.shape == (HEIGHT // 2, WIDTH // 2, 3)
    with pytest.raises(ValueError, match='kitchen'):
        Shots(photos, tmp_path / 'p', leave_out=('kitchen',))


def test_a_lone_hand_of_a_set_that_shows_two_may_have_another_that_nobody_labelled(
        photos, tmp_path):
    lines = [json.loads(line) for line in (photos / 'labels.jsonl').read_text().splitlines()]
    lines[1]['set'] = lines[2]['set'] = 'two_hand_signs'
    lines[2]['hands'] *= 2
    for line in lines:
        (tmp_path / line['file']).write_bytes((photos / line['file']).read_bytes())
    (tmp_path / 'labels.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    shots = Shots(tmp_path, tmp_path / 'p')
    assert [shots[k].sure for k in range(4)] == [True, False, True, True]


def test_sets_to_leave_out_must_be_there(photos, tmp_path):
    with pytest.raises(ValueError, match=r"leave_out names \['glove'\].*\['kitchen'\]"):
        Shots(photos, tmp_path / 'p', leave_out=('glove',))


def test_render_is_laid_where_its_joints_are(bank):
    renders = Renders([bank])
    for k in range(12):
        frame = Frame(np.zeros((128, 128, 3), np.uint8))
        renders.add(frame, np.random.default_rng(k), 0.45)
        assert len(frame.points) == 1
        drawn = np.argwhere(frame.image.any(2))
        box = joints_box(frame.points[0])
        if (box[:2] > 8).all() and (box[2:] < 120).all() and np.ptp(box[[0, 2]]) > 12:
            assert drawn.mean(0)[::-1] == pytest.approx((box[:2] + box[2:]) / 2,
                                                        abs=0.35 * (box[2:] - box[:2]).max())


def test_half_transparent_tiles_mix():
    image = np.full((20, 20, 3), 100, np.uint8)
    tile = np.zeros((8, 8, 4), np.uint8)
    tile[...] = (200, 0, 100, 128)
    alpha, x, y = lay(image, tile, np.array([[1.0, 0, 4], [0, 1, 6]]))
    assert image[10, 8] == pytest.approx([150, 50, 100], abs=3)
    assert (image[:, :4] == 100).all() and (x, y) == (4, 6) and alpha[2, 2] == 128


def test_hidden_hands_go_and_half_hidden_ones_are_in_doubt():
    points = np.stack([np.linspace(10, 30, 21), np.full(21, 20.0)], 1)
    cover = np.full((40, 40), 255, np.uint8)
    for left, hands, doubts in ((35, 1, 0), (17, 0, 1), (0, 0, 0)):
        frame = Frame(np.zeros((64, 64, 3), np.uint8), [points], [True])
        hide(frame, (cover, left, 0))
        assert (len(frame.points), len(frame.doubts)) == (hands, doubts)


def test_an_arm_has_the_skin_of_the_hand_it_hides_a_part_of():
    x, y = np.meshgrid(np.arange(21), [60.0])
    points = np.stack([40 + 2 * x.ravel(), y.ravel()], 1)
    gone = changed = 0
    for k in range(30):
        frame = Frame(np.full((128, 128, 3), 20, np.uint8), [points], [True])
        frame.image[50:70, 30:90] = (60, 90, 160)
        before = frame.image.copy()
        add_arm(frame, np.random.default_rng(k))
        shown = (frame.image != before).any(2)
        changed += shown.any()
        bare = frame.image[shown & (before == 20).all(2)].astype(float).mean(0)
        assert bare[2] > bare[1] > bare[0]
        hidden = shown[np.round(points[:, 1]).astype(int), np.round(points[:, 0]).astype(int)]
        gone += not frame.points
        assert bool(frame.points) or hidden.mean() > 0.5
    assert changed == 30 and gone < 15


def test_skin_is_the_colour_at_the_joints_within_the_frame():
    image = np.zeros((20, 20, 3), np.uint8)
    image[5:10, 5:10] = (10, 20, 30)
    joints = np.array([[6.0, 6], [7, 8], [9, 9], [60, 6], [0, 0]])
    assert skin_at(image, joints).tolist() == [10, 20, 30]
    assert skin_at(image, joints + 100) is None


def test_mirrored_frame_has_hands_of_the_other_side():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10, 7] = 255
    frame = Frame(image, [np.full((21, 2), (7.0, 10.0))], [True], [np.array([1., 2, 11, 12])])
    mirror(frame)
    assert frame.right == [False] and frame.image[10, int(frame.points[0][0, 0])].all()
    assert frame.doubts[0].tolist() == [48, 2, 58, 12]


def test_hands_too_small_to_be_seen_are_not_asked_for():
    frame = Frame(np.zeros((64, 64, 3), np.uint8),
                  [np.array([[30., 30]] * 20 + [[33., 33]])], [True])
    maps = frame_targets(frame)
    assert not maps['known'].any() and (maps['care'] == 0).any()


@pytest.mark.parametrize('low, high, doubted', [
    (-40, 24, True), (-8, 24, False), (-60, -20, False)])
def test_what_shows_of_a_hand_whose_middle_is_outside_is_no_false_find(low, high, doubted):
    points = np.array([[low, 10.0], [high, 40.0]] * 10 + [[low, 10.0]])
    maps = frame_targets(Frame(np.zeros((64, 64, 3), np.uint8), [points], [True]))
    assert bool(maps['known'].any()) == (low == -8)
    assert bool((maps['care'] == 0).any()) == doubted
    if doubted:
        assert not maps['care'][1:5, :3].any() and maps['care'][:, 4:].all()


def test_patch_hides_what_it_covers():
    frame = Frame(np.zeros((64, 64, 3), np.uint8))
    add_patch(frame, np.full((32, 32, 3), 200, np.uint8), np.random.default_rng(1))
    assert frame.image.any() and not frame.points


def test_weather_keeps_the_frame_and_varies():
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    before, weather = image.copy(), Weather()
    frames = [weather(image, np.random.default_rng(k)) for k in range(40)]
    assert (image == before).all()
    assert all(f.shape == image.shape and f.dtype == np.uint8 for f in frames)
    assert len({f.tobytes() for f in frames}) > 35


def test_a_pack_that_is_made_anew_leaves_other_runs_what_they_had(photos, tmp_path):
    lines = (photos / 'labels.jsonl').read_text().splitlines()
    other = tmp_path / 'other'
    other.mkdir()
    (other / 'labels.jsonl').write_text('\n'.join(lines[::-1]))
    for line in lines:
        name = json.loads(line)['file']
        (other / name).write_bytes((photos / name).read_bytes())
    shots = Shots(photos, tmp_path / 'p')
    before = [shot.image.copy() for shot in shots]
    again = Shots(other, tmp_path / 'p')
    assert not np.array_equal(again[0].image, before[0])
    for shot, image in zip(shots, before):
        assert np.array_equal(shot.image, image)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['other', 'p.json', 'p.npy']


def test_a_photograph_that_was_cut_since_is_packed_anew(photos, tmp_path):
    other = tmp_path / 'other'
    shutil.copytree(photos, other)
    before = Shots(other, tmp_path / 'p')[0]
    cv2.imwrite(str(other / '0.png'), cv2.imread(str(other / '0.png'))[:, :60])
    lines = [json.loads(line) for line in (other / 'labels.jsonl').read_text().splitlines()]
    lines[0]['width'] = 60
    (other / 'labels.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    after = Shots(other, tmp_path / 'p')[0]
    assert np.array_equal(after.image, before.image[:, :60])
    assert np.allclose(after.points[0], before.points[0])


def test_a_pack_that_was_cut_off_is_named_or_made_anew(photos, tmp_path):
    before = Shots(photos, tmp_path / 'p')[0].image.copy()
    (tmp_path / 'p.json').write_text('{"files')
    assert np.array_equal(Shots(photos, tmp_path / 'p')[0].image, before)
    os.truncate(tmp_path / 'p.npy', 1000)
    with pytest.raises(DataSetError, match='p.npy is damaged .*remove it to have it made anew'):
        Shots(photos, tmp_path / 'p')
