import os
import pickle

import numpy as np
import pytest

from hiu_ros.data.sets.array_pickle import read_arrays
from hiu_ros.data.sets.layout import DataSetError


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_values_come_back(tmp_path, protocol):
    content = {
        0: {'a': np.arange(6.0).reshape(2, 3), 'f': np.asfortranarray(np.eye(3)), 'n': None,
            'big': np.arange(3, dtype='>i4'), 'text': 'x', 'number': np.float32(1.5)},
        'list': [1, (2.5, b'bytes'), np.zeros((0, 3), np.uint8), True],
    }
    path = tmp_path / 'a.pickle'
    path.write_bytes(pickle.dumps(content, protocol))
    found = read_arrays(path)
    assert (found[0]['a'] == content[0]['a']).all() and (found[0]['f'] == np.eye(3)).all()
    assert found[0]['big'].tolist() == [0, 1, 2] and found[0]['number'] == 1.5
    assert found[0]['n'] is None and found[0]['text'] == 'x'
    assert found['list'][:2] == [1, (2.5, b'bytes')] and found['list'][2].shape == (0, 3)
    found[0]['a'][0, 0] = 7  # an array of its own


def test_nothing_in_a_pickle_is_run(tmp_path):
    path = tmp_path / 'a.pickle'
    path.write_bytes(pickle.dumps({'a': Evil(tmp_path / 'made')}))
    with pytest.raises(DataSetError, match="refused '(posix|nt).mkdir'"):
        read_arrays(path)
    assert not (tmp_path / 'made').exists()


def test_functions_hidden_in_objects_of_arrays_are_refused(tmp_path):
    path = tmp_path / 'a.pickle'
    path.write_bytes(pickle.dumps(np.array([Evil(tmp_path / 'made')], dtype=object)))
    with pytest.raises(DataSetError, match='refused'):
        read_arrays(path)
    path.write_bytes(pickle.dumps(np.array(['a', None], dtype=object)))
    with pytest.raises(DataSetError, match="type 'O8?' refused"):
        read_arrays(path)


@pytest.mark.parametrize('content', [b'', b'\x80\x04', b'junk', pickle.dumps({1: 2})[:-3]])
def test_damaged_files_are_told(tmp_path, content):
    path = tmp_path / 'a.pickle'
    path.write_bytes(content)
    with pytest.raises(DataSetError, match='a.pickle'):
        read_arrays(path)


def test_an_array_cannot_claim_to_be_larger_than_it_is(tmp_path):
    data = pickle.dumps(np.zeros(7, np.uint8), 2)
    assert data.count(b'K\x07') == 1
    (tmp_path / 'a.pickle').write_bytes(data.replace(b'K\x07', b'K\x09'))
    with pytest.raises(DataSetError, match='holds 7 values'):
        read_arrays(tmp_path / 'a.pickle')


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(DataSetError, match='does not exist'):
        read_arrays(tmp_path / 'none')
