"""Drawing in several processes, in order, with few results in memory at a time."""

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Protocol, TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class Run(Protocol):
    """Applies a function to arguments, and yields the results in the order of the arguments."""

    def __call__(self, function: Callable[[Argument], Result], arguments: Iterable[Argument], /) -> Iterator[Result]:
        """Yield the results."""


@contextlib.contextmanager
def processes(workers: int) -> Iterator[Run]:
    """Return ``map`` over this many processes; with one, it works in this process."""
    if workers == 1:
        yield map
        return
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _ignore_interrupts)

    def run(function: Callable[[Argument], Result], arguments: Iterable[Argument], /) -> Iterator[Result]:
        waiting: deque[Future[Result]] = deque()
        for argument in arguments:
            waiting.append(executor.submit(function, argument))
            if len(waiting) == 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield run
    finally:
        executor.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    """Let only the parent receive Ctrl-C, so that it can end its workers in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
