"""The scripts behind `make` obey Ctrl-C, know their place, and refuse where ROS cannot build."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path):
    """A checkout without a package whose environment answers what the test puts into its bin/."""
    return make_tree(tmp_path / 'tree')


def make_tree(place: Path) -> Path:
    shutil.copytree(ROOT / 'environment', place / 'environment')
    shutil.copy(ROOT / 'Makefile', place)
    (place / 'requirements.txt').touch()
    binaries = place / '.venv' / 'bin'
    binaries.mkdir(parents=True)
    (binaries / 'activate').write_text(
        f'VIRTUAL_ENV="{place}/.venv"\nPATH="$VIRTUAL_ENV/bin:$PATH"\n')
    (place / '.venv' / 'pyvenv.cfg').write_text('include-system-site-packages = false\n')
    return place


def program(tree: Path, name: str, lines: str) -> None:
    path = tree / '.venv' / 'bin' / name
    path.write_text(f'#!/bin/bash\n{lines}\n')
    path.chmod(0o755)


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in (
        'ROS_DISTRO', 'PYTHON', 'TORCH', 'TORCH_INDEX', 'CDPATH')}
    return {**kept, **more}


def press_ctrl_c(tree: Path, script: str, started: Path) -> subprocess.CompletedProcess:
    """Run a script and interrupt its group, as a terminal does, once `started` is there."""
    with subprocess.Popen(
        ['bash', f'environment/{script}', '.venv'], cwd=tree, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as run:
        deadline = time.monotonic() + 240
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGINT)
        out, errors = run.communicate(timeout=240)
    return subprocess.CompletedProcess(run.args, run.returncode, out, errors)


#: Notes that it was called, and ends by itself at Ctrl-C, as pip and colcon do.
ANSWERS_CTRL_C = "trap 'exit 1' INT; echo \"$*\" >>calls; for i in {1..300}; do sleep 0.1; done"


def test_ctrl_c_ends_a_build_that_continues_an_interrupted_one(tree):
    program(tree, 'python', f'exec {sys.executable} "$@"')
    program(tree, 'colcon', ANSWERS_CTRL_C)
    for _ in range(2):
        (tree / 'calls').unlink(missing_ok=True)
        run = press_ctrl_c(tree, 'build.bash', tree / 'calls')
        assert run.returncode == 130
        assert (tree / 'calls').read_text().count('build') == 1
        assert 'failed' not in run.stderr


def test_ctrl_c_during_torch_does_not_go_on_to_the_build_for_gpus(tree):
    program(tree, 'python', f"""
        case "$*" in
            *pip\\ --version) ;;
            *pip\\ install*) {ANSWERS_CTRL_C} ;;
            *import\\ torch*) exit 1 ;;
            *) exec {sys.executable} "$@" ;;
        esac""")
    run = press_ctrl_c(tree, 'prepare.bash', tree / 'calls')
    assert run.returncode == 130
    assert (tree / 'calls').read_text().count('torch') == 1
    assert 'CUDA' not in run.stdout


@pytest.mark.parametrize('choice, said, installed', [
    ({'TORCH': 'torch==2.9.*'}, 'Installing torch==2.9.*', 'torch==2.9.*'),
    ({'TORCH': 'torch==2.13.0'}, '', ''),
    ({'TORCH_INDEX': 'https://index/cpu'}, 'torch 2.13.0+cpu is there and stays; to take', ''),
], ids=['other', 'same', 'index'])
def test_another_torch_is_installed_into_an_environment_that_is_ready(
        tree, choice, said, installed):
    program(tree, 'python', f"""
        case "$*" in
            *pip\\ install*) echo "$*" >>calls ;;
            *import\\ torch*) echo 2.13.0+cpu ;;
            environment/*) ;;
            *) exec {sys.executable} "$@" ;;
        esac""")
    for folder in ('hiu_ros', 'msg', 'srv', 'launch', 'config', 'scripts'):
        (tree / folder).mkdir()
    (tree / '.venv' / '.ready-wheels').touch()
    assert up_to_date(tree)
    run = subprocess.run(['make', 'env'], cwd=tree, env=environment(**choice), text=True,
                         capture_output=True, timeout=240)
    assert run.returncode == 0, run.stderr
    calls = [line for line in (tree / 'calls').read_text().splitlines() if 'torch' in line]
    assert said in run.stdout and bool(calls) == bool(installed)
    assert all(installed in call for call in calls)


@pytest.mark.parametrize('name', ['Hände', 'my work', 'a,b'])
def test_folder_that_ros_cannot_build_in_is_refused_in_one_line(tmp_path, name):
    place = make_tree(tmp_path / name)
    run = subprocess.run(['bash', 'environment/prepare.bash', '.venv'], cwd=place, text=True,
                         capture_output=True, env=environment(PYTHON='/nowhere/python3'))
    assert run.returncode == 1 and run.stdout == ''
    assert f'{place}: ROS builds only below folders named with' in run.stderr
    assert run.stderr.count('\n') == 1


def test_compilers_may_have_arguments(tree):
    """CMake takes such a CC, too; what is missing next ends the script."""
    run = subprocess.run(
        ['bash', 'environment/prepare.bash', '.venv'], cwd=tree, text=True, capture_output=True,
        env=environment(PYTHON='/nowhere/python3', CC='cc -O1', CXX='c++ -O1'))
    assert 'there is no /nowhere/python3' in run.stderr


def test_setup_finds_its_tree_whatever_cdpath_is(tree):
    run = subprocess.run(
        ['bash', '-c', 'source environment/setup.bash; echo "$VIRTUAL_ENV:$PYTHONPATH"'], cwd=tree,
        text=True, capture_output=True, env=environment(CDPATH='.', PYTHONPATH='/other'))
    assert run.stdout == f'{tree}/.venv:{tree}:/other\n'


def up_to_date(tree: Path) -> bool:
    return subprocess.run(['make', '-q', 'env'], cwd=tree, env=environment()).returncode == 0


def test_environment_is_made_anew_where_it_cannot_run(tree):
    """make's stamp is there and new; the folder was moved, or the Python is gone."""
    program(tree, 'python', '')
    (tree / '.venv' / '.ready-wheels').touch()
    for folder in ('hiu_ros', 'msg', 'srv', 'launch', 'config', 'scripts'):
        (tree / folder).mkdir()
    assert up_to_date(tree)
    link = tree.with_name('link')
    link.symlink_to(tree)
    assert up_to_date(link)
    moved = tree.rename(tree.with_name('moved'))
    assert not up_to_date(moved)
    moved.rename(tree)
    (tree / '.venv' / 'bin' / 'python').unlink()
    assert not up_to_date(tree)


@pytest.mark.skipif(shutil.which('dash') is None, reason='no shell here that is not bash')
def test_a_shell_that_is_not_bash_is_told_so():
    done = subprocess.run(
        ['dash', '-c', '. environment/setup.bash; echo "status $? PYTHONPATH ${PYTHONPATH:-}"'],
        cwd=ROOT, capture_output=True, text=True, env={'PATH': os.environ['PATH']})
    assert 'is for bash' in done.stderr and done.stdout == 'status 1 PYTHONPATH \n'
