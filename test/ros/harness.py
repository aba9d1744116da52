"""A node process and a peer that talks to it over DDS, for tests; every wait is bounded."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: s; so generous that only a fault reaches it: beside ten other processes on two cores a node
#: takes half a minute to start, and the tests may have less than their share of the machine.
#: HIU_PATIENCE is for one that is busier still.
PATIENCE = float(os.environ.get('HIU_PATIENCE', 240.0))


def wait_for(condition, timeout=PATIENCE, step=0.01):
    """The first true value of a condition; None at the timeout."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(step)
    return None


class NodeProcess:
    """A node in a process of its own; its log lines are kept."""

    def __init__(self, domain, *arguments, script='fake_node.py', module=None, parameters=None):
        command = [sys.executable]
        command += ['-m', module] if module else [str(HERE / script)]
        command += ['--ros-args', '--log-level', 'info']
        for name, value in (parameters or {}).items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ['-p', f'{name}:={text}']
        environment = {
            **os.environ, 'ROS_DOMAIN_ID': str(domain), 'OMP_NUM_THREADS': '1',
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'RCUTILS_COLORIZED_OUTPUT': '0',
            'PYTHONUNBUFFERED': '1',
            'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]),
        }
        self.process = subprocess.Popen(
            command + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env=environment, cwd=ROOT,
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    @property
    def log(self):
        return '\n'.join(self.lines)

    @property
    def alive(self):
        return self.process.poll() is None

    def wait_log(self, text, timeout=PATIENCE):
        """Whether a line with this text comes; of a process that has ended none does."""
        def came():
            return any(text in line for line in list(self.lines))

        if wait_for(lambda: came() or not self.alive, timeout) and not self.alive:
            self._reader.join(5.0)
        assert came(), f'no line with {text!r} in:\n{self.log}'
        return True

    def end(self, number=signal.SIGINT, timeout=10.0):
        """Send a signal: exit code and seconds until the end."""
        begin = time.monotonic()
        if self.alive:
            self.process.send_signal(number)
        code = self.wait(timeout)
        return code, time.monotonic() - begin

    def wait(self, timeout=PATIENCE):
        code = self.process.wait(timeout)
        self._reader.join(5.0)
        return code

    def dismiss(self):
        """End the process, in good order so that it leaves the graph at once."""
        try:
            self.end(timeout=5.0)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        if self.alive:
            self.process.kill()
            self.process.wait(5.0)

    def memory(self):
        """Resident bytes."""
        text = Path(f'/proc/{self.process.pid}/statm').read_text()
        return int(text.split()[1]) * os.sysconf('SC_PAGE_SIZE')

    def handles(self):
        """Open files and threads."""
        base = Path(f'/proc/{self.process.pid}')
        return len(list((base / 'fd').iterdir())), len(list((base / 'task').iterdir()))


class Peer:
    """A camera and a reader of every output, in the test's own process."""

    def __init__(self, domain):
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.task import Future

        os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node('peer', context=self.context, enable_rosout=False)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._stop = Future()
        self._thread = threading.Thread(
            target=self._executor.spin_until_future_complete, args=(self._stop,), daemon=True)
        self._thread.start()
        self.received = {}
        self._publishers = {}
        self._last = 0

    def close(self):
        import rclpy

        self._stop.set_result(None)
        self._thread.join(5.0)
        self._executor.shutdown(timeout_sec=2.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def listen(self, topic, kind=None, latched=False, depth=100):
        """Collect a topic's messages in received[topic]."""
        from rclpy.qos import DurabilityPolicy, QoSProfile

        from hiu_ros.ros.topics import OUTPUTS

        if topic in self.received:
            return
        messages = self.received[topic] = []
        qos = QoSProfile(depth=depth, durability=(
            DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE))
        self.node.create_subscription(kind or OUTPUTS[topic], topic, messages.append, qos)

    def publisher(self, topic, kind, wait=True):
        """A publisher, once the node listens to it."""
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(kind, topic, 10)
        publisher = self._publishers[topic]
        if wait:
            assert wait_for(lambda: publisher.get_subscription_count()), f'nobody reads {topic}'
        return publisher

    def stamp(self):
        """Now, and always later than before."""
        from builtin_interfaces.msg import Time

        self._last = max(time.time_ns(), self._last + 1_000_000)
        return Time(sec=self._last // 10**9, nanosec=self._last % 10**9)

    def image(
        self, hands=1, order=0, size=(160, 120), encoding='bgr8', frame='camera', stamp=None
    ):
        """An image that tells a fake engine what to answer."""
        from sensor_msgs.msg import Image

        channels = {'mono8': 1, 'rgba8': 4}.get(encoding, 3)
        pixels = np.zeros((size[1], size[0], channels), np.uint8)
        pixels[0, 0], pixels[0, 1] = hands, order
        message = Image(
            height=size[1], width=size[0], encoding=encoding, step=size[0] * channels,
        )
        message.data.frombytes(pixels.tobytes())
        message.header.frame_id = frame
        message.header.stamp = stamp or self.stamp()
        return message

    def send(self, message, topic='image'):
        self.publisher(topic, type(message)).publish(message)

    def answer(self, header, topic='hands', timeout=PATIENCE):
        """The message of a topic with this very header; None at the timeout."""
        def carried(message):
            return message.markers[0].header if topic == 'markers' else message.header

        return wait_for(lambda: next(
            (m for m in list(self.received[topic]) if carried(m) == header), None), timeout)

    def ask_all(self, topics, hands=1, timeout=PATIENCE, **arguments):
        """Send images until one is answered on every topic: the answers, by topic.

        Readers miss what is sent while both sides still get to know each other.
        """
        for topic in topics:
            self.listen(topic)
        end, patience = time.monotonic() + timeout, 1.0
        while time.monotonic() < end:
            message = self.image(hands, **arguments)
            self.send(message)
            answers = {t: self.answer(message.header, t, timeout=patience) for t in topics}
            if all(answers.values()):
                return answers
            # A machine so busy that an answer takes longer is waited for, too.
            patience *= 1.5
        raise AssertionError(f'no answer on {[t for t, m in answers.items() if m is None]}')

    def ask(self, hands=1, timeout=PATIENCE, **arguments):
        """Send images until one is answered on topic `hands`, and give that answer."""
        return self.ask_all(['hands'], hands, timeout, **arguments)['hands']

    def status(self, wanted, timeout=PATIENCE):
        """A diagnostics status that fulfils `wanted`, newer than now."""
        from diagnostic_msgs.msg import DiagnosticArray

        self.listen('/diagnostics', DiagnosticArray)
        seen = len(self.received['/diagnostics'])
        return wait_for(lambda: next(
            (s for m in self.received['/diagnostics'][seen:] for s in m.status if wanted(s)),
            None), timeout)

    def call(self, kind, name, request, timeout=PATIENCE):
        """A service's response; None at the timeout."""
        client = self.node.create_client(kind, name)
        try:
            if not client.wait_for_service(timeout):
                return None
            # The server may see the client later than the client the server; an answer that comes
            # before that is lost.
            time.sleep(0.2)
            future = client.call_async(request)
            wait_for(future.done, timeout)
            return future.result() if future.done() else None
        finally:
            self.node.destroy_client(client)
