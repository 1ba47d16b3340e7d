"""Parallel work on shards in processes that may be killed, which keeps track of the shard that each was working on."""

import atexit
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from shards_spec.cores import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

TICK_SECONDS = 0.5
"""Longest time in seconds between two calls of ``tick``."""


class Lost:
    """The result of work whose process was killed twice, usually by the system because of its memory."""


LOST = Lost()
KILLED = (
    "the process that checked it was killed, twice: see whether this machine is short of memory (dmesg), or use fewer "
    "--workers"
)
"""The message to the user about a shard whose result is ``LOST``."""


def run_in_processes(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None = None,
    tick: Callable[[], object] = lambda: None,
) -> Iterator[tuple[Item, Result | Lost]]:
    """Yield each item with the result of ``work(item)``, in the order in which they are done.

    Items are taken only when there is room for them, so that few are in memory at a time. If a process is killed, the
    items in progress are tried once more, one at a time; an item whose process is killed again is ``LOST``.

    Args:
        work: A function at the top level of a module, which each process imports.
        items: The items to work on.
        workers: Number of processes; None for one per core.
        tick: A function that is called now and then while there is nothing to yield.
    """
    rest = iter(items)
    interrupted = yield from _run_in_pool(work, rest, workers or usable_cores(), tick)
    while interrupted:
        for item in interrupted:
            if (yield from _run_in_pool(work, iter([item]), 1, tick)):
                yield item, LOST
        interrupted = yield from _run_in_pool(work, rest, workers or usable_cores(), tick)


def _run_in_pool(
    work: Callable[[Item], Result], items: Iterator[Item], workers: int, tick: Callable[[], object]
) -> Generator[tuple[Item, Result | Lost], None, list[Item]]:
    """Work until there are no items left; return the items in progress if a process was killed before that."""
    # Processes are spawned, because forking a process that has threads (Arrow's) may hang.
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
            # Waits for the pool's own thread, too: one that ends while the interpreter does may leave a traceback.
            pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, work: Callable[[Item], Result], item: Item) -> Future[Result]:
    # Processes that start now inherit the mask, so that Ctrl-C reaches only this one, which ends them in order.
    # (Python's own resource tracker would lift the mask, but it is running already.)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(work, item)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _end_plainly() -> None:
    """Make this process exit without Arrow's own cleanup, which aborts if Arrow's threads are just being started."""
    atexit.register(os._exit, 0)
