import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hiu_ros.cli import main
from hiu_ros.evaluation import bench_runs
from hiu_ros.evaluation.bars import BARS, missed, verdicts
from hiu_ros.evaluation.bench_command import cache_folder
from hiu_ros.evaluation.tracking import PlacingScores
from hiu_ros.perception.result import Hand, Hands


def a_hand(name):
    return Hand(id=name, side='left', side_score=1.0, score=1.0, box=np.zeros(4),
                keypoints_px=np.zeros((21, 2)), keypoint_scores=np.ones(21),
                keypoints_valid=np.ones(21, bool), keypoints_m=np.zeros((21, 3)),
                vertices_m=np.zeros((3, 3)), pose=np.zeros(48), shape=np.zeros(10),
                wrist_rotation=np.eye(3), mask=np.zeros((1, 1), np.uint8))


def test_bars_are_met_on_their_own_side():
    exact = {bar.figure: bar.bar for bar in BARS}
    assert missed(verdicts(exact)) == []
    worse = {bar.figure: bar.bar * (0.9 if bar.least else 1.1) for bar in BARS}
    assert missed(verdicts(worse)) == [bar.figure for bar in BARS]


def test_what_was_not_measured_is_neither_met_nor_missed():
    rows = verdicts({'recall': math.nan, 'switches_per_1000': 0.0})
    by_name = {row['figure']: row['met'] for row in rows}
    assert by_name['recall'] == by_name['side'] == 'not measured'
    assert by_name['switches_per_1000'] == 'yes'
    assert missed(rows) == []


def test_clip_counts_names_and_frames_with_a_hand(tmp_path, monkeypatch):
    path = tmp_path / 'clip.avi'
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 30.0, (64, 48))
    for _ in range(10):
        video.write(np.zeros((48, 64, 3), np.uint8))
    video.release()
    seen = iter([(), ('left_1',), ('left_1',), (), *[('left_2',)] * 6])

    class Stub:
        def process(self, image, camera, stamp):
            return Hands(64, 48, tuple(a_hand(name) for name in next(seen)))

    monkeypatch.setattr(bench_runs.Bench, 'pipeline', lambda self: Stub())
    bench = bench_runs.Bench(tmp_path)
    scores = bench_runs.clip(bench, path)
    assert scores == {'frames': 10, 'names': 2, 'found': 0.8, 'who': ['left_1', 'left_2']}
    with pytest.raises(OSError, match='none.mp4'):
        bench_runs.clip(bench, tmp_path / 'none.mp4')


@pytest.mark.parametrize('words,says', [
    (['--clip', 'none.mp4'], 'the video none.mp4 does not exist'),
    (['--json', '.'], '. is a folder; give the name of a file to write'),
    (['--every', '0'], '--every must be above 0, got 0'),
    (['--seed', '-1'], '--seed must be 0 or more, got -1'),
    (['--clip-frames', '0'], '--clip-frames must be above 0, got 0'),
    (['--parts'], 'nothing to measure: give --parts of following, placing, rest, or --clip'),
    (['--cache', 'text'], '--cache text names a file; name the folder to write into'),
    (['--video', 'text'], '--video text names a file; name the folder to write into'),
    (['--weights', 'text'], 'weights file text is not a whole safetensors file (Error while '
     'deserializing header: header too small); copy it again'),
])
def test_files_are_looked_at_before_anything_is_rendered(words, says, tmp_path, capsys,
                                                         monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'text').write_text('text')
    monkeypatch.setattr(bench_runs, 'following', lambda *a: pytest.fail('rendered'))
    assert main(['bench', 'tracking', '--parts', 'following', '--cache', 'cache', *words]) == 1
    assert capsys.readouterr().err == f'hiu bench: {says}\n'


def test_the_title_counts_the_frames_that_a_video_has_from_the_first_on(
        tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_runs.Bench, 'pipeline', lambda self: None)
    row = {'name': 'all', **bench_runs.FollowingScores().row()}
    monkeypatch.setattr(bench_runs, 'following', lambda *given: [row])
    assert main(['bench', 'tracking', '--parts', 'following', '--first', '250', '--frames', '100',
                 '--cache', str(tmp_path)]) == 0
    assert 'Following, 50 frames a video' in capsys.readouterr().out


def test_every_nth_frame_of_a_part_of_a_video_is_followed(tmp_path, monkeypatch):
    shown = []
    video = SimpleNamespace(camera_matrix=np.eye(3), width=8, height=6,
                            frame=lambda number: shown.append(number))
    monkeypatch.setattr(bench_runs.Bench, 'video', lambda self, **settings: video)
    monkeypatch.setattr(bench_runs.Bench, 'pipeline', lambda self: None)
    monkeypatch.setattr(bench_runs, 'follow', lambda pipeline, frames, *a, **k: iter(
        [(None, None) for _ in frames]))
    monkeypatch.setattr(bench_runs, 'as_seen', lambda *a: ([], []))
    bench_runs.following(bench_runs.Bench(tmp_path), [1], 10, 290, every=4)
    assert shown == [290, 294, 298]


@pytest.mark.parametrize('holding,settings', [
    (False, {}), (True, {'holding': True}),  # videos kept before are found under their old names
])
def test_holding_hands_are_asked_for(holding, settings, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(bench_runs.Bench, 'video', lambda self, **given: asked.append(given))
    monkeypatch.setattr(bench_runs.Bench, 'pipeline', lambda self: None)
    monkeypatch.setattr(bench_runs, '_Part', lambda *a: None)
    monkeypatch.setattr(bench_runs, 'follow', lambda *a, **k: iter(()))
    words = ['bench', 'tracking', '--parts', 'following', '--hands', '2', '--seed', '5',
             '--cache', str(tmp_path), *['--holding'] * holding]
    assert main(words) == 0
    assert asked == [{'seed': 6, 'hands': 2, 'frames': 300, **settings}]


def test_depth_is_judged_about_one_metre():
    scores = PlacingScores(away=[0.5, 0.95, 1.0, 1.1, 1.4], distance=[9.0, 1.0, 2.0, 0.5, 9.0])
    assert bench_runs.at_one_metre(scores) == pytest.approx(9.5)
    assert math.isnan(bench_runs.at_one_metre(PlacingScores()))


def test_videos_are_kept_in_the_user_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert cache_folder() == tmp_path / 'hiu_ros' / 'bench'
    monkeypatch.delenv('XDG_CACHE_HOME')
    assert cache_folder().parts[-3:] == ('.cache', 'hiu_ros', 'bench')
