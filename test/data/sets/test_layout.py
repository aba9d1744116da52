"""Arrays that loaders and makers of data sets keep in files."""

import errno
import os
import resource

import numpy as np
import pytest

from hiu_ros.data.sets.layout import new_array, replace_text


def test_room_for_a_new_array_is_taken_at_once(tmp_path):
    array = new_array(tmp_path / 'a.npy', (100, 64, 64))
    about = (tmp_path / 'a.npy').stat()
    assert about.st_blocks * 512 >= about.st_size
    array[3] = 7
    array.flush()
    assert np.load(tmp_path / 'a.npy').sum() == 7 * 64 * 64


def test_a_file_system_that_cannot_tell_beforehand_is_tried(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(errno.EOPNOTSUPP, 'Operation not supported')

    monkeypatch.setattr(os, 'posix_fallocate', unknown)
    assert new_array(tmp_path / 'a.npy', (2, 3)).shape == (2, 3)


def test_a_disk_that_is_full_is_told_and_keeps_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'posix_fallocate', full)
    with pytest.raises(OSError, match='No space left on device for the 3 MB of'):
        new_array(tmp_path / 'a.npy', (1000, 50, 60))
    assert not list(tmp_path.iterdir())


def test_text_that_finds_no_room_leaves_what_was_there(tmp_path):
    path = tmp_path / 'settings.yaml'
    replace_text(path, 'the old ones')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(OSError, match='settings.yaml cannot be written: File too large'):
            replace_text(path, 'too much ' * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == 'the old ones' and list(tmp_path.iterdir()) == [path]
    replace_text(path, 'the new ones')
    assert path.read_text() == 'the new ones'
