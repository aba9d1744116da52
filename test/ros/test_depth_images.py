"""Which depth image a colour image gets, and when it is waited for."""

import threading
import time

import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from hiu_ros.ros import depth_images  # noqa: E402
from hiu_ros.ros.depth_images import DepthImages  # noqa: E402

TOLERANCE = 0.05


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A wait in vain takes as long as no busy machine needs for what is not in vain."""
    monkeypatch.setattr(depth_images, 'WAIT', 2.0)


class Camera:
    """Depth images of 30 Hz, which may come after the image of their moment was asked for."""

    def __init__(self, shift=0.0):
        self.images, self.shift, self.waits = DepthImages(), shift, []
        self.tolerance = TOLERANCE

    def put(self, k):
        stamp = 5 + k / 30 + self.shift
        self.images.put(Image(header=Header(stamp=Time(
            sec=int(stamp), nanosec=round(stamp % 1 * 1e9)))))

    def ask(self, k, late=None):
        """Number of the depth image that image k gets; `late` comes once it is asked for."""
        start = time.monotonic()
        if late is not None:
            thread = threading.Timer(0.1, self.put, [late])
            thread.start()
        found = self.images.nearest(5 + k / 30, self.tolerance)
        self.waits.append(time.monotonic() - start)
        if late is not None:
            thread.join()
        if found is None:
            return None
        return round((depth_images.seconds(found.header.stamp) - 5 - self.shift) * 30)


@pytest.mark.parametrize('shift', [0.0, -0.004, 0.004])
def test_depth_that_comes_after_its_image_is_waited_for_once_that_was_seen(shift):
    camera = Camera(shift)
    assert camera.ask(0) is None
    camera.put(0)
    assert [camera.ask(k, late=k) for k in (1, 2, 3)] == [1, 2, 3]
    assert min(camera.waits[1:]) > 0.05 and camera.waits[0] < 1.0
    # No longer than until it is there.
    assert max(camera.waits) < 2.0


def test_depth_that_is_there_is_not_waited_for():
    camera = Camera()
    camera.ask(0)
    camera.put(0)
    for k in (1, 2, 3):
        camera.put(k)
        assert camera.ask(k) == k
    assert max(camera.waits) < 1.0


def test_depth_between_the_images_is_waited_for_only_where_the_next_is_nearer():
    camera = Camera(-0.010)
    for k in range(4):
        camera.put(k)
        assert camera.ask(k) == k
        # 23 ms younger than the image: the one that was there is nearer.
    assert max(camera.waits) < 1.0
    camera = Camera(-0.025)
    camera.put(0)
    assert camera.ask(0) == 0
    camera.put(1)
    assert camera.ask(1, late=2) == 2
    assert camera.waits[-1] > 0.05


def test_where_depth_comes_more_seldom_than_images_none_is_waited_for_in_between():
    camera = Camera()
    camera.ask(0)
    for k in (0, 2, 4, 6):
        camera.put(k)
    # The next is as far off as the one that is there.
    assert camera.ask(7) == 6 and camera.waits[-1] < 1.0
    assert camera.ask(8, late=8) == 8 and camera.waits[-1] > 0.05
    # One that got lost does not matter: the next is due all the same.
    assert camera.ask(12, late=12) == 12 and camera.waits[-1] > 0.05
    # Of every sixth image, the next is nearer to the fourth in between, but not near enough.
    camera = Camera()
    camera.ask(0)
    for k in (0, 6, 12):
        camera.put(k)
    assert camera.ask(16) == 12 and camera.waits[-1] < 1.0
    assert camera.ask(17, late=18) == 18 and camera.waits[-1] > 0.05


def test_depth_of_the_very_stamp_and_of_no_even_rate_is_waited_for():
    camera = Camera()
    camera.tolerance = 1e-6
    camera.ask(0)
    for k in (0, 1, 2.02, 4, 5.02, 6):
        camera.put(k)
    assert [camera.ask(k, late=k) for k in (8, 9, 11)] == [8, 9, 11]


def test_a_wait_in_vain_is_the_last_until_depth_comes_again():
    camera = Camera()
    camera.ask(0)
    camera.put(0)
    assert camera.ask(3) == 0 and camera.waits[-1] >= 2.0
    assert camera.ask(4) == 0 and camera.waits[-1] < 1.0
    camera.put(4)
    assert camera.ask(5, late=5) == 5 and camera.waits[-1] > 0.05


def test_what_is_out_of_tolerance_is_not_waited_for():
    camera = Camera()
    assert camera.ask(0) is None
    camera.put(2)
    assert camera.ask(3) == 2 and camera.ask(30) == 2
    assert max(camera.waits) < 1.0
    # Nor is it once depth stays away by more than that.
    camera = Camera()
    camera.ask(0)
    camera.put(0)
    # What is younger than the image ends the wait: no other will come.
    assert camera.ask(3, late=9) == 0 and camera.waits[-1] < 2.0
    camera.put(10)
    assert camera.ask(40) == 10 and camera.waits[-1] < 1.0


def test_depth_that_comes_after_the_next_image_is_waited_for():
    camera = Camera()
    assert [camera.ask(k) for k in (0, 1, 2)] == [None] * 3
    camera.put(0)
    assert [camera.ask(k, late=k) for k in (3, 4)] == [3, 4]
    assert max(camera.waits[:3]) < 1.0 and min(camera.waits[3:]) > 0.05


def test_depth_that_comes_later_than_it_would_be_waited_for_is_not(monkeypatch):
    camera = Camera()
    monkeypatch.setattr(depth_images, 'WAIT', 0.05)
    camera.ask(0)
    time.sleep(0.1)
    camera.put(0)
    monkeypatch.setattr(depth_images, 'WAIT', 2.0)
    assert camera.ask(6) == 0 and camera.waits[-1] < 1.0


def test_images_asked_for_are_forgotten_also_where_no_depth_comes(monkeypatch):
    monkeypatch.setattr(depth_images, 'WAIT', 0.0)
    camera = Camera()
    for k in range(20):
        camera.ask(k)
    assert len(camera.images._asked) < 5


def test_images_without_a_stamp_wait_for_nothing():
    images = DepthImages()
    first, second = Image(width=1), Image(width=2)
    for image in (first, second):
        assert images.nearest(0.0, TOLERANCE) is not image
        images.put(image)
    assert images.nearest(0.0, TOLERANCE) is second


def test_what_is_forgotten_ends_a_wait():
    camera = Camera()
    camera.ask(0)
    camera.put(0)
    threading.Timer(0.1, camera.images.clear).start()
    assert camera.ask(1) is None and camera.waits[-1] < 1.5
    assert camera.ask(2) is None and camera.waits[-1] < 1.0


@pytest.mark.parametrize('rate', [30, 60, 90])
def test_images_that_come_late_get_depth_of_their_moment_however_fast_it_is(rate):
    camera = Camera()
    for tick in range(2 * rate):
        camera.put(tick * 30 / rate)
    assert camera.ask(50) == 50  # 0.3 s ago
    assert max(camera.waits) < 1.0


@pytest.mark.parametrize('rate, seconds', [(5, 7 / 5), (30, 0.5), (60, 0.5), (300, 63 / 300)])
def test_depth_is_kept_for_half_a_second_and_in_numbers_that_fit_memory(rate, seconds):
    images = DepthImages()
    for tick in range(3 * rate + 1):
        images.put(Image(header=Header(stamp=Time(
            sec=5 + tick // rate, nanosec=tick % rate * 10**9 // rate))))
    oldest = depth_images.seconds(images.nearest(1.0, TOLERANCE).header.stamp)
    assert 8.0 - oldest == pytest.approx(seconds, abs=0.6 / rate)


def test_of_images_without_a_stamp_few_are_kept():
    images = DepthImages()
    for _ in range(100):
        images.put(Image())
    assert len(images._images) == depth_images.FEWEST


def test_depth_is_waited_for_from_the_second_image_on_where_a_recording_begins_anew():
    camera = Camera()
    camera.ask(600)
    for k in range(600, 604):
        camera.put(k)
    camera.ask(0, late=0)
    for k in (1, 2, 3):
        assert camera.ask(k, late=k) == k
        assert camera.waits[-1] > 0.05
    # An image that changed its place with another one on its way is none.
    camera.put(2)
    assert camera.ask(3) == 3
