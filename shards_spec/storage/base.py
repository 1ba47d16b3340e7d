"""What the project asks of a place that holds files: a folder now, an object store through the same methods."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shards_spec.errors import ReidShardsError, SpecError, UsageError

PARTIAL_FOLDER = ".work/partial"
"""For what is there only in passing: ``sweep`` empties it."""

WHOLE_BYTES = 256 * 2**20
"""Size of the largest file that is read into memory as a whole: far above what a conversion writes to be read so."""


class Kind(StrEnum):
    """What stands under a path. An object store holds nothing but regular files."""

    FILE = "regular file"
    LINK = "symbolic link"
    """A link to a regular file, which is read as that file is."""
    FOLDER_LINK = "symbolic link to a folder"
    """What lies below it is not listed."""
    BROKEN_LINK = "symbolic link that leads nowhere"
    PIPE = "named pipe"
    SOCKET = "socket"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file in a store: its path relative to the store's root, with ``/`` between parts, and its size in bytes."""

    path: str
    size: int
    kind: Kind = Kind.FILE


class FileTooLargeError(SpecError):
    """A file that is to be read as a whole is so large that it cannot be what its name says."""

    def __init__(self, where: str, size: int, limit: int) -> None:
        super().__init__(f"{where} is {size:,} bytes, but such a file has at most {limit:,}")


class StoreBusyError(UsageError):
    """Another process is writing to the store."""


class StoreLostError(ReidShardsError):
    """This process was the one writer to the store, and is no more."""


class FileWriter(Protocol):
    """Takes a file's bytes one after the other."""

    def write(self, data: bytes) -> object:
        """Append ``data``."""


class Store(Protocol):
    """A place that holds files, addressed by paths relative to its root.

    A file is visible under its path whole or not at all, whatever happens to the process that writes it. Methods
    raise ``OSError`` (``FileNotFoundError`` for a missing file, ``PermissionError`` for wrong credentials) for
    whatever the medium reports, object stores after retrying for a while what may pass. Only regular files and links to
    them are read: a named pipe would never answer, and a device never end. A store may be used by several threads, and
    each process opens it anew, from ``url``.
    """

    url: str
    """Of the root, for people and for opening it elsewhere. Holds no secrets."""
    reads_at_once: int
    """Reads that are worth having under way at a time: one where none waits for a network. Where there are more, what
    fails in passing was tried again for minutes before it is raised."""

    def size(self, path: str) -> int:
        """Size of a file in bytes."""

    def read(self, path: str, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop`` of a file; raises ``EOFError`` where it ends before ``stop``."""

    def read_into(self, path: str, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with a file's bytes from ``start`` on; raises ``EOFError`` where it ends before."""

    def prefetch(self, path: str, start: int, stop: int) -> None:
        """Say that these bytes will be read soon; a folder's are then read by the system meanwhile. Never fails."""

    def read_whole(self, path: str, limit: int = WHOLE_BYTES) -> bytes:
        """All bytes of a file; raises ``FileTooLargeError`` where there are more than ``limit``."""

    def list(self, folder: str = "") -> Iterator[FileInfo]:
        """The files below ``folder``, at any depth, sorted by path; none where there is no such folder.

        What can be found in a folder and is no regular file is listed as well, with its ``kind``, so that it is not
        overlooked.
        """

    def list_top(self) -> Iterator[FileInfo]:
        """The files that lie in no folder, as ``list`` has them; what lies below folders is not looked at."""

    def open_write(self, path: str) -> AbstractContextManager[FileWriter]:
        """A writer whose file appears under ``path`` when the block ends, and not at all when it raises."""

    def put(self, path: str, data: bytes) -> None:
        """Write a whole file, replacing what was there."""

    def create(self, path: str, data: bytes) -> bool:
        """Write a whole file only where there is none; returns whether this call made it."""

    def delete(self, path: str) -> None:
        """Remove a file; a missing one is no error."""

    def hold(self, owner: str) -> AbstractContextManager[None]:
        """Own the store as its one writer while the block runs; ends with the process, however that ends.

        Raises ``StoreBusyError``, which says who holds it, where another process does, and ``StoreLostError`` where
        this process held it, but could not show in time that it lives. For a process's main thread to call.
        """

    def holder(self) -> str | None:
        """Who holds the store now, as they call themselves; None where nobody does. Changes nothing."""

    def sweep(self) -> int:
        """Remove what interrupted writes left behind; returns how many pieces. For its one writer to call."""


def check_path(path: str) -> str:
    """Return ``path`` if it stays below the root of a store, else raise ``UsageError``."""
    parts = path.split("/")
    if not path or "\\" in path or "\0" in path or any(part in {"", ".", ".."} for part in parts):
        raise UsageError(f"{path!r} is not a path inside a store: parts must not be empty, '.' or '..'")
    return path
