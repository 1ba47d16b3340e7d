"""Read a store's file in parts: to compute its digest, or as a file object that can seek."""

import hashlib
import io
from typing import TYPE_CHECKING

from shards_spec.storage.base import ReadableStore
from shards_spec.storage.prefetch import read_ahead

if TYPE_CHECKING:
    from typing_extensions import Buffer

BLOCK_BYTES = 8 * 2**20
"""Number of bytes read at a time."""


def file_sha256(store: ReadableStore, path: str) -> str:
    """Return the SHA-256 of a file as hexadecimal digits.

    At most ``Store.reads_at_once`` + 1 blocks of ``BLOCK_BYTES`` are in memory at a time.
    """
    digest = hashlib.sha256()
    size = store.size(path)

    def read(start: int) -> bytes:
        return store.read(path, start, min(size, start + BLOCK_BYTES))

    for block in read_ahead(read, range(0, size, BLOCK_BYTES), store.reads_at_once):
        digest.update(block)
    return digest.hexdigest()


BUFFER_BYTES = 2**20
"""Number of bytes read at a time when small reads are asked for."""


class RangeFile(io.RawIOBase):
    """A file of a store as a file object. Each of its reads is one read of the store."""

    def __init__(self, store: ReadableStore, path: str) -> None:
        self._store = store
        self._path = path
        self._size = store.size(path)
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position of the next read."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def readinto(self, buffer: "Buffer", /) -> int:
        """Fill ``buffer``, or only its beginning if fewer bytes are left; return the number of bytes read."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._position))
        if count:
            self._store.read_into(self._path, self._position, view[:count])
        self._position += count
        return count

    def read(self, size: int = -1, /) -> bytes:
        """Return the next ``size`` bytes, fewer at the end of the file; all that are left if it is negative."""
        stop = self._size if size < 0 else min(self._size, self._position + size)
        data = self._store.read(self._path, self._position, stop) if stop > self._position else b""
        self._position += len(data)
        return data


def open_buffered(store: ReadableStore, path: str) -> io.BufferedReader:
    """Open a file of a store for many small reads. A buffer combines them into fewer reads of the store."""
    return io.BufferedReader(RangeFile(store, path), BUFFER_BYTES)
