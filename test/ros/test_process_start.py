"""What keeps the node's process from starting: one line, no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')


def named(name):
    return ('-r', f'__node:={name}')


@pytest.fixture(scope='module')
def wrong_weights(tmp_path_factory):
    """Name -> path of weights that cannot work, and words of the line that says so."""
    torch = pytest.importorskip('torch')
    from hiu_ros.network import checkpoint

    folder = tmp_path_factory.mktemp('weights')
    other, truncated = folder / 'other.safetensors', folder / 'truncated.safetensors'
    checkpoint.write(other, torch.nn.Linear(3, 2), 'something', {})
    checkpoint.write(truncated, torch.nn.Linear(300, 200), 'hiu', {})
    truncated.write_bytes(truncated.read_bytes()[:5000])
    return {
        'missing': (folder / 'missing.safetensors', 'does not exist'),
        'truncated': (truncated, 'not a whole safetensors file'),
        'other': (other, "expected 'hiu'"),
    }


def test_weights_that_cannot_work_are_one_line_and_exit_code_one(spawn, wrong_weights):
    nodes = {
        name: spawn(*named(name), module='hiu_ros.ros.node',
                    parameters={'weights': path, 'device': 'cpu'})
        for name, (path, _) in wrong_weights.items()
    }
    for name, (path, words) in wrong_weights.items():
        assert nodes[name].wait() == 1, name
        lines = [line for line in nodes[name].lines if '[INFO]' not in line]
        assert len(lines) == 1, nodes[name].log
        assert '[FATAL]' in lines[0] and str(path) in lines[0] and words in lines[0]


def test_a_device_that_cannot_be_used_is_replaced_by_the_cpu_or_is_one_line(spawn):
    going_on, ending = (
        spawn(*named(name), parameters={'device': 'cuda', 'cpu_fallback': fallback})
        for name, fallback in (('going_on', True), ('ending', False)))
    assert ending.wait() == 1
    lines = [line for line in ending.lines if '[INFO]' not in line]
    assert len(lines) == 1 and '[FATAL]' in lines[0] and 'CUDA error' in lines[0], ending.log
    assert going_on.wait_log('fake on cpu')
    lines = [line for line in going_on.lines if '[INFO]' not in line]
    assert len(lines) == 1 and '[WARN]' in lines[0] and 'going on on the CPU' in lines[0]


def test_an_illegal_parameter_at_start_is_one_line_and_exit_code_one(spawn):
    cases = {
        'range': ({'max_hands': 99}, ['max_hands', '99']),
        'type': ({'min_score': 1}, ['min_score', 'DOUBLE']),
        'choice': ({'regions': 'moon'}, ['regions', 'moon', 'finder']),
        'names': ({'cameras': "['a','a']"}, ['cameras']),
        'together': ({'warn_age': 9.0}, ['warn_age', 'error_age']),
    }
    nodes = {name: spawn(*named(name), parameters=p) for name, (p, _) in cases.items()}
    for name, (_, words) in cases.items():
        node = nodes[name]
        assert (name, node.wait()) == (name, 1)
        assert len(node.lines) == 1 and '[FATAL]' in node.lines[0], node.log
        for word in words:
            assert word in node.lines[0]


def test_a_misspelt_parameter_is_told_and_the_node_runs(spawn):
    node = spawn(*named('speller'), parameters={'presicion': 'half', 'min_score': 0.6})
    assert node.wait_log('fake on fake')
    (line,) = [line for line in node.lines if '[INFO]' not in line]
    assert '[WARN]' in line and 'presicion is no parameter' in line and 'precision' in line
    assert node.end()[0] == 0


def test_ros_arguments_that_cannot_be_read_are_told_without_a_traceback(spawn, tmp_path):
    garbled = tmp_path / 'garbled.yaml'
    garbled.write_text('hiu_node:\n  max_hands: 3\n')
    cases = {
        'missing': ('--params-file', str(tmp_path / 'missing.yaml')),
        'garbled': ('--params-file', str(garbled)),
        'remap': ('-r', 'image:=1cam/image'),
        'unknown': ('--moon',),
    }
    nodes = {name: [spawn(*arguments), spawn(*arguments, module='hiu_ros.ros.source_node')]
             for name, arguments in cases.items()}
    for name, arguments in cases.items():
        for node in nodes[name]:
            assert (name, node.wait()) == (name, 1), node.log
            assert 'Traceback' not in node.log, node.log
            assert arguments[-1] in node.lines[-1], node.log
            assert 'ROS arguments' in node.lines[-1], node.log


def test_arguments_outside_of_ros_args_are_refused_since_ros_would_pass_over_them(spawn):
    cases = {'': ['-p', 'weights:=hiu_lite'], 'hiu_ros.ros.source_node': ['clip.mp4']}
    nodes = {module: spawn('--', *words, module=module) for module, words in cases.items()}
    for module, words in cases.items():
        node = nodes[module]
        assert node.wait() == 1, node.log
        # ROS itself still takes name:=value for a remapping of old.
        assert f'arguments {words[:1]} stand outside of --ros-args' in node.lines[-1], node.log
        assert '-p name:=value' in node.lines[-1], node.log


def test_logs_that_cannot_be_written_are_told_with_the_cure(spawn, monkeypatch, tmp_path):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'file' / 'log'))
    node = spawn(*named('silent'))
    assert node.wait() == 1
    (line,) = node.lines
    assert '[FATAL]' in line and str(tmp_path / 'file') in line and 'set ROS_LOG_DIR to' in line


@pytest.mark.parametrize('domain', ['abc', '999'])
def test_a_domain_that_cannot_be_is_one_line_and_exit_code_one(monkeypatch, domain):
    monkeypatch.setenv('ROS_DOMAIN_ID', domain)
    for module in ('node', 'source_node'):
        done = subprocess.run(
            [sys.executable, '-m', f'hiu_ros.ros.{module}'], cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240)
        words = f"ROS_DOMAIN_ID is '{domain}', expected a number from 0 to 232"
        assert done.returncode == 1 and words in done.stdout and done.stdout.count('\n') == 1


def test_wrong_quality_of_service_is_one_line_and_exit_code_one_before_anybody_reads(spawn):
    cases = {
        'shared': ('/diagnostics.publisher.reliability', 'sometimes'),
        'type': ('/hands.publisher.depth', 'many'),
        'negative': ('/masks.publisher.depth', -1),
        'lazy': ('/image.subscription.reliability', 'sometimes'),
    }
    nodes = {name: spawn(*named(name), parameters={f'qos_overrides.{key}': value, 'lazy': True})
             for name, (key, value) in cases.items()}
    for name, (key, _) in cases.items():
        node = nodes[name]
        assert (name, node.wait()) == (name, 1)
        lines = [line for line in node.lines if '[INFO]' not in line]
        assert len(lines) == 1 and '[FATAL]' in lines[0], node.log
        assert f'qos_overrides.{key.rpartition(".")[0]}' in lines[0]
        assert 'reliable or best_effort' in lines[0] and 'depth a whole number' in lines[0]
