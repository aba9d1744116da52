"""The demo from end to end, around a node without networks: what it leaves and what it says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')
pytest.importorskip('rosbags')

from hiu_ros.perception.picture_source import Picture, Source, SourceError  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: Runs the demo around fake_node.py, which no option of the demo can do.
SCRIPT = f"""
import sys
from hiu_ros.ros import demo
node = [sys.executable, {str(HERE / "fake_node.py")!r}, *demo.ros_arguments([])]
sys.exit(demo.main(sys.argv[1:], node))
"""


def demo(domain, *arguments, script=SCRIPT):
    environment = {
        **os.environ, 'ROS_DOMAIN_ID': str(domain), 'OMP_NUM_THREADS': '1',
        'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]),
    }
    return subprocess.run(
        [sys.executable, '-c', script, *map(str, arguments)], text=True, cwd=ROOT,
        env=environment, capture_output=True, timeout=240,
    )


@pytest.fixture(scope='module')
def played(domain, tmp_path_factory):
    folder = tmp_path_factory.mktemp('demo')
    pictures = folder / 'pictures'
    pictures.mkdir()
    for k in range(6):
        image = np.full((120, 160, 3), 90, np.uint8)
        image[0, 0], image[0, 1] = k % 3, 0
        cv2.imwrite(str(pictures / f'{k}.png'), image)
    return demo(domain, '--source', pictures, '--out', folder / 'out'), folder / 'out'


def test_it_says_what_it_saw(played):
    done, out = played
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
    assert 'hands in 4 of them' in done.stdout and 'right_0 in 4 frames' in done.stdout
    for file in ('annotated', 'contact_sheet.png', 'hiu.mcap'):
        assert str(out / file) in done.stdout
    summary = json.loads((out / 'summary.json').read_text())
    assert (summary['frames'], summary['frames_with_hands'], summary['unanswered']) == (6, 4, 0)
    assert summary['hands'] == {'right_0': 4, 'left_1': 2}
    assert summary['free_running']['answered'] > 0


def test_it_leaves_a_video_and_a_sheet(played):
    _, out = played
    capture = cv2.VideoCapture(str(next(out.glob('annotated.*'))))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 6
    assert cv2.imread(str(out / 'contact_sheet.png')).shape[1] > 1000


def test_its_bag_holds_every_topic_with_definitions(played):
    from rosbags.highlevel import AnyReader

    from hiu_ros.ros.topics import OUTPUTS

    _, out = played
    with AnyReader([out / 'hiu.mcap']) as reader:
        assert reader.end_time - reader.start_time < 1e9
        topics = {c.topic: c for c in reader.connections}
        expected = {f'/hiu_demo/{topic}' for topic in OUTPUTS if 'wrist' not in topic}
        expected = {t + '/compressed' if t.endswith('annotated') else t for t in expected}
        assert expected | {'/hiu_demo/image/compressed', '/diagnostics'} <= set(topics)
        connection = topics['/hiu_demo/hands']
        assert 'FreiHAND' not in connection.msgtype and 'image_points' in connection.msgdef.data
        hands = [reader.deserialize(data, connection.msgtype)
                 for _, _, data in reader.messages([connection])]
        assert [len(message.hands) for message in hands] == [0, 1, 2, 0, 1, 2]
        stamps = [stamp for _, stamp, _ in reader.messages([connection])]
        assert np.diff(stamps) == pytest.approx(1e9 / 30, rel=1e-3)


def test_a_bag_is_a_source(played, domain, tmp_path):
    _, out = played
    done = demo(domain, '--source', out / 'hiu.mcap', '--out', tmp_path, '--frames', 3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / 'summary.json').read_text())['frames'] == 3


@pytest.mark.parametrize('whole', [0, 2])
def test_what_was_played_of_a_damaged_bag_is_summarised(
    around, monkeypatch, tmp_path, capsys, whole
):
    def pictures():
        yield from [Picture(np.zeros((48, 64, 3), np.uint8), k / 30) for k in range(whole)]
        raise SourceError('the.bag is damaged: disk image is malformed')

    monkeypatch.setattr(around, 'open_source', lambda what: Source('the.bag', pictures()))
    assert around.main(['--source', 'the.bag', '--out', str(tmp_path)],
                       [sys.executable, '-c', 'pass']) == 1
    told = capsys.readouterr()
    assert told.err.splitlines()[-1] == 'demo: the.bag is damaged: disk image is malformed'
    assert (tmp_path / 'summary.json').exists() == bool(whole)
    if whole:
        assert 'hands in 2 of them' in told.out
        assert json.loads((tmp_path / 'summary.json').read_text())['frames'] == 2


def test_a_missing_source_is_one_line(domain, tmp_path):
    done = demo(domain, '--source', tmp_path / 'nothing.mp4', '--out', tmp_path / 'out')
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1 and 'nothing.mp4 does not exist' in lines[0]


def test_a_node_that_cannot_start_ends_the_demo(domain, tmp_path, played):
    _, out = played
    script = 'import sys; from hiu_ros.ros.demo import main; sys.exit(main(sys.argv[1:]))'
    done = demo(domain, '--source', out / 'hiu.mcap', '--out', tmp_path, '-p',
                'weights:=/nowhere/hiu.safetensors', script=script)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert '/nowhere/hiu.safetensors does not exist' in done.stderr + done.stdout
    assert 'demo: the node ended with 1' in done.stderr


@pytest.fixture
def around(monkeypatch):
    """The demo's module, around a player of which every picture has a left hand."""
    from hiu_ros.ros import children
    from hiu_ros.ros import demo as module
    from hiu_ros.ros.player import Answer

    class Player:
        def __init__(self, namespace, process, write):
            self._write = write

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def wait_until_ready(self):
            pass

        def ask(self, picture):
            self._write('/diagnostics', 'std_msgs/msg/Empty', 1, bytes(5))
            return Answer(['left_1'], None, 0.1)

        def free_run(self, pictures, rate):
            return {}

    monkeypatch.setattr(module, 'Player', Player)
    monkeypatch.setattr(children.signal, 'signal', lambda *arguments: None)
    return module


@pytest.fixture
def interrupted(around, monkeypatch, tmp_path):
    """`interrupted(method)`: the demo in this process; Ctrl-C comes in that method of Player."""
    def stop(self, *arguments):
        raise KeyboardInterrupt

    def run(method):
        cv2.imwrite(str(tmp_path / '0.png'), np.zeros((48, 64, 3), np.uint8))
        monkeypatch.setattr(around.Player, method, stop)
        options = ['--source', str(tmp_path), '--out', str(tmp_path / 'out')]
        return around.main(options, [sys.executable, '-c', 'pass'])

    return run


def test_interrupted_behind_the_last_picture_it_still_reports(interrupted, tmp_path, capsys):
    assert interrupted('free_run') == 0
    assert 'hands in 1 of them' in capsys.readouterr().out
    assert json.loads((tmp_path / 'out' / 'summary.json').read_text())['frames'] == 1


def test_interrupted_before_the_first_picture_it_keeps_the_bag_of_before(interrupted, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'hiu.mcap').write_bytes(b'of before')
    assert interrupted('wait_until_ready') == 130
    assert [file.name for file in (tmp_path / 'out').iterdir()] == ['hiu.mcap']
    assert (tmp_path / 'out' / 'hiu.mcap').read_bytes() == b'of before'


def test_interrupted_while_it_renders_it_ends_without_a_traceback(tmp_path):
    command = subprocess.Popen(
        [sys.executable, '-m', 'hiu_ros.ros.demo', '--out', str(tmp_path)], cwd=ROOT, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    end = time.monotonic() + 240
    while not (tmp_path / 'clip_part.mp4').exists() and time.monotonic() < end:
        time.sleep(0.05)
    # The terminal sends it to the whole group.
    os.killpg(command.pid, signal.SIGINT)
    _, errors = command.communicate(timeout=240)
    assert command.returncode == 130 and not errors


def test_a_picture_that_annotated_rate_leaves_out_is_not_waited_for_long(domain, monkeypatch):
    from hiu_ros.msg import HandKeypoints, HandKeypointsArray
    from rclpy.serialization import serialize_message

    from hiu_ros.ros import player as module

    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    monkeypatch.setattr(module, 'REST_PATIENCE', 0.3)
    node = SimpleNamespace(poll=lambda: None)
    player = module.Player('/seldom', node, lambda *message: None)

    def publish(picture, seconds, own=player._publish):
        header, sent = own(picture, seconds)
        answer = HandKeypointsArray(header=header, hands=[HandKeypoints(id='left_1')])
        player._on_message('hands', serialize_message(answer))
        return header, sent

    monkeypatch.setattr(player, '_publish', publish)
    with player:
        begin = time.monotonic()
        answer = player.ask(Picture(np.zeros((48, 64, 3), np.uint8), 0.0))
        seconds = time.monotonic() - begin
    assert (answer.ids, answer.annotated) == (['left_1'], None) and 0.3 < seconds < 5.0


@pytest.mark.parametrize('parameter', ['cameras:=[a]', 'compressed:=true', 'autostart:=false'])
def test_a_node_that_would_not_hear_the_pictures_is_not_waited_for(
    around, tmp_path, capsys, parameter
):
    cv2.imwrite(str(tmp_path / '0.png'), np.zeros((48, 64, 3), np.uint8))
    options = ['--source', str(tmp_path), '--out', str(tmp_path / 'out'), '-p', parameter]
    assert around.main(options) == 1
    assert f'demo: -p {parameter.partition(":")[0]}: here' in capsys.readouterr().err


@pytest.mark.parametrize('frames', [0, -1])
def test_a_count_of_pictures_is_checked(frames, capsys):
    from hiu_ros.ros.demo import main

    with pytest.raises(SystemExit) as error:
        main(['--frames', str(frames)])
    assert error.value.code == 2 and f'at least 1, got {frames}' in capsys.readouterr().err
