"""Start reads before their results are needed, so that waiting for one overlaps with work on another."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(read: Callable[[Item], Result], items: Iterable[Item], at_once: int) -> Generator[Result, None, None]:
    """Yield ``read(item)`` for each item, in the order of the items. Threads do the reading.

    An exception in ``read`` is raised when its item is due. The threads end with the generator, also if it is closed
    early.

    Args:
        read: Function that threads call.
        items: Items to read. They are taken one by one, only as results are consumed.
        at_once: Number of threads, and maximum number of results that are being read or waiting.
    """
    with ThreadPoolExecutor(at_once, "read-ahead") as readers:
        started = (readers.submit(read, item) for item in items)
        ahead = deque(islice(started, at_once))
        while ahead:
            result = ahead.popleft().result()
            ahead.extend(islice(started, 1))
            yield result
