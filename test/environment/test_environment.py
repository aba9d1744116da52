"""The scripts behind `make env` repair what they should and say what is missing."""

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

ENVIRONMENT = Path(__file__).resolve().parents[2] / 'environment'


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ENVIRONMENT / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('minor', ['10', '13'])
def test_include_paths_of_the_builder_become_ours(tmp_path, minor):
    builder = f'/opt/python/cp3{minor}-cp3{minor}'
    exports = tmp_path / 'share' / 'some_msgs' / 'cmake' / 'export.cmake'
    exports.parent.mkdir(parents=True)
    exports.write_text(
        f'DIRECTORIES "{builder}/include/python3.{minor};'
        f'{builder}/lib/python3.{minor}/site-packages/numpy/_core/include"\n'
    )
    module = load('fix_cmake_paths')
    assert module.fix(tmp_path) == 1
    assert exports.read_text() == (
        f'DIRECTORIES "{sysconfig.get_path("include")};{np.get_include()}"\n')
    assert module.fix(tmp_path) == 0
    assert [p.name for p in exports.parent.iterdir()] == ['export.cmake']


def test_package_without_installer_is_forgotten(tmp_path):
    whole, half = tmp_path / 'whole-1.0.dist-info', tmp_path / 'half-2.0.dist-info'
    for metadata in (whole, half):
        metadata.mkdir()
        (metadata / 'METADATA').write_text('')
    (whole / 'INSTALLER').write_text('pip\n')
    assert load('drop_half_installed').drop_half_installed(tmp_path) == ['half-2.0.dist-info']
    assert whole.exists() and not half.exists()


def choose_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ['bash', ENVIRONMENT / 'choose_python.bash', *arguments], capture_output=True, text=True,
        env={'PATH': '/usr/bin:/bin', **environment},
    )


def test_running_python_is_accepted():
    run = choose_python(sys.executable)
    assert (run.returncode, run.stderr) == (0, '')
    assert Path(run.stdout.strip()).samefile(sys.executable)


def stand_in(folder: Path, version: str) -> str:
    """A program that answers as this Python would if it had that version."""
    path = folder / 'python'
    path.write_text(
        f'#!/bin/sh\n'
        f'(echo "import sys; sys.version_info = {version}"; cat) | {sys.executable} "$@"\n'
    )
    path.chmod(0o755)
    return str(path)


def test_too_old_python_is_refused_in_one_line(tmp_path):
    run = choose_python(stand_in(tmp_path, '(3, 9, 2)'))
    assert run.returncode == 1 and run.stdout == ''
    assert 'is Python 3.9, not 3.10 to 3.13' in run.stderr
    assert run.stderr.count('\n') == 1


def test_absent_python_is_named_in_one_line():
    run = choose_python('/nowhere/python3')
    assert run.returncode == 1
    assert 'there is no /nowhere/python3' in run.stderr
    assert run.stderr.count('\n') == 1


def test_distribution_without_rclpy_is_named(tmp_path):
    bare = tmp_path / 'python'
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    bare.chmod(0o755)
    run = choose_python(str(bare), ROS_DISTRO='jazzy')
    assert run.returncode == 1
    assert 'no rclpy although ROS_DISTRO is jazzy' in run.stderr
