"""Commands that start processes: whatever ends the command, none of them is left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from hiu_ros.ros.process import ending_signals  # noqa: E402

#: Takes a second to end when asked, as a node with work in hand. Lines are written in one go, as
#: where Python is unbuffered `print` writes the pieces of a line and others come between them.
CHILD = """
import signal, sys, time
from hiu_ros.ros.process import end_with_command
def end(*_):
    time.sleep(1.0)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
end_with_command()
sys.stdout.write('ready\\n')
sys.stdout.flush()
time.sleep(600)
"""
SCRIPT = f"""
import sys, time
from hiu_ros.ros import children
def run(processes):
    processes += [children.start([sys.executable, '-c', {CHILD!r}]) for _ in range(2)]
    sys.stdout.write(' '.join(str(process.pid) for process in processes) + '\\n')
    sys.stdout.flush()
    time.sleep(600)
sys.exit(children.run_with_children('test', run))
"""


def _alive(pid):
    """Also False of one that has ended, and that nobody has asked about as yet."""
    try:
        os.kill(pid, 0)
        return ') Z ' not in Path(f'/proc/{pid}/stat').read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def _killed(pids):
    """Those of some processes that were still there."""
    left = [pid for pid in pids if _alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left


@pytest.mark.parametrize('distribution, variable', [
    ('', 'FASTDDS_DEFAULT_PROFILES_FILE'), ('kilted', 'FASTDDS_DEFAULT_PROFILES_FILE'),
    ('humble', 'FASTRTPS_DEFAULT_PROFILES_FILE'), ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'),
])
def test_processes_have_room_for_images_wherever_the_package_lies(
    tmp_path, distribution, variable
):
    (tmp_path / 'hiu_ros').symlink_to(Path(__file__).parents[2] / 'hiu_ros')
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(
        [str(tmp_path), os.environ.get('PYTHONPATH', '')])}
    environment['ROS_DISTRO'] = distribution
    environment.pop(variable, None)
    done = subprocess.run(
        [sys.executable, '-c', 'from hiu_ros.ros import children; print(children.__file__); '
         f'print(children.environment().get("{variable}"))'],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    module, profile = done.stdout.splitlines()
    assert module.startswith(str(tmp_path))
    assert Path(profile).is_file() and Path(profile).name == 'fastdds.xml'


def test_a_domain_that_cannot_be_is_one_line_before_any_process_starts():
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT], cwd=Path(__file__).parents[2], capture_output=True,
        text=True, timeout=240, env={**os.environ, 'ROS_DOMAIN_ID': '233'})
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr == "test: ROS_DOMAIN_ID is '233', expected a number from 0 to 232\n"


@pytest.mark.parametrize('number', ending_signals())
def test_an_impatient_user_leaves_no_process_behind(wait_for, number):
    command = subprocess.Popen(
        [sys.executable, '-c', SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2])
    lines = [command.stdout.readline() for _ in range(3)]
    pids = [int(pid) for line in lines if 'ready' not in line for pid in line.split()]
    command.send_signal(number)
    # The second one comes while the first is obeyed.
    assert not wait_for(lambda: command.poll() is not None, 0.5)
    command.send_signal(number)
    try:
        _, errors = command.communicate(timeout=60)
    finally:
        command.kill()
        left = _killed(pids)
    assert len(pids) == 2 and not left
    assert command.returncode == 130 and not errors


def test_a_process_that_still_imports_ends_without_a_traceback(tmp_path):
    """Nodes have no handlers of signals before their imports are done."""
    begun = tmp_path / 'begun'
    child = f'import time; open({str(begun)!r}, "w").close(); time.sleep(600)'
    script = f"""
import pathlib, sys, time
from hiu_ros.ros import children
def run(processes):
    processes.append(children.start([sys.executable, '-c', {child!r}]))
    while not pathlib.Path({str(begun)!r}).exists():
        time.sleep(0.01)
    raise children.NodeEnded('the other one ended')
sys.exit(children.run_with_children('test', run))
"""
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True,
                          cwd=Path(__file__).parents[2], timeout=120)
    assert (done.returncode, done.stderr) == (1, 'test: the other one ended\n')


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='prctl is of Linux')
def test_a_command_that_is_killed_leaves_no_process_behind(wait_for):
    command = subprocess.Popen([sys.executable, '-c', SCRIPT], stdout=subprocess.PIPE, text=True,
                               cwd=Path(__file__).parents[2])
    lines = [command.stdout.readline() for _ in range(3)]
    pids = [int(pid) for line in lines if 'ready' not in line for pid in line.split()]
    assert len(pids) == 2 and all(_alive(pid) for pid in pids)
    command.kill()
    command.wait()
    wait_for(lambda: not any(_alive(pid) for pid in pids), 60.0)
    assert not _killed(pids)


@pytest.mark.parametrize('named, said', [(str(os.getpid()), 'lives'), ('1x', ''), ('', 'lives')],
                         ids=['its', 'others', 'none'])
def test_a_process_whose_command_has_ended_ends_at_once(named, said):
    done = subprocess.run(
        [sys.executable, '-c', 'from hiu_ros.ros.process import end_with_command\n'
         'end_with_command()\nprint("lives")'], cwd=Path(__file__).parents[2],
        env={**os.environ, 'HIU_COMMAND': named}, capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, said, '')
