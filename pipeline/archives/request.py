"""What reading asks of an entry of any kind: where its bytes lie, and how they are checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from shards_spec.rejects import RejectReason

MAX_ENTRY_SIZE = 64 << 20
"""Largest size in bytes, packed or unpacked, of an entry that is read: far above any frame, far below a worker's
memory."""


@dataclass(frozen=True, slots=True)
class EntryFault:
    """Why an entry cannot be read. It would fail in the same way on every attempt."""

    reason: RejectReason
    detail: str
    """What failed, with the values, for people to read."""


class DamagedEntryError(Exception):
    """An entry's bytes are not what the survey of its archive found; the message names the difference."""


class ChangedEntryError(DamagedEntryError):
    """An entry's bytes show that its archive is no longer the one that was surveyed."""


class FileRange(NamedTuple):
    """A byte range of a file in a store."""

    path: str
    start: int
    stop: int


class EntryRequest(Protocol):
    """An entry to read."""

    @property
    def archive(self) -> str:
        """Path in the store of the file that holds the entry."""

    @property
    def offset(self) -> int:
        """Where the entry begins in that file, bytes."""

    @property
    def size(self) -> int:
        """Bytes of its content, unpacked."""

    @property
    def continued(self) -> tuple[FileRange, ...]:
        """What to read behind those bytes, if the entry goes on in other files."""

    def range_size(self) -> int:
        """Return the number of bytes to read from ``offset`` on; 0 if ``refuse`` returns a fault."""

    def refuse(self) -> EntryFault | None:
        """Return what is known to be wrong with the entry before it is read; None if nothing is."""

    def unpack(self, data: memoryview) -> bytes:
        """Return the entry's content.

        Args:
            data: The bytes of the file from ``offset`` on, at least ``range_size`` of them, and those of ``continued``.

        Raises:
            DamagedEntryError: The bytes are not what the request says. If it is a ``ChangedEntryError``, no other entry
                of the archive can be relied on.
        """

    def used_bytes(self) -> int:
        """Return the number of bytes that the entry's content takes in the file."""


class RequestColumns(NamedTuple):
    """Where many entries lie, as columns, ``[requests]``."""

    archives: npt.NDArray[np.int64]
    """The rank of each archive among the sorted paths of all."""
    offsets: npt.NDArray[np.int64]
    range_sizes: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    """Bytes of the contents, unpacked; 0 for an entry that is refused."""
    goes_on: npt.NDArray[np.bool_]
    """Whether the entry goes on in other files."""

    def take(self, order: npt.NDArray[np.int64]) -> "RequestColumns":
        """Return the rows at some positions."""
        archives, offsets, range_sizes, sizes, goes_on = self
        return RequestColumns(archives[order], offsets[order], range_sizes[order], sizes[order], goes_on[order])


def request_columns(requests: Sequence[EntryRequest]) -> RequestColumns:
    """Return the columns of requests of any kinds."""
    range_sizes = [request.range_size() for request in requests]
    sizes = [request.size if reach else 0 for request, reach in zip(requests, range_sizes, strict=True)]
    return RequestColumns(
        rank_archives([request.archive for request in requests]),
        np.array([request.offset for request in requests], np.int64),
        np.array(range_sizes, np.int64),
        np.array(sizes, np.int64),
        np.array([bool(request.continued) for request in requests], np.bool_),
    )


def rank_archives(paths: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the rank of each path among the sorted ones."""
    ranks = {path: rank for rank, path in enumerate(sorted(set(paths)))}
    return np.fromiter(map(ranks.__getitem__, paths), np.int64, len(paths))
