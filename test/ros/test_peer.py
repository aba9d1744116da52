import sys
import time

import pytest

pytest.importorskip('rclpy')

from hiu_ros.ros.peer import Peer  # noqa: E402


class Full(Peer):
    """Writes what it hears to a disk that is full."""

    def __init__(self):
        super().__init__('peer_without_room', '/here')
        self._node.create_timer(0.01, self._write)

    def _write(self):
        raise OSError(28, 'No space left on device')


def test_what_a_callback_raises_is_raised_where_its_user_waits(wait_for, capfd):
    with pytest.raises(OSError, match='No space left'), Full() as peer:
        while True:
            peer.check()
            time.sleep(0.01)
    with pytest.raises(OSError, match='No space left'), Full() as peer:
        assert wait_for(lambda: not peer._thread.is_alive(), 5.0)
    with pytest.raises(ValueError, match='of the user'), Full() as peer:
        assert wait_for(lambda: not peer._thread.is_alive(), 5.0)
        raise ValueError('of the user')
    assert 'Traceback' not in ''.join(capfd.readouterr())


def test_parameters_for_the_node_rename_nothing_of_its_peer(monkeypatch, capfd):
    """`-p half:=true` of the demo was to ROS an old remapping, and it advised another."""
    monkeypatch.setattr(sys, 'argv', ['demo', '-p', 'half:=true'])
    with Peer('peer_of_a_demo', '/here') as peer:
        assert peer._node.resolve_topic_name('half') == '/here/half'
    assert 'remap' not in ''.join(capfd.readouterr())
