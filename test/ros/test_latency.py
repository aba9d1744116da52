"""The table of latencies, without its measuring."""

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from hiu_ros.ros import latency  # noqa: E402


def test_a_machine_without_git_has_no_commit(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert latency.commit() == 'no commit'
