"""Threads that read, and that do not keep a process from ending.

Python waits at exit for the threads of ``concurrent.futures``, and a read from a stalled server can take minutes.
"""

import atexit
import functools
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from shards_spec.stream.in_flight import InFlight

GRACE_SECONDS = 2.0
"""How long the end of the process waits for reads under way. Reads that do not stall are over by then."""


class Readers:
    """A group of threads that read, as many at a time as the store's bandwidth and latency take.

    Args:
        least: Number of reads at a time to begin with, and minimum.
        most: Maximum number of reads at a time. Each needs a thread and a connection.
    """

    def __init__(self, least: int, most: int) -> None:
        self._tasks: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._changed = threading.Condition()
        self._in_flight = InFlight(least, most)
        self._active = 0
        self._closed = False
        self._process = os.getpid()
        self.threads: list[threading.Thread] = []
        _all.add(self)

    @property
    def has_threads(self) -> bool:
        """Whether this is the process that has the threads. One that was forked from it has none of them."""
        return os.getpid() == self._process

    def submit(self, read: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Let a thread call ``read``."""
        future: Future[Any] = Future()
        with self._changed:
            self._tasks.append((future, functools.partial(read, *arguments)))
            self._wake()
        return future

    def close(self) -> None:
        """Start no more reads. The threads end when the reads under way do."""
        if not self.has_threads:  # one of them may have held the lock when this process was forked
            return
        with self._changed:
            self._closed = True
            tasks, self._tasks = self._tasks, deque()
            self._changed.notify_all()
        for future, _ in tasks:
            future.cancel()

    def _wake(self) -> None:
        """Let one more read begin, if one is waiting and may."""
        if not self._tasks or self._active >= self._in_flight.limit or self._closed:
            return
        if len(self.threads) < self._in_flight.limit:
            thread = threading.Thread(target=self._work, name=f"reid-shards-read-{len(self.threads)}", daemon=True)
            self.threads.append(thread)
            thread.start()
        self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (not self._tasks or self._active >= self._in_flight.limit):
                    self._changed.wait()
                if self._closed:
                    return
                future, read = self._tasks.popleft()
                self._active += 1
                began_in = self._in_flight.round
            begin = time.monotonic()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(read())
                except BaseException as error:  # noqa: BLE001  # the caller that waits for the result raises it
                    future.set_exception(error)
            del future, read  # they refer to what was read, and waiting for the next task may take long
            with self._changed:
                self._active -= 1
                if self._tasks:
                    self._in_flight.ended(began_in, time.monotonic() - begin)
                # This thread takes the next task itself. Others are needed if more reads may now be under way.
                for _ in range(min(len(self._tasks), self._in_flight.limit - self._active) - 1):
                    self._wake()


_all: weakref.WeakSet[Readers] = weakref.WeakSet()


@atexit.register
def _end() -> None:
    """Let reads under way finish if they soon do, because they must not be under way while Python shuts down."""
    every = list(_all)
    for readers in every:
        readers.close()
    end = time.monotonic() + GRACE_SECONDS
    for thread in [thread for readers in every for thread in readers.threads]:
        thread.join(max(0.0, end - time.monotonic()))
