"""The interface of a place that holds files. Folders and object stores implement it."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol

import msgspec

from shards_spec.errors import ReidShardsError, SpecError, UsageError

PARTIAL_FOLDER = ".work/partial"
"""Folder of unfinished and temporary files. ``Store.sweep`` empties it."""

WHOLE_BYTES = 256 * 2**20
"""Size of the largest file that is read into memory as a whole. It is far above what a conversion writes."""


class Kind(StrEnum):
    """The kind of a file. Object stores hold only regular files."""

    FILE = "regular file"
    LINK = "symbolic link"
    """A link to a regular file. It is read like that file."""
    FOLDER_LINK = "symbolic link to a folder"
    """Files below such a link are not listed."""
    BROKEN_LINK = "symbolic link that leads nowhere"
    PIPE = "named pipe"
    SOCKET = "socket"
    DEVICE = "device"


class FileInfo(msgspec.Struct, frozen=True, gc=False):
    """A file in a store: its path relative to the store's root, with ``/`` between parts, and its size in bytes."""

    path: str
    size: int
    kind: Kind = Kind.FILE


class FileTooLargeError(SpecError):
    """A file that is to be read as a whole is larger than any file of its name can be."""

    def __init__(self, where: str, size: int, limit: int) -> None:
        super().__init__(f"{where} is {size:,} bytes, but such a file has at most {limit:,}")


class StoreBusyError(UsageError):
    """Another process is writing to the store."""


class StoreLostError(ReidShardsError):
    """This process has lost its right to write to the store."""


class FileWriter(Protocol):
    """An open file to write to."""

    def write(self, data: bytes | memoryview) -> object:
        """Append ``data``."""


class ReadableStore(Protocol):
    """A place that holds files to read. See ``Store``."""

    url: str
    """URL or path of the root, for messages and for opening the store elsewhere. It contains no secrets."""
    reads_at_once: int
    """Useful number of concurrent reads. It is 1 if no read waits for a network. If it is larger, transient errors have
    been retried for minutes before they are raised."""

    def size(self, path: str) -> int:
        """Return the size of a file in bytes."""

    def version(self, path: str) -> str:
        """Return what changes whenever a file is written anew: the time of the change, or an object's ETag."""

    def read(self, path: str, start: int, stop: int) -> bytes:
        """Return bytes ``start`` to ``stop`` - 1 of a file.

        Raises:
            EOFError: The file ends before ``stop``.
        """

    def read_into(self, path: str, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with the bytes of a file from ``start`` on.

        Raises:
            EOFError: The file ends before the buffer is full.
        """

    def read_files(self, paths: Sequence[str], sizes: Sequence[int]) -> list[bytes]:
        """Return the first bytes of each of many files, as many as ``sizes`` says. Small local files take less time so.

        Raises:
            EOFError: A file is shorter.
        """

    def prefetch(self, path: str, start: int, stop: int) -> None:
        """Announce that bytes ``start`` to ``stop`` - 1 of a file will be read soon.

        For a folder, the operating system then starts to read them. This method never fails.
        """

    def read_whole(self, path: str, limit: int = WHOLE_BYTES) -> bytes:
        """Return all bytes of a file.

        Raises:
            FileTooLargeError: The file has more than ``limit`` bytes.
        """

    def list(self, folder: str = "") -> Iterator[FileInfo]:
        """Yield the files below ``folder``, at any depth, sorted by path; nothing if the folder does not exist.

        Entries of a folder that are not regular files are listed as well, with their ``kind``, so that they are not
        overlooked.
        """

    def list_top(self, folder: str = "") -> Iterator[FileInfo]:
        """Yield the files directly in ``folder``, as ``list`` does, without looking into the folders there."""

    def folders(self, folder: str = "") -> Iterator[str]:
        """Yield the paths of the folders directly in ``folder``, sorted; none that a link leads to."""


class WritableStore(Protocol):
    """A place that files can be written to. See ``Store``."""

    def open_write(self, path: str) -> AbstractContextManager[FileWriter]:
        """Return a writer. Its file appears under ``path`` when the block ends, and not at all if the block raises."""

    def put(self, path: str, data: bytes) -> None:
        """Write a whole file, replacing an existing one."""

    def create(self, path: str, data: bytes) -> bool:
        """Write a whole file only if none exists; return whether this call created it."""

    def delete(self, path: str) -> None:
        """Remove a file. It is not an error if the file does not exist."""


class OwnableStore(Protocol):
    """A place of which one process at a time can be the only writer. See ``Store``."""

    def hold(self, owner: str) -> AbstractContextManager[None]:
        """Own the store as its only writer while the block runs. Ownership ends with the process, however it ends.

        Only a process's main thread may call this.

        Args:
            owner: Description of this process, for others who find the store held.

        Raises:
            StoreBusyError: Another process holds the store. The message names its owner.
            StoreLostError: This process held the store, but could not renew its lease in time.
        """

    def holder(self) -> str | None:
        """Return the current owner's description, or None if nobody holds the store. This changes nothing."""

    def sweep(self) -> int:
        """Remove what interrupted writes left behind; return the number of files.

        Only the store's owner may call this.
        """


class Store(ReadableStore, WritableStore, OwnableStore, Protocol):
    """A place that holds files, addressed by paths relative to its root.

    A file is either visible under its path as a whole or not at all, whatever happens to the process that writes it.
    Methods raise ``OSError`` for errors of the medium: ``FileNotFoundError`` for a missing file, ``PermissionError``
    for missing rights or wrong credentials. Object stores first retry transient errors for a while. Only regular files
    and links to them are read, because reading a named pipe may wait for ever and reading a device may never end.
    Several threads may use a store. Each process opens it anew from ``url``.
    """


def check_path(path: str) -> str:
    """Return ``path`` if it stays below the root of a store; raise ``UsageError`` otherwise."""
    within = f"/{path}/"
    if "//" in within or "/./" in within or "/../" in within or "\\" in path or "\0" in path:
        raise UsageError(f"{path!r} is not a path inside a store: parts must not be empty, '.' or '..'")
    return path


def check_paths(paths: Sequence[str]) -> None:
    """Raise ``UsageError`` unless all of ``paths`` stay below the root of a store."""
    # What a path must not contain, it contains in any text that has it between slashes.
    within = "/" + "/\n/".join(paths) + "/"
    if "//" in within or "/./" in within or "/../" in within or "\\" in within or "\0" in within:
        for path in paths:
            check_path(path)
