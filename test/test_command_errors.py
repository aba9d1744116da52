"""Commands of their own end in one line for what a user can mend, as `hiu` does."""

import argparse

import pytest

from hiu_ros.command_errors import in_one_line

PARSER = argparse.ArgumentParser(prog='python -m thing')


@pytest.mark.parametrize('error', [FileNotFoundError('no file'), ValueError('no file')])
def test_an_error_of_the_user_is_one_line_unless_the_traceback_is_wanted(
        error, capsys, monkeypatch):
    monkeypatch.delenv('HIU_TRACEBACK', raising=False)
    with pytest.raises(SystemExit) as end, in_one_line(PARSER):
        raise error
    assert end.value.code == 2 and capsys.readouterr().err == 'python -m thing: no file\n'
    monkeypatch.setenv('HIU_TRACEBACK', '1')
    with pytest.raises(type(error)), in_one_line(PARSER):
        raise error


def test_a_fault_of_the_program_keeps_its_traceback():
    with pytest.raises(IndexError), in_one_line(PARSER):
        raise IndexError


def test_ctrl_c_ends_without_a_traceback(capsys, monkeypatch):
    monkeypatch.delenv('HIU_TRACEBACK', raising=False)
    with pytest.raises(SystemExit) as end, in_one_line(PARSER):
        raise KeyboardInterrupt
    assert end.value.code == 130 and capsys.readouterr().err == ''
