"""Where samples wait for their turn in the tar: in memory, and in a temporary file if they do not fit."""

import contextlib
import mmap
from collections.abc import Iterator
from typing import IO

import numpy as np
import numpy.typing as npt

SPOOL_BYTES = 256 * 2**20
"""Bytes that wait in memory. What follows waits in a temporary file."""


class Spool:
    """Bytes that are written in one order and read in another.

    Args:
        file: An empty temporary file for what does not fit in memory.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._memory = mmap.mmap(-1, SPOOL_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(AttributeError, OSError):  # not every system has large pages
            # The system would take longer to hand out small pages than to fill them.
            self._memory.madvise(mmap.MADV_HUGEPAGE)
        self._held = 0  # bytes in memory
        self._stored = 0  # bytes in the file

    def write(self, data: bytes) -> None:
        """Append a piece. A range that is read later must not go beyond the piece in which it begins."""
        if self._held + len(data) <= SPOOL_BYTES and not self._stored:
            self._memory[self._held : self._held + len(data)] = data
            self._held += len(data)
        else:
            self._file.write(data)
            self._stored += len(data)

    def read(self, starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> Iterator[memoryview]:
        """Yield the bytes of ranges of what was written, in the order of the ranges.

        Args:
            starts: Where each range begins, ``[ranges]``.
            sizes: The bytes of each range, ``[ranges]``.
        """
        held, stored = memoryview(self._memory), self._map_file()
        for start, stop in zip(starts.tolist(), (starts + sizes).tolist(), strict=True):
            yield held[start:stop] if start < self._held else stored[start - self._held : stop - self._held]

    def _map_file(self) -> memoryview:
        if not self._stored:
            return memoryview(b"")
        self._file.flush()
        return memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))
