"""The soak in its short form against the real node, and how it judges what it saw."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue  # noqa: E402

from hiu_ros.ros import soak, soak_reader  # noqa: E402
from hiu_ros.ros.diagnostics import State, Summary, to_message  # noqa: E402
from hiu_ros.ros.parameters import NodeOptions  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
#: An hour is `python -m hiu_ros.ros.soak`, or this test with HIU_SOAK_SECONDS=3600.
SECONDS = float(os.environ.get('HIU_SOAK_SECONDS', 60.0))


def row(seconds, memory, threads=20, handles=25):
    return {'seconds': seconds, 'rss_mib': memory, 'threads': threads, 'handles': handles,
            'sent': 300, 'received': 290, 'dropped': 200, 'unusable': 0, 'answered': 90,
            'with_hands': 60, 'inference_ms': 80.0, 'age_median_ms': 100.0, 'age_p95_ms': 130.0}


def test_a_flat_hour_is_fine_whatever_its_first_minutes_were():
    rows = [row(10.0 * k, min(400 + 5 * k, 500) + k % 3) for k in range(1, 361)]
    result = soak.judge(rows)
    assert result['faults'] == [] and result['warm_up_s'] == 300
    assert abs(result['growth']) < 0.01 and abs(result['slope_mib_per_hour']) < 1
    assert (result['sent'], result['answered']) == (108000, 32400)


@pytest.mark.parametrize('change, words', [
    (lambda k: {'memory': 500 + 0.1 * k}, 'memory grew by 5.9%'),
    (lambda k: {'memory': 500, 'threads': 20 + (k > 200)}, 'threads went from 20 to 21'),
    (lambda k: {'memory': 500, 'handles': 25 + k // 100}, 'handles went from 25 to 28'),
])
def test_growth_is_a_fault_by_name(change, words):
    result = soak.judge([row(10.0 * k, **change(k)) for k in range(1, 361)])
    assert len(result['faults']) == 1 and words in result['faults'][0]


def test_the_warm_up_of_a_short_soak_is_its_first_third():
    result = soak.judge([row(5.0 * k, 400 if k < 4 else 500) for k in range(1, 13)])
    assert result['faults'] == [] and result['warm_up_s'] == 20


def test_diagnostics_of_other_nodes_are_not_counted(monkeypatch, domain):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    seen = Summary(period=1.0, received=30, published=20, dropped=9, ages=(0.1,),
                   inference=(0.1,))
    report = {'': (seen, State())}
    lidar = DiagnosticStatus(
        name='lidar', hardware_id='lidar', values=[KeyValue(key='rpm', value='600')])
    with soak_reader.Reader('/here') as reader:
        for message in (
            DiagnosticArray(status=[lidar]),
            to_message(Time(), 'here/hiu_node', report, NodeOptions()),
            to_message(Time(), 'there/hiu_node', report, NodeOptions()),
        ):
            reader._on_diagnostics(message)
        sample = reader.sample()
    assert (sample['received'], sample['dropped']) == (30, 9)


def test_what_a_camera_without_camera_info_sent_is_not_told_as_nothing(
    monkeypatch, domain, capsys
):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    with soak_reader.Reader('/here') as reader:
        assert reader.sample()['sent'] is None
        reader._on_sent(b'')
        assert [reader.sample()['sent'], reader.sample()['sent']] == [1, 0]
    unknown = [{**row(300 * k, 600), 'sent': None} for k in range(3)]
    for rows, words in ((unknown, 'of a camera without camera_info, 870 received'),
                        ([unknown[0], row(300, 600), row(600, 600)], ' 600 sent, 870 received')):
        soak.report(soak.judge(rows))
        assert words in capsys.readouterr().out


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    """A small rendered clip in which the hands leave."""
    from hiu_ros.data.renders.sequences import HandSequence, write_clip

    out = tmp_path_factory.mktemp('soak')
    sequence = HandSequence(seed=3, hands=1, width=320, height=240, frames=40)
    write_clip(out / 'clip.mp4', sequence)
    return soak.soak_clip(out)


def run(domain, *arguments, patience=SECONDS + 300):
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(domain), 'OMP_NUM_THREADS': '1'}
    return subprocess.run(
        [sys.executable, '-m', 'hiu_ros.ros.soak', *map(str, arguments)], text=True, cwd=ROOT,
        env=environment, capture_output=True, timeout=patience)


def test_the_node_holds_no_more_in_the_end_than_before(domain, clip, tmp_path):
    done = run(domain, '--minutes', SECONDS / 60, '--source', clip, '--out', tmp_path,
               '-p', 'threads:=1', '-p', 'min_hits:=1')
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
    result = json.loads((tmp_path / 'soak.json').read_text())
    assert result['faults'] == [] and result['unusable'] == 0
    assert result['answered'] > 0 and 0 < result['with_hands'] < result['answered']
    with open(tmp_path / 'soak.csv', encoding='utf-8') as file:
        assert len(list(csv.DictReader(file))) >= 12


def test_a_missing_source_is_told_at_once(domain, tmp_path):
    done = run(domain, '--minutes', 0.1, '--source', tmp_path / 'none.mp4', '--out', tmp_path,
               patience=60)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert f'{tmp_path}/none.mp4 does not exist' in done.stderr
    assert 'soak: the node gave no answer: hiu_ros.ros.source_node ended with 1' in done.stderr


def test_a_node_that_cannot_start_is_one_line(domain, clip, tmp_path):
    done = run(domain, '--minutes', 0.1, '--source', clip, '--out', tmp_path,
               '-p', 'weights:=/nowhere/hiu.safetensors')
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'soak: the node gave no answer' in done.stderr


@pytest.mark.parametrize('parameter', ['cameras:=[a]', 'compressed:=true', 'autostart:=false'])
def test_a_node_that_would_not_hear_the_camera_is_not_waited_for(
    parameter, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(soak, 'start', lambda *_: pytest.fail('started'))
    monkeypatch.setattr(soak.children, 'environment', dict)
    options = ['--source', str(tmp_path), '--out', str(tmp_path / 'out'), '-p', parameter]
    assert soak.main(options) == 1
    assert f'soak: -p {parameter.partition(":")[0]}: here' in capsys.readouterr().err


@pytest.mark.parametrize('minutes', ['0', '-1', 'nan', 'inf'])
def test_a_time_that_has_no_end_or_no_length_is_refused(minutes, monkeypatch, capsys):
    monkeypatch.setattr(soak.children, 'run_with_children', lambda *_: pytest.fail('started'))
    with pytest.raises(SystemExit) as error:
        soak.main(['--minutes', minutes])
    assert error.value.code == 2
    assert f'--minutes must be a finite number above 0, got {float(minutes)}' in (
        capsys.readouterr().err)
