"""Work on archives that is done in parts: in parallel, wherever the caller can, and kept once it is done."""

import contextlib
import hashlib
import multiprocessing
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from shards_spec.storage import ReadableStore, Store, open_store

PARTS_FOR_OTHERS = 8
"""Fewest parts of a survey for which other processes are started: to start these takes longer than to do less here."""

Work = Callable[[ReadableStore, Any], pa.Table]
"""A function at the top level of a module that does a part, given the store with the archives and the argument."""


class Part(NamedTuple):
    """A part of the work."""

    name: str
    """What names the part and everything that its result depends on, so that a kept result is found and is right."""
    argument: Any


class Tasks(Protocol):
    """Does parts of a work."""

    def run(self, work: Work, parts: Sequence[Part]) -> Iterator[tuple[int, pa.Table]]:
        """Yield the position of each part and its result, as they are done.

        Raises:
            OSError: A store reports a fault.
        """


class SerialTasks:
    """Does one part after the other in this process, and keeps nothing.

    Args:
        store: The store with the archives.
    """

    def __init__(self, store: ReadableStore) -> None:
        self._store = store

    def run(self, work: Work, parts: Sequence[Part]) -> Iterator[tuple[int, pa.Table]]:
        """Yield the position of each part and its result, in order."""
        for position, part in enumerate(parts):
            yield position, work(self._store, part.argument)


class KeptResults:
    """Results of parts as files of a store.

    Args:
        store: The store to keep them in.
        folder: The folder for them.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self.where = store.url
        """URL of the store."""
        self.folder = folder

    def load(self, part: Part) -> pa.Table | None:
        """Return the result of a part; None if it is not kept, or damaged."""
        try:
            data = self._store.read_whole(self._path(part))
        except OSError:  # mostly because it is not there; if it cannot be read, the part is done again
            return None
        if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
            return None
        with pa.ipc.open_stream(pa.py_buffer(data[_DIGEST:])) as reader:
            return reader.read_all()

    def save(self, part: Part, table: pa.Table) -> None:
        """Keep the result of a part."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(table)
        data = sink.getvalue().to_pybytes()
        self._store.put(self._path(part), hashlib.sha256(data).digest() + data)

    def _path(self, part: Part) -> str:
        return f"{self.folder}/{hashlib.blake2b(part.name.encode(), digest_size=16).hexdigest()}.arrow"


class KeptTasks(ABC):
    """Does parts whose results are kept: what an earlier run has done is not done again.

    Args:
        store: The store with the archives.
        kept: Where results are kept.
        fewest: Fewest parts for which other processes are started; None for ``PARTS_FOR_OTHERS``.
    """

    def __init__(self, store: ReadableStore, kept: KeptResults, fewest: int | None = None) -> None:
        self._store = store
        self._kept = kept
        self._fewest = fewest

    def run(self, work: Work, parts: Sequence[Part]) -> Iterator[tuple[int, pa.Table]]:
        """Yield the position of each part and its result, those that were kept first."""
        missing = []
        for position, part in enumerate(parts):
            table = self._kept.load(part)
            if table is None:
                missing.append(position)
            else:
                yield position, table
        while missing and not self._gives_away(len(missing)):
            position = missing.pop(0)
            table = work(self._store, parts[position].argument)
            with contextlib.suppress(OSError):  # such as a home that cannot be written to; it is only done again
                self._kept.save(parts[position], table)
            yield position, table
        if not missing:
            return
        with contextlib.closing(self._run_elsewhere(work, [parts[position] for position in missing])) as done:
            for number, table in done:
                position = missing[number]
                if table is None and (table := self._kept.load(parts[position])) is None:
                    raise OSError(f"what a part of the survey found is not in {self._kept.where}")
                yield position, table

    def _gives_away(self, parts: int) -> bool:
        """Return whether so many parts are given to other processes. If not, this one does the next."""
        return parts >= (PARTS_FOR_OTHERS if self._fewest is None else self._fewest)

    @abstractmethod
    def _run_elsewhere(self, work: Work, parts: Sequence[Part]) -> Generator[tuple[int, pa.Table | None], None, None]:
        """Do parts in other processes.

        Yields:
            The position of each part once it is done, and its result if that is not kept.
        """


class ProcessTasks(KeptTasks):
    """Does parts in processes of this machine.

    Args:
        store: The store with the archives.
        kept: Where results are kept.
        workers: Number of processes.
    """

    def __init__(self, store: ReadableStore, kept: KeptResults, workers: int) -> None:
        super().__init__(store, kept)
        self._workers = workers

    def _run_elsewhere(self, work: Work, parts: Sequence[Part]) -> Generator[tuple[int, pa.Table | None], None, None]:
        # Spawned, because forking a process that has threads, such as Arrow's, may hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self._workers, context, initializer=_ignore_interrupts) as pool:
            try:
                arguments = (self._store.url, self._kept.where, self._kept.folder)
                futures = {
                    pool.submit(_do_in_process, work, part, *arguments): position for position, part in enumerate(parts)
                }
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _do_in_process(work: Work, part: Part, url: str, kept_url: str, folder: str) -> pa.Table | None:
    """Do a part; return its result only if it cannot be kept, because it takes megabytes."""
    table = work(open_store(url), part.argument)
    try:
        KeptResults(open_store(kept_url), folder).save(part, table)
    except OSError:  # such as a home that cannot be written to; it is only done again
        return table
    return None


def _ignore_interrupts() -> None:
    """Let only the parent receive Ctrl-C, so that it can end its workers in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


_DIGEST = hashlib.sha256().digest_size
