"""Reads that are begun before their turn, so that the wait for one hides behind the work on another."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch_next(expect: Callable[[Item], object], items: Iterable[Item]) -> Iterator[Item]:
    """The items, each after ``expect`` was called for the next: where the system reads ahead, if it is told what."""
    before: list[Item] = []
    for item in items:
        expect(item)
        yield from before
        before = [item]
    yield from before


def read_ahead(read: Callable[[Item], Result], items: Iterable[Item], at_once: int) -> Generator[Result, None, None]:
    """``read(item)`` of each item, in the items' order, by threads.

    What ``read`` raises is raised in its turn. The threads end with the generator, also when that is closed early.

    Args:
        read: for any thread to call.
        items: taken one by one, as there is room.
        at_once: threads, and results that are made or wait while the one before them is worked on.
    """
    with ThreadPoolExecutor(at_once, "read-ahead") as readers:
        started = (readers.submit(read, item) for item in items)
        ahead = deque(islice(started, at_once))
        while ahead:
            result = ahead.popleft().result()
            ahead.extend(islice(started, 1))
            yield result
