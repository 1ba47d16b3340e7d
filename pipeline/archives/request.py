"""What reading asks of an entry of any kind: where its bytes lie, and how they are checked."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

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
