"""The `hiu` command collects its subcommands without importing what is slow."""

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from hiu_ros import cli

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def fail_with(monkeypatch):
    """Make `hiu fail-now` a subcommand that raises the given error."""

    def prepare(error: BaseException | None) -> None:
        def run(_):
            if error is not None:
                raise error

        def add_fail_now(subparsers):
            subparsers.add_parser('fail-now').set_defaults(run=run)

        module = types.ModuleType('failing_command')
        module.add_fail_now = add_fail_now
        monkeypatch.setitem(sys.modules, 'failing_command', module)
        monkeypatch.setattr(cli, 'COMMANDS', {'fail-now': 'failing_command'})
        monkeypatch.delenv('HIU_TRACEBACK', raising=False)

    return prepare


def test_every_command_shows_its_help(capsys):
    for command in cli.COMMANDS:
        with pytest.raises(SystemExit) as stop:
            cli.main([command, '--help'])
        assert stop.value.code == 0
        assert f'hiu {command}' in capsys.readouterr().out


def test_general_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        cli.main(['--help'])
    text = capsys.readouterr().out
    assert all(re.search(rf'^    {command}\s', text, re.M) for command in cli.COMMANDS)


def test_help_does_not_load_torch():
    code = (
        'import sys\nfrom hiu_ros import cli\ncli.make_parser()\n'
        'print(sorted({"torch", "cv2", "scipy"} & set(sys.modules)))'
    )
    run = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == '[]'


def test_unknown_command_is_refused_with_the_choice(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(['juggle'])
    assert stop.value.code == 2
    assert 'evaluate' in capsys.readouterr().err


def test_what_training_lacks_is_only_its_configuration(capsys):
    with pytest.raises(SystemExit):
        cli.main(['train'])
    assert capsys.readouterr().err.endswith('arguments are required: CONFIG\n')


def test_status_of_a_command_without_return_value_is_zero(fail_with):
    fail_with(None)
    assert cli.main(['fail-now']) == 0


@pytest.mark.parametrize('error', [FileNotFoundError('no weights'), ValueError('no weights'),
                                   FloatingPointError('no weights')])
def test_expected_error_is_one_line(fail_with, capsys, error):
    fail_with(error)
    assert cli.main(['fail-now']) == 1
    assert capsys.readouterr().err == 'hiu fail-now: no weights\n'


def test_unexpected_error_keeps_its_traceback(fail_with):
    fail_with(KeyError('bug'))
    with pytest.raises(KeyError):
        cli.main(['fail-now'])


def test_traceback_is_there_on_demand(fail_with, monkeypatch):
    fail_with(ValueError('no weights'))
    monkeypatch.setenv('HIU_TRACEBACK', '1')
    with pytest.raises(ValueError):
        cli.main(['fail-now'])


def interrupted(code: str) -> tuple[int, str, str]:
    """Exit code and output of `hiu describe hiu_deep` behind the code, which may `interrupt()`."""
    done = subprocess.run([sys.executable, '-c', f"""
import builtins, importlib, linecache, os, signal, sys
from hiu_ros import cli
def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
{code}
sys.exit(cli.main(['describe', 'hiu_deep']))
"""], cwd=ROOT, capture_output=True, text=True, timeout=240)
    return done.returncode, done.stdout, done.stderr


def test_ctrl_c_in_the_import_of_torch_ends_at_once_with_130():
    """It imports Python modules from C++, which may abort the process over an exception."""
    assert interrupted("""
importing = builtins.__import__
def signalled(name, *arguments):
    frame = sys._getframe(1)
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    if '_C._autograd_init()' in line:
        try:
            interrupt()
        except KeyboardInterrupt:
            print('raised')
            raise
    return importing(name, *arguments)
builtins.__import__ = signalled""") == (130, '', '')


def test_ctrl_c_in_an_import_is_not_lost_in_a_callback_of_the_import_system():
    assert interrupted("""
class Lost:
    def __del__(self):
        interrupt()
exec(compile('def drop(): Lost()', '<frozen importlib._bootstrap>', 'exec'))
def import_module(name):
    drop()
    print('went on')
    sys.exit(0)
importlib.import_module = import_module""") == (130, '', '')


def test_ctrl_c_in_the_import_of_a_command_ends_with_130():
    assert interrupted(
        'importlib.import_module = lambda name: interrupt()') == (130, '', '')
