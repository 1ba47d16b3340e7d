"""Work on many shards at once, in processes that may be lost: which shard each one was busy with is known."""

import atexit
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

TICK_SECONDS = 0.5
"""Longest time without a word to whoever shows progress."""


class Lost:
    """Stands for the result of work whose process was killed, twice: by the system for its memory, as a rule."""


LOST = Lost()
KILLED = (
    "the process that checked it was killed, twice: see whether this machine is short of memory (dmesg), or use fewer "
    "--workers"
)
"""What a user is told of a shard whose result is ``LOST``."""


def run_in_processes(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None = None,
    tick: Callable[[], object] = lambda: None,
) -> Iterator[tuple[Item, Result | Lost]]:
    """Yield each item with ``work(item)``, in the order in which they are done.

    Items are taken as there is room for them, so that few of them are in memory at a time. Where a process is killed,
    what was under way is tried once more, one item at a time; an item whose process is killed again is ``LOST``.

    Args:
        work: A function of a module, which each process imports.
        items: To work on.
        workers: Processes; None for one a core.
        tick: Called now and then while there is nothing to yield.
    """
    rest = iter(items)
    interrupted = yield from _run_in_pool(work, rest, workers or os.cpu_count() or 1, tick)
    while interrupted:
        for item in interrupted:
            if (yield from _run_in_pool(work, iter([item]), 1, tick)):
                yield item, LOST
        interrupted = yield from _run_in_pool(work, rest, workers or os.cpu_count() or 1, tick)


def _run_in_pool(
    work: Callable[[Item], Result], items: Iterator[Item], workers: int, tick: Callable[[], object]
) -> Generator[tuple[Item, Result | Lost], None, list[Item]]:
    """Work until the items are used up; returns what was under way where a process was killed before that."""
    # Spawned: forking a process that has threads (Arrow's) may hang.
    context = multiprocessing.get_context("spawn")
    under_way: dict[Future[Result], Item] = {}
    with ProcessPoolExecutor(workers, context, initializer=_end_plainly) as pool:
        try:
            while True:
                while len(under_way) < 2 * workers:
                    item = next(items, None)
                    if item is None:
                        break
                    try:
                        under_way[_submit(pool, work, item)] = item
                    except BrokenProcessPool:
                        return [*under_way.values(), item]
                if not under_way:
                    return []
                done, _ = wait(under_way, TICK_SECONDS, FIRST_COMPLETED)
                tick()
                for future in done:
                    result = future.result()
                    yield under_way.pop(future), result
        except BrokenProcessPool:
            return list(under_way.values())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, work: Callable[[Item], Result], item: Item) -> Future[Result]:
    # Processes that start now inherit the mask (Python's own tracker of resources, which would lift it, runs already):
    # Ctrl-C reaches this one alone, which ends them in order.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(work, item)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _end_plainly() -> None:
    """Have this process end without Arrow's way to an end, which aborts where its threads are just being started."""
    atexit.register(os._exit, 0)
