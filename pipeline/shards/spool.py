"""Where samples wait for their turn in the tar: in memory, and in a temporary file if they do not fit."""

import contextlib
import mmap
from collections.abc import Callable, Iterator
from typing import IO, Self

import numpy as np
import numpy.typing as npt

from pipeline.shards._core import gather_ranges

SPOOL_BYTES = 256 * 2**20
"""Bytes that wait in memory. What follows waits in a temporary file."""

READ_BYTES = 256 * 2**10
"""Bytes that are read together, which stay in the processor's cache until they are written."""

_idle: list[mmap.mmap] = []
"""Memory of former spools of this process. To clear new memory takes the system longer than to fill it."""

_Int64 = npt.NDArray[np.int64]


class Spool:
    """Bytes that are written in one order and read in another. It is a context manager.

    Args:
        file: An empty temporary file for what does not fit in memory.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._memory = _take_memory()
        self._held = 0  # bytes in memory
        self._stored = 0  # bytes in the file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _idle.append(self._memory)

    @property
    def size(self) -> int:
        """Return the bytes that were written."""
        return self._held + self._stored

    def write(self, fill: Callable[[memoryview], int]) -> None:
        """Append bytes.

        Args:
            fill: A function that returns the number of the bytes, and writes them to a buffer that has room for them.
        """
        room = memoryview(self._memory)[self._held :] if not self._stored else memoryview(bytearray())
        size = fill(room)
        if size <= len(room):
            self._held += size
        else:
            buffer = bytearray(size)
            fill(memoryview(buffer))
            self._file.write(buffer)
            self._stored += size

    def read(self, starts: _Int64, sizes: _Int64) -> Iterator[memoryview]:
        """Yield the bytes of ranges of what was written, in the order of the ranges, many in one piece.

        Args:
            starts: Where each range begins, ``[ranges]``. A range must not go beyond what was written at once.
            sizes: The bytes of each range, ``[ranges]``.

        Yields:
            Bytes that are there until the next are asked for.
        """
        held, stored = memoryview(self._memory)[: self._held], self._map_file()
        ends = np.cumsum(sizes)
        buffer = memoryview(bytearray(READ_BYTES))
        first = 0
        while first < len(starts):
            before = ends[first] - sizes[first]
            last = int(np.searchsorted(ends, before + READ_BYTES, side="right"))
            if last > first:
                yield buffer[: gather_ranges(held, stored, starts[first:last], sizes[first:last], buffer)]
                first = last
            else:  # it is large, and need not be copied
                piece, start = (
                    (held, starts[first]) if starts[first] < self._held else (stored, starts[first] - self._held)
                )
                yield piece[start : start + sizes[first]]
                first += 1

    def _map_file(self) -> memoryview:
        if not self._stored:
            return memoryview(b"")
        self._file.flush()
        return memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))


def _take_memory() -> mmap.mmap:
    with contextlib.suppress(IndexError):
        return _idle.pop()
    memory = mmap.mmap(-1, SPOOL_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(AttributeError, OSError):  # not every system has large pages
        # The system would take longer to hand out small pages than to fill them.
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
