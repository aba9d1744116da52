import os
import subprocess
import sys

import pytest

from hiu_ros.brief_waits import wait_briefly


@pytest.mark.parametrize('given', [{}, {'OMP_WAIT_POLICY': 'ACTIVE'}, {'GOMP_SPINCOUNT': '7'}])
def test_what_the_user_said_stays(monkeypatch, given):
    monkeypatch.setattr(os, 'environ', dict(given))
    wait_briefly()
    assert os.environ == (given or {'GOMP_SPINCOUNT': '1000'})


@pytest.mark.parametrize('command', ['hiu_ros.cli', 'hiu_ros.ros.node'])
def test_it_is_said_before_torch_comes(command):
    if command.startswith('hiu_ros.ros'):
        pytest.importorskip('rclpy')
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')}
    code = (f'import sys, {command} as command, hiu_ros.brief_waits as waits\n'
            'def said():\n'
            '    print("torch" in sys.modules)\n'
            '    raise SystemExit\n'
            'command.wait_briefly = said\n'
            'command.main([])')
    done = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True,
                          text=True, timeout=240)
    assert done.stdout == 'False\n', done.stderr
