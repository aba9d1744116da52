"""Stamps and clocks that a robot really has: odd ones, simulated ones, a bag in a loop."""

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hiu_ros.msg')

from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402

AGE = 'age at publish, median [ms]'


def statuses(peer):
    return [s for m in list(peer.received['/diagnostics']) for s in m.status]


def test_stamps_of_zero_from_the_future_and_going_back(spawn, peer, wait_for):
    node = spawn()
    assert node.wait_log('fake on fake')
    peer.listen('/diagnostics', DiagnosticArray)
    peer.ask(1)
    for stamp in (Time(), Time(), Time(sec=2_000_000_000), Time(sec=5), Time(sec=5),
                  Time(sec=4, nanosec=999_999_999)):
        answer = peer.ask(1, stamp=stamp)
        assert answer.header.stamp == stamp and len(answer.hands) == 1
    assert node.wait_log('time went back')

    def told():
        peer.ask(1, stamp=Time(sec=2_000_000_000))
        return [s for s in statuses(peer) if s.level == DiagnosticStatus.WARN
                and 'in the future' in s.message]

    assert wait_for(told, step=0.3)


def test_simulated_time_without_a_clock_is_told_as_that_until_it_comes(spawn, peer, wait_for):
    assert spawn(parameters={'use_sim_time': True}).wait_log('fake on fake')
    peer.listen('/diagnostics', DiagnosticArray)

    def message(level):
        peer.ask(1)
        seen = [s for s in statuses(peer)[-1:] if s.level == level]
        return seen and {v.key: v.value for v in seen[0].values}[AGE] != 'nan' and seen[0].message

    told = wait_for(lambda: message(DiagnosticStatus.WARN), step=0.2)
    assert 'use_sim_time is true and nothing came on /clock' in told
    assert 'future' not in told
    stamp = peer.stamp()
    assert wait_for(lambda: peer.send(Clock(clock=stamp), '/clock') or 'clock' not in (
        statuses(peer)[-1].message), step=0.2)


def test_a_bag_in_a_loop_starts_again_and_its_images_stay_young(spawn, peer, wait_for):
    """The bag's time began long ago: ages count by /clock, as the stamps do."""
    node = spawn(parameters={'use_sim_time': True})
    assert node.wait_log('fake on fake')
    peer.listen('/diagnostics', DiagnosticArray)
    peer.listen('hands')

    def play(tick):
        """The image of the bag's tick-th tenth of a second, and its answer."""
        stamp = Time(sec=1_500_000_000 + tick // 10, nanosec=tick % 10 * 10**8)
        peer.received['hands'].clear()
        peer.send(Clock(clock=stamp), '/clock')
        image = peer.image(1, stamp=stamp)
        peer.send(image)
        return peer.answer(image.header, timeout=2.0)

    assert wait_for(lambda: play(0))
    for _ in range(2):
        answered = [play(tick) for tick in range(1, 21)]
        assert sum(answer is not None for answer in answered) > 16
    assert node.wait_log('time went back')

    def ages():
        play(21)
        found = [{v.key: v.value for v in s.values}[AGE] for s in statuses(peer)]
        return [float(value) for value in found if value != 'nan']

    assert all(abs(age) < 1000 for age in wait_for(ages, step=0.3)), ages()
    assert node.alive and 'Traceback' not in node.log
