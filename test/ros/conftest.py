"""Fixtures of the node's tests: a DDS domain of their own, node processes, a peer."""

import importlib.util
import os
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path

import pytest


def load(name):
    """A module of this folder, by name."""
    if name not in sys.modules:
        path = Path(__file__).parent / f'{name}.py'
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope='session')
def fake():
    """The builders of fake_engine.py."""
    return load('fake_engine')


@pytest.fixture(scope='module')
def domain(request):
    """A ROS domain that no other test run uses at the same time, most likely."""
    return 10 + (os.getpid() * 31 + zlib.crc32(request.module.__name__.encode())) % 90


@contextmanager
def spawning(domain):
    """A function that starts node processes; in the end they are ended."""
    pytest.importorskip('rclpy')
    harness = load('harness')
    started = []

    def start(*arguments, **keywords):
        node = harness.NodeProcess(domain, *arguments, **keywords)
        started.append(node)
        return node

    try:
        yield start
    finally:
        for node in started:
            node.dismiss()


@pytest.fixture
def spawn(domain):
    """Start node processes that end with the test."""
    with spawning(domain) as start:
        yield start


@pytest.fixture(scope='module')
def spawn_shared(domain):
    """Start node processes that all tests of a module use."""
    with spawning(domain) as start:
        yield start


@pytest.fixture
def peer(domain):
    """A camera and reader in the test's process."""
    pytest.importorskip('rclpy')
    peer = load('harness').Peer(domain)
    yield peer
    peer.close()


@pytest.fixture(scope='session')
def wait_for():
    """wait_for(condition, timeout): the first true value, None at the timeout."""
    return load('harness').wait_for
