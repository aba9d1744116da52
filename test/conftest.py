"""Ctrl-C as a terminal leaves it, and what two processes of pytest-xdist share out.

A shell that runs the tests in the background has Ctrl-C ignored, and so would all that they start.
"""

import signal

import pytest

signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """The node's tests go to one process, all others file by file.

    Nodes of two processes would take the cores from each other, and could meet in one DDS domain.
    """
    from xdist.scheduler import LoadScopeScheduling

    class NodesTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.split('::', 1)[0]
            return 'test/ros' if file.startswith('test/ros/') else file

    return NodesTogether(config, log)
