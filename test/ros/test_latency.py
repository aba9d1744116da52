"""The table of latencies, without its measuring."""

from argparse import Namespace

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from hiu_ros.perception.picture_source import SourceError  # noqa: E402
from hiu_ros.ros import latency  # noqa: E402
from hiu_ros.ros.player import Answer  # noqa: E402


class Player:
    """Pictures are answered by as many hands as `hands` tells in turn; None: not at all."""

    hands = (None,)

    def __init__(self, *_):
        self._asked = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def wait_until_ready(self):
        pass

    def ask(self, picture):
        count = self.hands[self._asked % len(self.hands)]
        self._asked += 1
        return Answer(None if count is None else ['right_1'] * count, None, 0.05)


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """`measured(pictures, hands)`: the text that a measurement was to be written into."""
    def measured(pictures, hands):
        for k in range(pictures):
            cv2.imwrite(str(tmp_path / f'{k:02}.png'), np.zeros((30, 40, 3), np.uint8))
        monkeypatch.setattr(Player, 'hands', hands)
        monkeypatch.setattr(latency, 'Player', Player)
        monkeypatch.setattr(latency, 'start', lambda command: None)
        latency.run(Namespace(into=str(text), clip=str(tmp_path), frames=150, param=[]), [])
        return text.read_text()

    text = measured.text = tmp_path / 'text.md'
    text.write_text('\n'.join(['before', latency.MARKS[0], 'old', latency.MARKS[1], 'after']))
    return measured


def test_a_machine_without_git_has_no_commit(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert latency.commit() == 'no commit'


def test_a_table_takes_the_place_of_the_one_before(measured):
    text = measured(8, (1,))
    assert text.startswith('before\n') and text.endswith('\nafter') and 'old' not in text
    assert text.count('| 1 | 50 | 50 | 5 |') == len(latency.SIZES)


@pytest.mark.parametrize(('pictures', 'hands', 'words'), [
    (7, (1,), 'has 7 pictures, expected 8 at least'),
    (8, (1, 2), 'of no number of hands in view came 5 answers'),
    (8, (None,), 'of no number of hands in view came 5 answers'),
])
def test_a_measurement_without_a_row_is_told_and_writes_nothing(measured, pictures, hands, words):
    before = measured.text.read_text()
    with pytest.raises(SourceError, match=words):
        measured(pictures, hands)
    assert measured.text.read_text() == before
