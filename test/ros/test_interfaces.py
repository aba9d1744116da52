"""What the node really offers in the graph is what the tables, the policy and the docs name."""

import os
import subprocess
import sys
import threading
import xml.etree.ElementTree
from pathlib import Path

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from rcl_interfaces.srv import ListParameters  # noqa: E402

from hiu_ros.ros.topics import COMPRESSED, INPUTS, OUTPUTS  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
NAME = 'hiu_node'


def policy(kind, access):
    tree = xml.etree.ElementTree.parse(ROOT / 'config' / 'sros2_policy.xml')
    names = [e.text for group in tree.iter(f'{kind}s') if group.get(access) == 'ALLOW'
             for e in group]
    return {f'/{NAME}{n[1:]}' if n[0] == '~' else n if n[0] == '/' else f'/{n}' for n in names}


def names(found):
    return {name for name, _ in found}


@pytest.fixture(scope='module')
def node(spawn_shared):
    node = spawn_shared(parameters={'use_depth': True, 'lazy': False, 'use_sim_time': True})
    assert node.wait_log('fake on fake')
    return node


def test_every_topic_takes_qos_overrides(node, peer):
    response = peer.call(ListParameters, f'{NAME}/list_parameters', ListParameters.Request())
    listed = set(response.result.names)
    for topics, end in (((*OUTPUTS, 'diagnostics'), 'publisher'), (INPUTS, 'subscription')):
        for topic in topics:
            for policy in ('reliability', 'durability', 'history', 'depth'):
                assert f'qos_overrides./{topic}.{end}.{policy}' in listed


def test_the_policy_allows_what_the_node_uses_and_no_more(node, peer, wait_for):
    graph = peer.node
    assert wait_for(lambda: NAME in graph.get_node_names())
    assert wait_for(lambda: '/image' in names(
        graph.get_subscriber_names_and_types_by_node(NAME, '/')))
    expected = {f'/{topic}' for topic in OUTPUTS}
    assert wait_for(lambda: expected <= names(
        graph.get_publisher_names_and_types_by_node(NAME, '/')))
    published = names(graph.get_publisher_names_and_types_by_node(NAME, '/'))
    subscribed = names(graph.get_subscriber_names_and_types_by_node(NAME, '/'))
    served = names(graph.get_service_names_and_types_by_node(NAME, '/'))
    assert {f'/{topic}' for topic in INPUTS} <= subscribed
    assert published <= policy('topic', 'publish') <= published | {'/tf'}
    assert subscribed <= policy('topic', 'subscribe')
    compressed = {f'/{topic}{ending}' for topic, ending in COMPRESSED.items()}
    assert compressed <= policy('topic', 'subscribe') - subscribed
    assert policy('topic', 'subscribe') - subscribed <= {*compressed, '/parameter_events'}
    assert served <= policy('service', 'reply')
    assert policy('service', 'reply') - served <= {
        # Not on every ROS distribution.
        f'/{NAME}/get_transition_graph', f'/{NAME}/get_type_description'}


def test_the_readme_names_every_topic_and_service():
    text = (ROOT / 'README.md').read_text()
    for topic in (*OUTPUTS, *INPUTS):
        assert f'`{topic}`' in text, topic
    for service in ('enable', 'reset_tracking', 'calibrate_hand_size'):
        assert f'`~/{service}`' in text


def test_the_readmes_subscriber_prints_joint_angles(node, peer, domain, wait_for):
    text = (ROOT / 'README.md').read_text().partition('## First hand in a subscriber')[2]
    lines = ['import rclpy']
    for line in text.partition('    import rclpy\n')[2].splitlines():
        if line.strip() and not line.startswith('    '):
            break
        lines.append(line[4:])
    assert len([line for line in lines if line.strip()]) <= 10
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(domain), 'PYTHONUNBUFFERED': '1',
                   'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    reader = subprocess.Popen([sys.executable, '-c', '\n'.join(lines)], env=environment,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    printed = []
    thread = threading.Thread(target=lambda: printed.extend(iter(reader.stdout.readline, '')))
    thread.start()
    try:
        assert wait_for(lambda: peer.ask(2) and printed)
        assert wait_for(lambda: any("'right_index_mcp_flexion': 0.0" in p for p in printed))
    finally:
        reader.kill()
        reader.wait(5.0)
        thread.join(5.0)


def test_the_node_is_imported_where_rclpy_has_the_modules_of_humble():
    code = (
        'import sys, rclpy.node, rclpy.lifecycle\n'
        'sys.modules["rclpy.qos_event"] = sys.modules["rclpy.event_handler"]\n'
        'sys.modules["rclpy.event_handler"] = sys.modules["rclpy.clock_type"] = None\n'
        'from hiu_ros.ros.lifecycle_node import HiuNode\n'
        'from hiu_ros.ros import playing_node, player, peer\n')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT,
                          capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def test_messages_pass_the_checks_of_fields_that_humble_always_makes():
    """Later distributions make them on request alone and take numbers of any type."""
    done = subprocess.run(
        [sys.executable, '-c', 'from hiu_ros.ros import message_cost; message_cost.measure(2)'],
        cwd=ROOT, capture_output=True, text=True, timeout=240,
        env={**os.environ, 'ROS_PYTHON_CHECK_FIELDS': '1'})
    assert done.returncode == 0, done.stderr
