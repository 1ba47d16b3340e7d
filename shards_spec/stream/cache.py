"""A local copy of what was read from the shards, in blocks, up to a limit.

A block is ``CACHE_BLOCK_BYTES`` of a shard. Its name holds the shard's digest, so that a changed set never meets the
bytes of another. Training begins with the first block, not with whole shards. A block appears by one rename, and what
is read from it is checked like the store's own bytes, sample by sample.
"""

import contextlib
import logging
import os
import re
import secrets
import shutil
import threading
import time
from pathlib import Path

from shards_spec.errors import UsageError
from shards_spec.manifest import ShardFile
from shards_spec.storage import ReadableStore

CACHE_FOLDER = "shards"
"""Name of the folder, among those of indexes, that a cache has by default."""
CACHE_BLOCK_BYTES = 2 * 2**20
_KEEP = 0.9  # share of the limit that is kept once it is reached, so that not every new block needs a scan
_LOOK = 0.05  # share of the limit written between two scans, because other processes write as well
_NAME = re.compile(r"\.?[0-9a-f]{64}-\d{6,}(\.\d+\.[0-9a-f]+)?")
"""Name of a block, finished or not. All other files are left alone: the folder may hold more than the cache."""
_PARTIAL_SECONDS = 3600.0  # age at which a killed writer's file is removed: far longer than writing a block takes

logger = logging.getLogger(__name__)


def open_cache(folder: Path, limit: int | None, largest: int) -> "ShardCache":
    """Open a cache, and choose its limit if none is given.

    Args:
        folder: Folder of the blocks, which is created if necessary.
        limit: Maximum size in bytes. None stands for half of what the disk has free and the cache holds already, so
            that a cache always leaves as much free as it takes, and does not shrink from run to run.
        largest: Size of the set's largest shard in bytes.

    Raises:
        UsageError: The folder cannot be created, or its disk does not have room for the largest shard.
    """
    if limit is not None:
        return ShardCache(folder, limit, largest)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise UsageError(f"no cache can be kept in {folder}: {error}: name another folder") from error
    cache = ShardCache(folder, 2**63 - 1, largest)
    share = (free + cache.held()) // 2
    if share < largest:
        raise UsageError(
            f"{folder} has {free:,} bytes free, but a cache must hold a shard of {largest:,} and leave as much: make "
            "room, name a folder on another disk, or set cache_limit"
        )
    return ShardCache(folder, share, largest)


class ShardCache:
    """A folder through which shards are read.

    Args:
        folder: Folder of the blocks. Several processes and sets may share it.
        limit: Maximum size in bytes. One process keeps to it. Each process looks at what all have written whenever it
            has itself written 5% of the limit, so that N processes hold at most about 1 + N * 5% of the limit (or one
            block each more, if a block is larger than that).
        largest: Size of the set's largest shard in bytes.

    Raises:
        UsageError: The limit is smaller than the largest shard.
    """

    def __init__(self, folder: Path, limit: int, largest: int) -> None:
        if limit < largest:
            raise UsageError(f"a cache of {limit:,} bytes does not hold one shard of {largest:,}: raise its limit")
        self._folder = folder
        self._limit = limit
        self._held: int | None = None  # approximate, because other processes add blocks
        self._unseen = 0  # bytes written since the last scan
        self._lock = threading.Lock()
        self._fetching = [threading.Lock() for _ in range(64)]  # each block has one, so that no two threads fetch it
        self._forgotten: set[Path] = set()
        self._full = False

    def __getstate__(self) -> tuple[Path, int]:
        return self._folder, self._limit

    def __setstate__(self, state: tuple[Path, int]) -> None:
        self.__init__(*state, largest=0)  # type: ignore[misc]

    def read_into(self, store: ReadableStore, shard: ShardFile, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with the bytes of a shard from ``start`` on. Raises what ``Store.read_into`` raises."""
        done = 0
        while done < len(buffer):
            block, offset = divmod(start + done, CACHE_BLOCK_BYTES)
            view = buffer[done : done + CACHE_BLOCK_BYTES - offset]
            self._read_block(store, shard, block, offset, view)
            done += len(view)

    def held(self) -> int:
        """Return the bytes of all blocks in the folder."""
        return self._look()[1]

    def forget(self, shard: ShardFile, start: int, stop: int) -> bool:
        """Remove the blocks of a range whose bytes are wrong, but each of them only once.

        If the bytes are wrong again, the shard itself is wrong.

        Returns:
            Whether any block was removed for the first time, so that reading the range again may give other bytes.
        """
        paths = {self._path(shard, block) for block in range(start // CACHE_BLOCK_BYTES, -(-stop // CACHE_BLOCK_BYTES))}
        first = paths - self._forgotten
        self._forgotten |= first
        for path in first:
            with contextlib.suppress(OSError):  # another user's file
                path.unlink()
        return bool(first)

    def _path(self, shard: ShardFile, block: int) -> Path:
        return self._folder / shard.sha256[:2] / f"{shard.sha256}-{block:06d}"

    def _read_block(self, store: ReadableStore, shard: ShardFile, block: int, offset: int, view: memoryview) -> None:
        path = self._path(shard, block)
        start, stop = block * CACHE_BLOCK_BYTES, min((block + 1) * CACHE_BLOCK_BYTES, shard.bytes)
        if _read_cached(path, stop - start, offset, view):
            return
        with self._fetching[hash(path) % len(self._fetching)]:
            if _read_cached(path, stop - start, offset, view):  # another thread has fetched it in the meantime
                return
            data = store.read(shard.file, start, stop)
            self._keep(path, data)
        view[:] = memoryview(data)[offset : offset + len(view)]

    def _keep(self, path: Path, data: bytes) -> None:
        partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._make_room(len(data))
            try:
                partial.write_bytes(data)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:  # a full or read-only disk slows training down; it does not end it
            if not self._full:
                logger.warning("nothing more is cached in %s: %s", self._folder, error)
            self._full = True

    def _make_room(self, size: int) -> None:
        with self._lock:
            if self._held is None or self._held + size > self._limit or self._unseen + size > self._limit * _LOOK:
                self._held, self._unseen = self._evict(size), 0
            self._held += size
            self._unseen += size

    def _evict(self, size: int) -> int:
        """Remove the blocks used longest ago if ``size`` more bytes exceed the limit; return the bytes held then."""
        blocks, held = self._look()
        if held + size <= self._limit:
            return held
        for _, freed, path in sorted(blocks):
            if held + size <= self._limit * _KEEP:
                break
            with contextlib.suppress(OSError):  # a folder or another user's file in its place
                Path(path).unlink(missing_ok=True)
            held -= freed
        return held

    def _look(self) -> tuple[list[tuple[int, int, str]], int]:
        """Return the time, bytes and path of each block, and the bytes of all files, unfinished ones included.

        Files that killed writers left behind are removed.
        """
        blocks, held = [], 0
        for folder in self._folder.iterdir():
            if folder.is_dir():
                for entry in os.scandir(folder):
                    if _NAME.fullmatch(entry.name) is None:
                        continue
                    try:
                        stat = entry.stat()
                    except FileNotFoundError:  # another process has removed it
                        continue
                    if not entry.name.startswith("."):
                        blocks.append((stat.st_mtime_ns, stat.st_size, entry.path))
                    elif stat.st_mtime < time.time() - _PARTIAL_SECONDS:
                        Path(entry.path).unlink(missing_ok=True)
                        continue
                    held += stat.st_size
        return blocks, held


def _read_cached(path: Path, size: int, offset: int, view: memoryview) -> bool:
    """Read from a block of ``size`` bytes; return whether the block is there and whole."""
    with contextlib.suppress(OSError):  # then the store is read
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a named pipe would wait for a writer
        try:
            is_whole = os.fstat(descriptor).st_size == size
            if is_whole and os.preadv(descriptor, [view], offset) == len(view):
                with contextlib.suppress(OSError):  # another process has removed it, or another user owns it
                    os.utime(path)  # blocks used longest ago are removed first
                return True
        finally:
            os.close(descriptor)
    return False
