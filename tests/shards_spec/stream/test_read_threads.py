"""Threads that read: each call's outcome, an end when it is asked for, and none that keeps a process alive."""

import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError

import pytest

from shards_spec.stream.readers import Readers


def test_what_is_called_is_answered() -> None:
    readers = Readers(3, 3)
    futures = [readers.submit(divmod, 100, number) for number in range(5)]
    with pytest.raises(ZeroDivisionError):
        futures[0].result()
    assert [future.result() for future in futures[1:]] == [(100, 0), (50, 0), (33, 1), (25, 0)]
    readers.close()
    for thread in readers.threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in readers.threads)


def test_what_has_not_begun_is_not_begun_after_the_end() -> None:
    readers = Readers(1, 1)
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> bool:
        begun.set()
        return go_on.wait(60)

    first, second = readers.submit(wait), readers.submit(wait)
    assert begun.wait(60)
    readers.close()
    with pytest.raises(CancelledError):
        second.result()
    go_on.set()
    assert first.result()


_STALLED = """
import sys, threading
from shards_spec.stream import readers
readers.GRACE_SECONDS = 0.2
threads = readers.Readers(2, 2)
begun = threading.Event()
def stall():
    begun.set()
    threading.Event().wait(600)
threads.submit(stall)
assert begun.wait(60)
if sys.argv[1] == "error":
    raise KeyboardInterrupt
"""


@pytest.mark.parametrize("way", ["end", "error"])
def test_a_read_that_stalls_does_not_keep_the_process(way: str) -> None:
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _STALLED, way], capture_output=True, timeout=300, check=False)
    assert time.monotonic() - begin < 120
    assert (done.returncode == 0) == (way == "end"), done.stderr
    assert b"Fatal" not in done.stderr
