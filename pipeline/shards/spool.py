"""Where samples wait for their turn in the tar: in memory, and in a temporary file if they do not fit."""

import contextlib
import mmap
from collections.abc import Callable, Iterator
from typing import IO, Self

import numpy as np
import numpy.typing as npt

from shards_spec.tar import BLOCK

SPOOL_BYTES = 256 * 2**20
"""Bytes that wait in memory. What follows waits in a temporary file."""

READ_BLOCKS = 512
"""Blocks that are read together, which stay in the processor's cache until they are written."""

NUMBERED_BLOCKS = 16 * READ_BLOCKS
"""Blocks whose numbers are made together, because each time costs as much as those of a hundred blocks."""

_idle: list[mmap.mmap] = []
"""Memory of former spools of this process. To clear new memory takes the system longer than to fill it."""

_Int64 = npt.NDArray[np.int64]
_Blocks = npt.NDArray[np.void]
_BLOCK = np.dtype((np.void, BLOCK))


class Spool:
    """Blocks of a tar that are written in one order and read in another. It is a context manager.

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
        """Append blocks.

        Args:
            fill: A function that returns the bytes of the blocks, and writes them to a buffer that has room for them.
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
            starts: Where each range begins, ``[ranges]``, a multiple of ``BLOCK``.
            sizes: The bytes of each range, ``[ranges]``, a multiple of ``BLOCK``.
        """
        held = np.frombuffer(self._memory, _BLOCK, self._held // BLOCK)
        stored = self._map_file()
        for numbers in _numbers(starts // BLOCK, sizes // BLOCK):
            for first in range(0, len(numbers), READ_BLOCKS):
                yield _take(held, stored, numbers[first : first + READ_BLOCKS]).view(np.uint8).data

    def _map_file(self) -> _Blocks:
        if not self._stored:
            return np.empty(0, _BLOCK)
        self._file.flush()
        return np.frombuffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ), _BLOCK)


def _take_memory() -> mmap.mmap:
    with contextlib.suppress(IndexError):
        return _idle.pop()
    memory = mmap.mmap(-1, SPOOL_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(AttributeError, OSError):  # not every system has large pages
        # The system would take longer to hand out small pages than to fill them.
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _numbers(starts: _Int64, counts: _Int64) -> Iterator[_Int64]:
    """Yield the numbers of the blocks of ranges, ``NUMBERED_BLOCKS`` at a time."""
    ends = np.cumsum(counts)
    moved = starts - (ends - counts)  # from a block's place in the new order to its number
    for first in range(0, int(counts.sum()), NUMBERED_BLOCKS):
        places = np.arange(first, min(first + NUMBERED_BLOCKS, int(ends[-1])))
        begin, end = np.searchsorted(ends, places[[0, -1]], side="right")
        reached = np.minimum(ends[begin : end + 1], places[-1] + 1)
        yield places + np.repeat(moved[begin : end + 1], np.diff(reached, prepend=first))


def _take(held: _Blocks, stored: _Blocks, numbers: _Int64) -> _Blocks:
    """Return blocks, whose numbers go on in the file after those in memory."""
    if not len(stored):
        return held.take(numbers)
    blocks = np.empty(len(numbers), _BLOCK)
    is_held = numbers < len(held)
    blocks[is_held] = held[numbers[is_held]]
    blocks[~is_held] = stored[numbers[~is_held] - len(held)]
    return blocks
