"""Where samples wait for their turn in the tar: in memory, and in a temporary file if they do not fit."""

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
        self._in_memory: list[bytes] = []
        self._in_file: list[int] = []  # the size of each piece
        self._room = SPOOL_BYTES

    def write(self, data: bytes) -> None:
        """Append a piece. A range that is read later must not go beyond the piece in which it begins."""
        if len(data) <= self._room and not self._in_file:
            self._in_memory.append(data)
            self._room -= len(data)
        else:
            self._file.write(data)
            self._in_file.append(len(data))

    def read(self, starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> Iterator[memoryview]:
        """Yield the bytes of ranges of what was written, in the order of the ranges.

        Args:
            starts: Where each range begins, ``[ranges]``.
            sizes: The bytes of each range, ``[ranges]``.
        """
        pieces = [*(memoryview(piece) for piece in self._in_memory), *self._mapped()]
        begins = np.cumsum([0, *map(len, pieces)])
        numbers = np.searchsorted(begins, starts, side="right") - 1
        within = starts - begins[numbers]
        for piece, start, stop in zip(numbers.tolist(), within.tolist(), (within + sizes).tolist(), strict=True):
            yield pieces[piece][start:stop]

    def _mapped(self) -> Iterator[memoryview]:
        """Yield the pieces that lie in the file."""
        if self._in_file:
            self._file.flush()
            view = memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))
            stop = 0
            for size in self._in_file:
                start, stop = stop, stop + size
                yield view[start:stop]
