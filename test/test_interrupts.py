"""Ctrl-C while a module that `python -m` runs is still being imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: In place of torch, whose import takes most of the time of a start.
TORCH = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print('raised')
    raise
"""


def started(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code and output of Python in a folder that is searched for modules first."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True,
                          text=True, timeout=240, env=os.environ | {'PYTHONPATH': paths})
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize('module', [
    'hiu_ros.data.photo_cache', 'hiu_ros.data.renders.bank', 'hiu_ros.training.growing'])
def test_ctrl_c_in_the_imports_of_a_module_that_is_run_ends_with_130(tmp_path, module):
    (tmp_path / 'torch.py').write_text(TORCH)
    assert started(tmp_path, '-m', module, '--help') == (130, '', '')


def test_other_programs_that_import_the_packages_keep_their_ctrl_c(tmp_path):
    code = ('import signal, hiu_ros.data, hiu_ros.training\n'
            'print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)')
    (tmp_path / 'program.py').write_text(code)
    for arguments in (['-c', code], ['-m', 'program']):
        assert started(tmp_path, *arguments) == (0, 'True\n', '')
