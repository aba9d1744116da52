"""Commands of their own end in one line for what a user can mend, as `hiu` does."""

import argparse

import pytest

from hiu_ros.command_errors import in_one_line, in_words

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


@pytest.mark.parametrize('attempt, told', [
    (lambda path: (path / 'text').mkdir(exist_ok=True), 'text is a file, expected a folder'),
    (lambda path: (path / 'text' / 'renders').mkdir(), 'text is a file, expected a folder'),
    (lambda path: (path / 'folder').write_text(''), 'folder is a folder, expected a file'),
    (lambda path: (path / 'absent').read_text(), 'absent does not exist')])
def test_a_file_in_place_of_a_folder_and_the_reverse_are_told_without_an_errno(
        tmp_path, attempt, told):
    (tmp_path / 'text').write_text('')
    (tmp_path / 'folder').mkdir()
    with pytest.raises(OSError) as caught:
        attempt(tmp_path)
    message = in_words(caught.value)
    assert told in message and 'Errno' not in message and '\n' not in message
