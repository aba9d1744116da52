import sys

import pytest

pytest.importorskip('rclpy')

from hiu_ros.ros.peer import Peer  # noqa: E402


def test_parameters_for_the_node_rename_nothing_of_its_peer(monkeypatch, capfd):
    """`-p half:=true` of the demo was to ROS an old remapping, and it advised another."""
    monkeypatch.setattr(sys, 'argv', ['demo', '-p', 'half:=true'])
    with Peer('peer_of_a_demo', '/here') as peer:
        assert peer._node.resolve_topic_name('half') == '/here/half'
    assert 'remap' not in ''.join(capfd.readouterr())
