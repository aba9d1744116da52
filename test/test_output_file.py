"""Files of figures."""

import json

import numpy as np

from hiu_ros.output_file import write_json


def test_figures_that_do_not_exist_are_null_wherever_they_stand(tmp_path):
    path = tmp_path / 'figures.json'
    write_json(path, {
        'a': float('nan'), 'rows': [{'b': np.float64('nan'), 'c': 1.5}, (float('inf'), 2)],
        'who': 'right_1', 'none': None})

    def refuse(name):
        raise AssertionError(f'{name} is no JSON')

    assert json.loads(path.read_text(), parse_constant=refuse) == {
        'a': None, 'rows': [{'b': None, 'c': 1.5}, [None, 2]], 'who': 'right_1', 'none': None}
