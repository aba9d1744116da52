"""The newest frame of every camera wins: slots of size one, and the thread that empties them."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any


class Slots:
    """One slot a camera; a new item replaces one that nobody took, which is counted as dropped."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._items: dict[Hashable, Any] = {}
        self._closed = False
        self.dropped: dict[Hashable, int] = {}

    def put(self, key: Hashable, item: Any) -> bool:
        """Offer an item; True where it replaced one that was still waiting."""
        with self._condition:
            replaced = key in self._items
            self._items[key] = item
            if replaced:
                self.dropped[key] = self.dropped.get(key, 0) + 1
            self._condition.notify()
            return replaced

    def take(self, timeout: float | None = None) -> dict[Hashable, Any]:
        """Everything that waits, and empty slots behind it; {} at the timeout or once closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._items or self._closed, timeout)
            items, self._items = self._items, {}
            return {} if self._closed else items

    def close(self) -> None:
        """Wake whoever waits in `take`; from now on it gives {}."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed


class Worker:
    """A thread that gives what lies in the slots to `work` until it is stopped.

    `work` is expected to deal with its own errors; one that escapes it goes to `failed` and the
    thread goes on with the next items. It begins when `after`, an earlier one, has ended.
    """

    def __init__(
        self, slots: Slots, work: Callable[[dict], None], failed: Callable[[Exception], None],
        after: 'Worker | None' = None,
    ) -> None:
        self._slots = slots
        self._work = work
        self._failed = failed
        self._after = after
        # A daemon: a kernel that hangs must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name='hiu_worker', daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Ask the thread to end and wait up to `timeout` s; False where it still works."""
        self._slots.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while self._after is not None and self._after.alive and not self._slots.closed:
            time.sleep(0.01)
        self._after = None
        while not self._slots.closed:
            items = self._slots.take()
            if not items:
                continue
            try:
                self._work(items)
            except Exception as error:
                self._failed(error)
