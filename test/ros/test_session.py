"""From activate to deactivate: a frame counts in its own session, at its own camera."""

import gc
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from rclpy.context import Context  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from hiu_ros.ros import session as module  # noqa: E402
from hiu_ros.ros.engine import DeviceError  # noqa: E402
from hiu_ros.ros.lasting_engine import LastingEngine  # noqa: E402
from hiu_ros.ros.parameters import NodeOptions, ParameterError  # noqa: E402
from hiu_ros.ros.quiet_log import QuietLog  # noqa: E402


class Publishers:
    """As much of Outputs as a session uses; `broken` is the camera that cannot publish."""

    broken, published = '', []

    def __init__(self, node, camera, engine, transforms):
        self.camera = camera

    def publish(self, hands, header, frame, options):
        if self.camera == self.broken:
            raise OSError('no room in shared memory')
        self.published.append((self.camera, header.frame_id))

    def take_back(self):
        self.published.append((self.camera, 'nothing'))

    def close(self):
        self.published.append((self.camera, 'farewell'))


def image(name, order=0, hands=0, age=None):
    """A serialised image with a name, and what it orders from the fake engine."""
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[0, 0], pixels[0, 1] = hands, order
    message = Image(height=4, width=4, encoding='bgr8', step=12, data=pixels.tobytes())
    message.header.frame_id = name
    if age is not None:
        message.header.stamp.sec = int(time.time() - age)
    return serialize_message(message), time.monotonic()


@pytest.fixture
def world(domain, fake, monkeypatch):
    """`make(after=...)` opens sessions on one engine, whose frames wait for `gate`."""
    monkeypatch.setattr(module, 'Outputs', Publishers)
    monkeypatch.setattr(Publishers, 'published', [])
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node('node', context=context)
    options = NodeOptions(cameras=('left', 'right'), cpu_fallback=False)
    gate, inside, dead = threading.Event(), threading.Semaphore(0), []
    engine = LastingEngine(fake.FakeEngine, options, print)
    process = engine.current.process

    def gated(frames):
        inside.release()
        assert gate.wait(10.0)
        return process(frames)

    engine.current.process = gated
    sessions, observed = [], []
    calibration = SimpleNamespace(
        observe=lambda camera, hands: observed.append((camera, len(hands))))

    def make(after=None):
        sessions.append(module.Session(
            node, lambda: options, engine, None, calibration,
            QuietLog(node.get_logger()), dead.append, after))
        sessions[-1].open()
        return sessions[-1]

    yield SimpleNamespace(make=make, gate=gate, inside=inside, dead=dead, observed=observed)
    gate.set()
    for one in sessions:
        one.worker.stop(5.0)
    node.destroy_node()
    rclpy.shutdown(context=context)


def begun(world, session, first):
    """Have a session begin with an image of its left camera."""
    session.slots.put('left', first)
    assert world.inside.acquire(timeout=5.0)


def test_an_abandoned_frame_is_not_published_by_the_next_session(world, wait_for):
    first = world.make()
    begun(world, first, image('old'))
    assert '/left/camera_info' in {one.topic_name for one in first._node.subscriptions}
    assert not first.close(0.05)
    assert not {one.topic_name for one in first._node.subscriptions} & {'/left/camera_info'}
    second = world.make(first.worker)
    second.slots.put('left', image('new'))
    assert not world.inside.acquire(timeout=0.1), 'two threads are in one engine'
    world.gate.set()
    assert wait_for(lambda: ('left', 'new') in Publishers.published, 5.0)
    assert ('left', 'old') not in Publishers.published


def test_a_pause_takes_back_what_the_frame_in_work_shows_and_drops_what_waits(world, wait_for):
    session = world.make()
    begun(world, session, image('in work'))
    session.slots.put('left', image('waiting'))
    session.pause()
    world.gate.set()
    assert wait_for(lambda: ('right', 'nothing') in Publishers.published, 5.0)
    left = [what for camera, what in Publishers.published if camera == 'left']
    assert left == ['in work', 'nothing']


def test_a_device_that_an_abandoned_frame_loses_ends_no_later_session(world, wait_for):
    first = world.make()
    begun(world, first, image('old', order=254))
    assert not first.close(0.05)
    world.gate.set()
    assert wait_for(lambda: not first.worker.alive, 5.0) and not world.dead
    second = world.make(first.worker)
    second.slots.put('left', image('new', order=254))
    assert wait_for(lambda: world.dead, 5.0) and isinstance(world.dead[0], DeviceError)


@pytest.mark.parametrize('broken', ['left', 'right'])
def test_a_camera_that_cannot_publish_costs_the_other_one_nothing(
    world, wait_for, monkeypatch, broken
):
    monkeypatch.setattr(Publishers, 'broken', broken)
    other = {'left': 'right', 'right': 'left'}[broken]
    session = world.make()
    # What comes while a frame is in work is the next batch.
    begun(world, session, image('first'))
    for camera in ('left', 'right'):
        session.slots.put(camera, image('one'))
    world.gate.set()
    logs = {name: stream.log for name, stream in session.streams.items()}
    assert wait_for(lambda: (other, 'one') in Publishers.published, 5.0)
    assert wait_for(lambda: 'no room' in logs[broken].summary(0.0).last_fault, 5.0)
    assert not logs[other].summary(0.0).last_fault


@pytest.mark.parametrize('wrong', [
    '/masks.publisher', '/image.subscription', '/regions.subscription'])
def test_topics_that_were_open_before_one_that_cannot_be_are_closed_again(domain, fake, wrong):
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node('node', context=context, parameter_overrides=[
        Parameter(f'qos_overrides.{wrong}.reliability', value='moon')])
    engine = LastingEngine(fake.FakeEngine, NodeOptions(), print)
    before = len(list(node.publishers)), len(list(node.subscriptions))
    session = module.Session(
        node, lambda: NodeOptions(use_depth=True), engine, SimpleNamespace(wanted=lambda: False),
        None, QuietLog(None), print)
    with pytest.raises(ParameterError, match=wrong.partition('.')[0]):
        session.open()
    session.close(1.0)
    assert (len(list(node.publishers)), len(list(node.subscriptions))) == before
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize('age', [50.0, None], ids=['stamped', 'unstamped'])
def test_what_is_told_of_a_frame_is_its_age_its_work_and_its_hands(world, wait_for, age):
    begin = time.monotonic()
    session = world.make()
    world.gate.set()
    session.slots.put('left', image('one', order=50, hands=1, age=age))
    session.slots.put('right', (b'', 0.0))
    reports = {name: [] for name in session.streams}

    def done():
        for name, stream in session.streams.items():
            reports[name].append(stream.log.summary(0.0))
        return any(r.published for r in reports['left']) and any(
            r.faults for r in reports['right'])

    assert wait_for(done)
    took = time.monotonic() - begin
    (summary,) = (report for report in reports['left'] if report.published)
    assert 0.04 < summary.inference[0] < took and summary.hands == 1
    if age is None:
        assert tuple(summary.ages) == tuple(summary.inference)
    else:
        # Stamps are of whole seconds.
        assert age < summary.ages[0] < age + 1.0 + took and len(summary.ages) == 1
    assert world.observed == [('left', 1)]


def test_topics_that_are_opened_again_and_again_leave_nothing_behind(domain, fake):
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node('node', context=context)
    options = NodeOptions(use_depth=True)
    engine = LastingEngine(fake.FakeEngine, options, print)

    def held_after(times):
        for _ in range(times):
            session = module.Session(
                node, lambda: options, engine, SimpleNamespace(wanted=lambda: False), None,
                QuietLog(None), print)
            session.open()
            for listening in (True, False) * times:
                session.streams[''].listen(listening)
            session.close(1.0)
            del session
            gc.collect()
        return len(node.default_callback_group.entities)

    assert held_after(4) == held_after(1)
    node.destroy_node()
    rclpy.shutdown(context=context)
