"""A node beside the one under watch: a context, an executor and a thread of its own."""

import threading

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.task import Future

from hiu_ros.ros.process import initialise


class Peer:
    """Spins `self._node` in a thread as long as the `with` block lasts.

    What a callback raises ends the spinning; it is raised by `check`, and by the end of the block.
    """

    def __init__(self, name: str, namespace: str, **options) -> None:
        self._context = Context()
        # The words behind the -p of a command are for the node that it starts.
        initialise([], self._context)
        self._node = rclpy.create_node(
            name, context=self._context, namespace=namespace, **options)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._stop = Future()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._spin, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def _spin(self) -> None:
        try:
            self._executor.spin_until_future_complete(self._stop)
        except Exception as error:
            self._error = error

    def check(self) -> None:
        """Raise what a callback has raised."""
        if self._error is not None:
            raise self._error

    def __exit__(self, *error: object) -> None:
        self._stop.set_result(None)
        self._thread.join(5.0)
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)
        if error[0] is None:
            self.check()
