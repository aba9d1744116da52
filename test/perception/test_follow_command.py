"""`hiu follow`: hands of a video, without ROS."""

import json
import os
import signal
from dataclasses import replace

import cv2
import numpy as np
import pytest

from hiu_ros.cli import main
from hiu_ros.perception import pipeline as pipelines
from hiu_ros.perception.picture_source import Source, open_video
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.result import Hands

PLACES = [(0.02 * k, 0.0, 0.6) for k in range(6)]


@pytest.fixture
def video(make_stage, tmp_path, monkeypatch):
    """A folder of six pictures in which a right hand moves aside and a left one comes later; the
    networks see what is there. The options of the pipeline that is made are kept."""
    stage = make_stage()
    folder = tmp_path / 'video'
    folder.mkdir()
    for k, place in enumerate(PLACES):
        hands = [stage.hand(place=place)]
        if k >= 2:
            hands.append(stage.hand('left', place=(-0.15, 0.0, 0.6)))
        cv2.imwrite(str(folder / f'p_{k}.png'), stage.image(hands))
    stage.made = []

    def made(options, template):
        stage.made.append(options)
        return Pipeline(replace(options, device='cpu', fit_pose=False, fit_outline=False),
                        network=stage, finder=stage)

    monkeypatch.setattr(pipelines, 'Pipeline', made)
    stage.folder = folder
    return stage


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_hands_keep_their_ids_and_every_picture_has_a_line(video, tmp_path):
    out = tmp_path / 'made' / 'hands.jsonl'
    k = [600, 600, 319.5, 239.5]
    assert main(['follow', str(video.folder), '--json', str(out), '--draw',
                 str(tmp_path / 'drawn.mp4'), '--masks', str(tmp_path / 'masks'),
                 '--meshes', str(tmp_path / 'meshes'), '--intrinsics', *map(str, k)]) == 0
    entries = lines(out)
    assert [e['frame'] for e in entries] == list(range(6))
    assert np.allclose([e['time'] for e in entries], np.arange(6) / 30, atol=1e-6)
    assert [[h['id'] for h in e['hands']] for e in entries] == (
        [['right_1']] * 2 + [['right_1', 'left_2']] * 4)
    right = [e['hands'][0] for e in entries]
    truth = [video.scenes[k][0] for k in range(6)]
    for seen, hand in zip(right, truth):
        assert np.abs(np.array(seen['keypoints_px']) - hand.pixels).max() < 2
        assert np.linalg.norm(np.array(seen['translation_m']) - hand.place) < 0.03
        assert cv2.imread(seen['mask']).shape == (480, 640, 3) and os.path.isfile(seen['mesh'])
    assert len({hand['mask'] for hand in right}) == 6
    drawn = open_video(tmp_path / 'drawn.mp4')
    assert drawn.rate == 30.0 and len(list(drawn.pictures)) == 6


def test_it_does_as_the_node_does_unless_told_otherwise(video, tmp_path):
    arguments = ['follow', str(video.folder), '--json', str(tmp_path / 'a')]
    assert main(arguments) == 0
    assert main([*arguments, '--smooth', '--views', '2', '--max-hands', '1', '--mirrored']) == 0
    usual, other = video.made
    assert (usual.views, usual.max_hands, usual.smoothing.any, usual.mirrored_input) == (
        1, 4, False, False)
    assert usual.tracking is not None
    assert (other.views, other.max_hands, other.smoothing.any, other.mirrored_input) == (
        2, 1, True, True)


def test_times_are_of_the_rate_that_is_told(video, tmp_path):
    out = tmp_path / 'hands.jsonl'
    assert main(['follow', str(video.folder), '--json', str(out), '--rate', '10']) == 0
    assert [e['time'] for e in lines(out)] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_a_video_file_is_followed_at_its_rate_with_the_camera_beside_it(
        video, tmp_path, monkeypatch):
    clip = clip_with_matrix(tmp_path, [[70, 0, 31], [0, 71, 23], [0, 0, 1]])
    seen = []
    monkeypatch.setattr(Pipeline, 'process', lambda self, image, camera, stamp: seen.append(
        (camera, stamp)) or Hands(width=64, height=48, hands=()))
    assert main(['follow', str(clip), '--json', str(tmp_path / 'o')]) == 0
    assert [stamp for _, stamp in seen] == pytest.approx([0, 0.05, 0.1])
    assert {(c.fx, c.fy, c.cx, c.cy, c.width) for c, _ in seen} == {(70, 71, 31, 23, 64)}


def clip_with_matrix(folder, matrix):
    """A video of three pictures of 64 x 48, 20 a second, with a matrix beside it."""
    clip = folder / 'clip.avi'
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*'MJPG'), 20.0, (64, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    clip.with_suffix('.json').write_text(json.dumps({'K': matrix}))
    return clip


@pytest.mark.parametrize('focal, status, words', [
    (0, 1, 'hiu follow: K beside {clip}: camera focal lengths must be positive'),
    (3, 1, 'hiu follow: K beside {clip}: camera focal lengths must be pixels'),
    (5, 0, 'hiu follow: K beside {clip} are doubtful: '),
])
def test_a_matrix_beside_the_video_is_named_where_it_is_at_fault(
        video, tmp_path, monkeypatch, capsys, focal, status, words):
    clip = clip_with_matrix(tmp_path, [[focal, 0, 31], [0, focal, 23], [0, 0, 1]])
    monkeypatch.setattr(Pipeline, 'process',
                        lambda self, image, camera, stamp: Hands(width=64, height=48, hands=()))
    assert main(['follow', str(clip), '--json', str(tmp_path / 'o')]) == status
    error = capsys.readouterr().err
    assert error.count('hiu follow') == 1 and words.format(clip=clip) in error


def test_a_video_without_pictures_is_an_error(video, tmp_path, monkeypatch, capsys):
    clip = clip_with_matrix(tmp_path, [])
    monkeypatch.setattr('hiu_ros.perception.picture_source.open_video',
                        lambda path: Source('clip', iter(())))
    assert main(['follow', str(clip), '--json', str(tmp_path / 'o')]) == 1
    assert f'{clip} has no pictures' in capsys.readouterr().err


def test_the_longest_name_leaves_room_for_those_of_its_masks(video, tmp_path):
    folder = video.folder.rename(tmp_path / ('x' * 251))
    assert main(['follow', str(folder), '--masks', str(tmp_path / 'masks')]) == 0
    assert len(list((tmp_path / 'masks').iterdir())) == 10


def test_what_cannot_be_read_is_said_and_the_rest_is_followed(video, tmp_path, capsys):
    for name in ('p_0.png', 'p_3.png'):
        (video.folder / name).write_bytes(b'no image')
    out, drawn = tmp_path / 'hands.jsonl', tmp_path / 'drawn.mp4'
    assert main(['follow', str(video.folder), '--json', str(out), '--draw', str(drawn)]) == 1
    assert [e['frame'] for e in lines(out)] == [1, 2, 4, 5]
    assert {h['id'] for e in lines(out) for h in e['hands']} == {'right_1', 'left_2'}
    assert 'p_3.png is not an image' in capsys.readouterr().err
    # A picture as it was before stands for one that is missing: the others keep their times.
    pictures = [p.image.astype(int) for p in open_video(drawn).pictures]
    assert len(pictures) == 6

    def differ(a, b):
        return np.abs(pictures[a] - pictures[b]).mean()

    assert differ(0, 1) < 1 and differ(3, 2) < 1 and differ(2, 4) > 1


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_whole_lines_and_a_video_that_can_be_read(
        video, tmp_path, monkeypatch, number):
    process, out = Pipeline.process, tmp_path / 'hands.jsonl'
    count = iter(range(9))

    def interrupted(self, *arguments):
        if next(count) == 3:
            signal.raise_signal(number)
        return process(self, *arguments)

    monkeypatch.setattr(Pipeline, 'process', interrupted)
    assert main(['follow', str(video.folder), '--json', str(out), '--draw',
                 str(tmp_path / 'd.mp4')]) == 128 + number
    assert [e['frame'] for e in lines(out)] == [0, 1, 2]
    assert len(list(open_video(tmp_path / 'd.mp4').pictures)) == 3


@pytest.mark.parametrize('arguments, words', [
    (['nowhere.mp4', '--json', 'x'], 'video nowhere.mp4 does not exist'),
    (['{folder}'], 'nothing to write'),
    (['{folder}', '--json', '{folder}'], 'is a folder; name a file'),
    (['{folder}/p_0.png', '--json', 'x'], 'is an image, expected a video'),
    (['{folder}/../text.mp4', '--json', 'x'], 'is not a video that OpenCV can read'),
    (['{folder}/../text.mp4', '--json', '{folder}/../text.mp4'], 'would write over the video'),
    (['{folder}', '--json', 'a.mp4', '--draw', 'a.mp4'], 'write over what --json writes'),
    (['{folder}', '--draw', 'drawn'], 'drawn names no video; expected a name that ends in .mp4'),
    (['{folder}', '--json', 'x', '--rate', '0'], '--rate is 0, expected 1 to 1000'),
    (['{folder}', '--json', 'x', '--views', '9'], '--views is 9, expected 1 to 6'),
    (['{folder}', '--json', 'x', '--intrinsics', '0', '0', '1', '1'], 'focal lengths must be'),
])
def test_what_cannot_be_done_is_said_and_the_video_stays(
        video, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'text.mp4').write_text('no video')
    assert main(['follow', *(a.format(folder=video.folder) for a in arguments)]) == 1
    error = capsys.readouterr().err
    assert error.startswith('hiu follow: ') and words in error
    assert (tmp_path / 'text.mp4').read_text() == 'no video'
