"""Threads that read, and that do not keep a process from ending.

Python waits at exit for the threads of ``concurrent.futures``, and a read from a stalled server can take minutes.
"""

import atexit
import contextlib
import functools
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

GRACE_SECONDS = 2.0
"""How long the end of the process waits for reads under way. Reads that do not stall are over by then."""

_Task = tuple["Future[Any]", Callable[[], Any]]


class Readers:
    """A group of threads that read.

    Args:
        count: Number of threads.
    """

    def __init__(self, count: int) -> None:
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self.threads = [
            threading.Thread(target=_work, args=(self._tasks,), name=f"reid-shards-read-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self.threads:
            thread.start()
        _all.add(self)

    def submit(self, read: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Let a thread call ``read``."""
        future: Future[Any] = Future()
        self._tasks.put((future, functools.partial(read, *arguments)))
        return future

    def close(self) -> None:
        """Start no more reads. The threads end when the reads under way do."""
        with contextlib.suppress(queue.Empty):
            while True:
                task = self._tasks.get_nowait()
                if task is not None:
                    task[0].cancel()
        for _ in self.threads:
            self._tasks.put(None)


_all: weakref.WeakSet[Readers] = weakref.WeakSet()


def _work(tasks: "queue.SimpleQueue[_Task | None]") -> None:
    while (task := tasks.get()) is not None:
        future, read = task
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(read())
            except BaseException as error:  # noqa: BLE001  # the caller that waits for the result raises it
                future.set_exception(error)
        del task, future, read  # they refer to what was read, and waiting for the next task may take long


@atexit.register
def _end() -> None:
    """Let reads under way finish if they soon do, because they must not be under way while Python shuts down."""
    every = list(_all)
    for readers in every:
        readers.close()
    end = time.monotonic() + GRACE_SECONDS
    for thread in [thread for readers in every for thread in readers.threads]:
        thread.join(max(0.0, end - time.monotonic()))
