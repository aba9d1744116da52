"""The node's process: its lifecycle, and how it ends."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from lifecycle_msgs.msg import State, Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402

from hiu_ros.ros.process import how_ended  # noqa: E402

#: Seconds that an end may take.
QUICK = 3.0


def change(peer, name, transition):
    request = ChangeState.Request(transition=Transition(id=transition))
    response = peer.call(ChangeState, f'{name}/change_state', request)
    return response is not None and response.success


def state(peer, name):
    return peer.call(GetState, f'{name}/get_state', GetState.Request()).current_state.id


def named(name):
    return ('-r', f'__node:={name}')


STATES = ('loading', 'unconfigured', 'inactive', 'active', 'deactivated', 'finalized')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=['int', 'term'])
def test_a_signal_ends_every_state_quickly_with_zero(spawn, peer, wait_for, number):
    nodes = {
        name: spawn(
            *named(name), script='slow_node.py' if name == 'loading' else 'fake_node.py',
            parameters={'autostart': name in ('loading', 'active')},
        ) for name in STATES
    }
    assert nodes['loading'].wait_log('loading')
    assert nodes['active'].wait_log('fake on fake')
    # Six processes that start at once discover each other late, and an answer to what a node has
    # not discovered yet is lost.
    for name in STATES[1:]:
        assert wait_for(lambda name=name: peer.call(
            GetState, f'{name}/get_state', GetState.Request(), 5.0)), name
    for name in ('inactive', 'deactivated'):
        assert change(peer, name, Transition.TRANSITION_CONFIGURE)
    assert change(peer, 'deactivated', Transition.TRANSITION_ACTIVATE)
    assert change(peer, 'deactivated', Transition.TRANSITION_DEACTIVATE)
    assert change(peer, 'finalized', Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert state(peer, 'finalized') == State.PRIMARY_STATE_FINALIZED
    assert state(peer, 'unconfigured') == State.PRIMARY_STATE_UNCONFIGURED
    assert state(peer, 'inactive') == state(peer, 'deactivated') == State.PRIMARY_STATE_INACTIVE
    assert state(peer, 'active') == State.PRIMARY_STATE_ACTIVE
    for name, node in nodes.items():
        code, seconds = node.end(number)
        assert (name, code) == (name, 0), node.log
        assert seconds < QUICK, (name, seconds)
        assert 'Traceback' not in node.log, (name, node.log)


def shared_memory():
    return set(Path('/dev/shm').glob('fastdds_*'))


def segments(node, others):
    """Shared memory of the middleware of a process, without that of its peers (`others`)."""
    try:
        maps = Path(f'/proc/{node.process.pid}/maps').read_text()
    except OSError:
        return set()
    mapped = {Path(name) for name in re.findall(r'/dev/shm/fastdds_[0-9a-f]{16}\b', maps)}
    return mapped - others


@pytest.mark.parametrize('parameters, code', [({}, 0), ({'views': 77}, 1)], ids=['end', 'refused'])
def test_the_middlewares_shared_memory_is_given_back(spawn, wait_for, parameters, code):
    """Half a megabyte to 35 (config/fastdds.xml) would stay taken until the machine restarts."""
    others = shared_memory()
    node = spawn(*named('tidy'), parameters=parameters)
    held = wait_for(lambda: segments(node, others) or not node.alive)
    if not isinstance(held, set):
        pytest.skip('a middleware without segments in /dev/shm')
    if not code:
        assert node.wait_log('fake on fake')
    assert (node.wait() if code else node.end()[0]) == code
    assert not [segment for segment in held if segment.exists()]


def test_a_signal_while_somebody_else_has_the_node_configured_leaves_no_shared_memory(
    spawn, peer, wait_for
):
    """As `hiu.launch.py lifecycle_events:=true` and lifecycle managers do."""
    others = shared_memory()
    node = spawn(*named('asked'), script='slow_node.py', parameters={'autostart': False})
    assert peer.call(GetState, 'asked/get_state', GetState.Request())
    held = segments(node, others)
    client = peer.node.create_client(ChangeState, 'asked/change_state')
    assert wait_for(client.service_is_ready)
    time.sleep(0.2)  # as in `Peer.call`
    client.call_async(ChangeState.Request(
        transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
    assert node.wait_log('loading')
    code, seconds = node.end()
    assert code == 0 and seconds < QUICK and 'Traceback' not in node.log, (seconds, node.log)
    assert not [segment for segment in held if segment.exists()]


def test_a_terminal_that_is_closed_ends_a_node_in_good_order_unless_nohup_keeps_it(spawn):
    started = []
    for ignored in (signal.SIG_IGN, signal.SIG_DFL):
        others = shared_memory()
        before = signal.signal(signal.SIGHUP, ignored)  # as a process inherits it
        started.append(spawn(*named(f'node_{len(started)}')))
        signal.signal(signal.SIGHUP, before)
        assert started[-1].wait_log('fake on fake')
    stays, ends = started
    held = segments(ends, others)
    stays.process.send_signal(signal.SIGHUP)
    assert ends.end(signal.SIGHUP)[0] == 0 and stays.alive
    assert not [segment for segment in held if segment.exists()]
    assert stays.end()[0] == 0


@pytest.mark.parametrize('delay', [1.5, 3.0])
def test_a_signal_while_the_real_node_still_starts(spawn, delay):
    node = spawn(module='hiu_ros.ros.node', parameters={'device': 'cpu'})
    # Not a wait for something: whichever import or load this hits, the end is the same.
    time.sleep(delay)
    code, seconds = node.end(signal.SIGINT)
    assert code == 0 and seconds < QUICK and 'Traceback' not in node.log, node.log


def test_a_signal_in_a_long_call_breaks_off_the_start_behind_it():
    """Or the start goes on until its end is cut short, and the middleware's memory stays."""
    # Which, as loading a network, is not interrupted and runs no line of Python: another thread
    # takes the signal. It ends when that has been seen.
    done = subprocess.run([sys.executable, '-c', """
import os, signal, threading
from hiu_ros.ros.process import Stop, _Stopped
stop = Stop()
stop.phase = 'starting'
receive, send = os.pipe()
stop.wake = lambda: os.write(send, b'.')
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
try:
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    os.read(receive, 1)
    print('goes on')
except _Stopped:
    print('broken off')
"""], capture_output=True, text=True, timeout=240)
    assert done.stdout == 'broken off\n', done.stderr


def test_a_signal_in_the_import_of_torch_breaks_off_the_start_behind_it():
    """It imports Python modules from C++, through which an exception would abort the process."""
    done = subprocess.run([sys.executable, '-c', """
import builtins, linecache, os, signal, sys, time
from hiu_ros.ros import process
from hiu_ros.ros.process import Stop, _Stopped
process.PATIENCE = 200.0  # a busy machine may take longer for the import
stop, importing = Stop(), builtins.__import__
stop.phase = 'starting'
def signalled(name, *arguments):
    frame = sys._getframe(1)
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    if '_C._autograd_init()' in line:
        builtins.__import__ = importing
        print('signal')
        os.kill(os.getpid(), signal.SIGINT)
    return importing(name, *arguments)
builtins.__import__ = signalled
try:
    import torch
    print('imported', torch.zeros(1).item())
    time.sleep(60)
except _Stopped:
    print('broken off')
"""], capture_output=True, text=True, timeout=240)
    assert done.stdout == 'signal\nimported 0.0\nbroken off\n', done.stderr


SIGNALLED = {
    'made': r"""
    def __init__(self):
        super().__init__(FakeEngine)
        signalled()
    def on_configure(self, state):
        print('goes on')
""", 'opens its topics': r"""
    def __init__(self):
        super().__init__(FakeEngine)
    def add_waitable(self, waitable):
        if getattr(self, '_state', '') == 'inactive':
            signalled()
        super().add_waitable(waitable)
"""}


@pytest.mark.parametrize('moment', SIGNALLED)
def test_a_signal_at_any_moment_of_a_start_leaves_no_shared_memory(domain, moment):
    others = shared_memory()
    done = subprocess.run([sys.executable, '-c', r"""
import os, re, signal, sys
from fake_engine import FakeEngine
from hiu_ros.ros.lifecycle_node import HiuNode
from hiu_ros.ros.process import run
def signalled():
    print(*re.findall(r'/dev/shm/fastdds_[0-9a-f]{16}\b', open('/proc/self/maps').read()))
    os.kill(os.getpid(), signal.SIGTERM)
class Signalled(HiuNode):""" + SIGNALLED[moment] + """
sys.exit(run(lambda: Signalled))
"""], capture_output=True, text=True, timeout=240, env=os.environ | {
        'ROS_DOMAIN_ID': str(domain),
        'PYTHONPATH': os.pathsep.join([*sys.path, str(Path(__file__).parent)])})
    assert done.returncode == 0 and 'goes on' not in done.stdout, done.stdout + done.stderr
    assert 'Traceback' not in done.stderr, done.stderr
    own = {Path(word) for word in done.stdout.split()} - others
    assert own and not [path for path in own if path.exists()]


@pytest.mark.parametrize('closed', ['>&-', '2>&-', '> /dev/full'])
def test_a_process_ends_as_asked_though_its_output_is_closed_or_full(closed):
    code = 'from hiu_ros.ros.process import leave; print(1); leave(7)'
    shell = f'exec "$0" -c "$1" {closed}'
    done = subprocess.run(['sh', '-c', shell, sys.executable, code], capture_output=True,
                          text=True, timeout=240, env=os.environ | {'PYTHONUNBUFFERED': ''})
    assert done.returncode == 7 and not done.stderr, done.stderr


@pytest.mark.parametrize('end, said', [
    ('sys.exit(3)', 'ended with 3; its log tells why'),
    ('os.kill(os.getpid(), 9)', 'was ended by signal 9 (Killed), as the system does where memory '
                                'runs out'),
    ('os.abort()', 'was ended by signal 6 (Aborted)')])
def test_the_end_of_a_process_is_told_with_where_to_look(end, said):
    done = subprocess.run([sys.executable, '-c', f'import os, sys; {end}'], capture_output=True)
    assert how_ended(done.returncode) == said


def test_a_signal_ends_a_node_in_the_middle_of_a_frame(spawn, peer):
    node = spawn(*named('busy'))
    assert node.wait_log('fake on fake')
    peer.ask(1)
    peer.send(peer.image(1, order=249))
    code, seconds = node.end(signal.SIGTERM)
    assert code == 0 and seconds < QUICK and 'Traceback' not in node.log


BROKEN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from fake_engine import FakeEngine
from hiu_ros.ros.lifecycle_node import HiuNode
from hiu_ros.ros.process import run

class Broken(HiuNode):
    def _on_reset(self, request, response):
        raise LookupError('a bug in a callback')

sys.exit(run(lambda: lambda: Broken(FakeEngine)))
"""


def test_a_bug_in_a_callback_ends_the_node_in_good_order(spawn, peer, wait_for, tmp_path):
    script = tmp_path / 'broken.py'
    script.write_text(BROKEN)
    node = spawn(*named('broken'), script=script)
    assert node.wait_log('fake on fake')
    peer.ask(1)
    peer.call(Trigger, 'broken/reset_tracking', Trigger.Request(), timeout=3.0)
    assert node.wait() == 1 and 'LookupError: a bug in a callback' in node.log
    assert wait_for(lambda: not peer.received['hands'][-1].hands)


def test_the_lifecycle_can_be_walked_twice(spawn, peer, wait_for):
    node = spawn(*named('walker'), parameters={'autostart': False})
    for _ in range(2):
        assert change(peer, 'walker', Transition.TRANSITION_CONFIGURE)
        assert wait_for(lambda: peer.node.count_publishers('hands') == 0)
        assert change(peer, 'walker', Transition.TRANSITION_ACTIVATE)
        peer.listen('markers')
        last = peer.ask_all(['hands', 'markers'], 1)['hands'].header
        assert change(peer, 'walker', Transition.TRANSITION_DEACTIVATE)
        # What was there is taken back under the header of the last image.
        assert wait_for(lambda: not peer.received['hands'][-1].hands)
        assert peer.received['hands'][-1].header == last
        assert wait_for(lambda: peer.received['markers'][-1].markers[0].action == 3)
        assert wait_for(lambda: peer.node.count_publishers('hands') == 0)
        assert change(peer, 'walker', Transition.TRANSITION_CLEANUP)
        assert state(peer, 'walker') == State.PRIMARY_STATE_UNCONFIGURED
    assert not change(peer, 'walker', Transition.TRANSITION_ACTIVATE)
    told = peer.call(SetBool, 'walker/enable', SetBool.Request(data=True))
    assert told.message == 'running once the node is active; it is unconfigured'
    assert node.end()[0] == 0 and 'Traceback' not in node.log


def test_what_keeps_the_node_down_stands_in_the_diagnostics_until_it_is_up_or_taken_back(
    spawn, peer
):
    def told(name, words):
        return peer.status(lambda s: s.name.startswith(name) and words in s.message)

    real = spawn(*named('real'), module='hiu_ros.ros.node',
                 parameters={'autostart': False, 'weights': '/nowhere/w.safetensors'})
    wrong = spawn(*named('wrong'), parameters={
        'autostart': False, 'qos_overrides./hands.publisher.depth': -1})
    assert change(peer, 'wrong', Transition.TRANSITION_CONFIGURE)
    assert not change(peer, 'wrong', Transition.TRANSITION_ACTIVATE)
    status = told('wrong', 'cannot open the topics')
    assert status.level == DiagnosticStatus.ERROR and 'depth a whole number' in status.message
    assert change(peer, 'wrong', Transition.TRANSITION_CLEANUP)
    assert told('wrong', 'unconfigured').level == DiagnosticStatus.OK
    assert not change(peer, 'real', Transition.TRANSITION_CONFIGURE)
    status = told('real', '/nowhere/w.safetensors does not exist')
    assert status.level == DiagnosticStatus.ERROR
    assert {v.key: v.value for v in status.values}['last error'].startswith('cannot start')
    for node in (real, wrong):
        assert node.end()[0] == 0
