"""The newest item wins, drops are counted, and the worker survives its work."""

import threading

from hiu_ros.ros.slot import Slots, Worker


def test_the_newest_item_wins_and_drops_are_counted():
    slots = Slots()
    assert [slots.put('a', k) for k in range(4)] == [False, True, True, True]
    slots.put('b', 9)
    assert slots.take(0.0) == {'a': 3, 'b': 9}
    assert slots.dropped == {'a': 3}
    assert slots.take(0.0) == {}


def test_take_waits_for_an_item():
    slots = Slots()
    timer = threading.Timer(0.05, slots.put, ('a', 1))
    timer.start()
    assert slots.take(5.0) == {'a': 1}
    timer.join()


def test_close_wakes_who_waits_and_gives_nothing_more():
    slots, taken = Slots(), []
    thread = threading.Thread(target=lambda: taken.append(slots.take()))
    thread.start()
    slots.close()
    thread.join(5.0)
    assert taken == [{}]
    slots.put('a', 1)
    assert slots.take(0.0) == {}


def test_worker_goes_on_after_an_error_and_stops():
    slots, done, errors = Slots(), [], []
    both = threading.Event()

    def work(items):
        if items['a'] == 'bad':
            raise KeyError('bad')
        done.append(items['a'])
        both.set()

    failed = threading.Event()
    worker = Worker(slots, work, lambda error: (errors.append(error), failed.set()))
    worker.start()
    slots.put('a', 'bad')
    assert failed.wait(5.0)
    slots.put('a', 'good')
    assert both.wait(5.0)
    assert worker.stop(5.0) and not worker.alive
    assert done == ['good'] and [error.args for error in errors] == [('bad',)]


def test_a_worker_that_stops_itself_does_not_wait_for_itself():
    slots, answers, failures = Slots(), [], []
    worker = Worker(slots, lambda items: answers.append(worker.stop(5.0)), failures.append)
    worker.start()
    slots.put('a', 1)
    assert worker._thread.join(5.0) is None and not worker.alive
    assert answers == [False] and not failures


def test_worker_that_hangs_is_reported():
    slots, release, started = Slots(), threading.Event(), threading.Event()

    def work(items):
        started.set()
        release.wait(10.0)

    worker = Worker(slots, work, lambda error: None)
    worker.start()
    slots.put('a', 1)
    assert started.wait(5.0)
    assert not worker.stop(0.05)
    release.set()
    assert worker.stop(5.0)


def test_a_worker_begins_with_the_newest_item_once_an_earlier_one_has_ended():
    release, started, done = threading.Event(), threading.Event(), []

    def hang(items):
        started.set()
        release.wait(10.0)

    busy = Slots()
    first = Worker(busy, hang, lambda error: None)
    first.start()
    busy.put('a', 1)
    assert started.wait(5.0) and not first.stop(0.05)
    slots, worked = Slots(), threading.Event()
    later = Worker(slots, lambda items: (done.append(items), worked.set()), done.append, first)
    later.start()
    slots.put('a', 2)
    assert not worked.wait(0.1)
    slots.put('a', 3)
    release.set()
    assert worked.wait(5.0) and done == [{'a': 3}]
    assert later.stop(5.0)


def test_a_worker_that_still_waits_for_an_earlier_one_can_be_stopped():
    release, started = threading.Event(), threading.Event()
    slots = Slots()
    first = Worker(slots, lambda items: (started.set(), release.wait(10.0)), lambda error: None)
    first.start()
    slots.put('a', 1)
    assert started.wait(5.0) and not first.stop(0.05)
    later = Worker(Slots(), lambda items: None, lambda error: None, first)
    later.start()
    assert later.stop(5.0) and first.alive
    release.set()
