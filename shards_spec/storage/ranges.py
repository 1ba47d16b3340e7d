"""A store's file read in parts: its digest, and as a file object for who wants to seek in it."""

import hashlib
import io
from typing import TYPE_CHECKING

from shards_spec.storage.base import Store
from shards_spec.storage.prefetch import read_ahead

if TYPE_CHECKING:
    from typing_extensions import Buffer

BLOCK_BYTES = 8 * 2**20
"""Read at a time."""


def file_sha256(store: Store, path: str) -> str:
    """The SHA-256 of a file, hex; holds as many ``BLOCK_BYTES`` of it as the store reads at once, and one more."""
    digest = hashlib.sha256()
    size = store.size(path)

    def read(start: int) -> bytes:
        return store.read(path, start, min(size, start + BLOCK_BYTES))

    for block in read_ahead(read, range(0, size, BLOCK_BYTES), store.reads_at_once):
        digest.update(block)
    return digest.hexdigest()


BUFFER_BYTES = 2**20
"""Read at a time where small pieces are asked for."""


class RangeFile(io.RawIOBase):
    """A file of a store to read and seek in: each read is one of the store's."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self._path = path
        self._size = store.size(path)
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to where the next read is to begin."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def readinto(self, buffer: "Buffer", /) -> int:
        """Fill ``buffer``, or its beginning where fewer bytes are left; returns how many came."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._position))
        if count:
            self._store.read_into(self._path, self._position, view[:count])
        self._position += count
        return count

    def read(self, size: int = -1, /) -> bytes:
        """The next ``size`` bytes, or fewer at the end; all that are left where ``size`` is negative."""
        stop = self._size if size < 0 else min(self._size, self._position + size)
        data = self._store.read(self._path, self._position, stop) if stop > self._position else b""
        self._position += len(data)
        return data


def open_buffered(store: Store, path: str) -> io.BufferedReader:
    """A file of a store to read small pieces of: each read of the store is of some more."""
    return io.BufferedReader(RangeFile(store, path), BUFFER_BYTES)
