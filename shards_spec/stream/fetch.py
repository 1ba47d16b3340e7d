"""Read samples from byte ranges of shards, some of them ahead of time, and check every file against the index."""

import contextlib
import functools
import mmap
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from zlib_ng.zlib_ng import crc32

from shards_spec.errors import ReidShardsError
from shards_spec.storage import ReadableStore, open_store
from shards_spec.stream.cache import ShardCache
from shards_spec.stream.index_cache import SetIndex
from shards_spec.stream.order import Int64
from shards_spec.stream.ranges import Range, Ranges, plan_ranges, sample_extents
from shards_spec.stream.readers import Readers

READ_AHEAD_BYTES = 4 * 2**20
"""Bytes that are read before they are asked for. At least the next chunk is, however large."""
AGAIN_AFTER = 0.2
"""Pause in seconds before a failed read is repeated."""
_AT_ONCE = 32
"""Number of samples that are cut out, checked and parsed together: so few that they stay in the CPU's cache."""

_parse = msgspec.json.Decoder(dict[str, Any]).decode
_NO_SIDECAR = (ValueError, RecursionError)
"""Errors of parsing: decoding errors are of the first kind, endless nesting is of the second."""


class SampleError(ReidShardsError):
    """A sample could not be read, or differed from its index entry, twice in a row."""


SampleFiles = tuple[bytes, dict[str, Any]]
"""A sample's image and its sidecar."""

Outcome = SampleFiles | SampleError


@dataclass(slots=True)
class Tally:
    """Numbers of bytes that a reader has read and used."""

    read: int = 0
    used: int = 0


@dataclass(slots=True)
class _Chunk:
    """Rows that are read together."""

    rows: Int64
    records: npt.NDArray[Any]
    plan: Ranges
    buffer: mmap.mmap | None = None
    """Memory for what is read. It is reused for later chunks, because fresh memory costs as much time as reading."""
    reads: list[Future[None]] = field(default_factory=list)
    """The read of each range, if threads read ahead."""


class Fetcher:
    """Reads the samples of a set. The store is opened by the first read, in the process that reads.

    Args:
        url: URL of the set.
        index: Index of the set.
        cache: Cache through which shards are read.
        raising: Whether the caller raises errors of samples. A store that fails is then an error at once, and the rest
            of the chunk is not tried for as long again.
    """

    def __init__(self, url: str, index: SetIndex, cache: ShardCache | None, *, raising: bool) -> None:
        self._url = url
        self._index = index
        self._cache = cache
        self._raising = raising
        self._store: ReadableStore | None = None
        self._process = 0  # the process whose threads read ahead
        self.tally = Tally()

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(Fetcher, raising=self._raising), (self._url, self._index, self._cache)

    def fetch(self, chunks: Iterable[Int64]) -> Iterator[Iterator[Outcome]]:
        """Yield the samples of each chunk of rows, in order. Take all of a chunk before asking for the next one."""
        if self._store is None:
            self._store = open_store(self._url)
        # Over a network, threads read ahead. They do nothing else, because the caller's own code would wait for the
        # interpreter lock. For a folder, the system reads ahead, and what this thread then copies from the system's
        # cache is in its own CPU's cache.
        at_once = self._store.reads_at_once
        self._process = os.getpid()
        readers = Readers(at_once) if at_once > 1 else None
        waiting: deque[_Chunk] = deque()
        free: list[mmap.mmap] = []
        ahead = 0
        try:
            for rows in chunks:
                if len(rows) == 0:
                    continue
                chunk = self._begin(rows, readers, free)
                waiting.append(chunk)
                ahead += chunk.plan.bytes
                while len(waiting) > 1 and ahead - waiting[0].plan.bytes >= READ_AHEAD_BYTES:
                    ahead -= waiting[0].plan.bytes
                    yield from self._hand_out(waiting.popleft(), free)
            while waiting:
                yield from self._hand_out(waiting.popleft(), free)
        finally:
            if readers is not None:
                readers.close()

    def _begin(self, rows: Int64, readers: Readers | None, free: list[mmap.mmap]) -> _Chunk:
        """Start to read a chunk."""
        assert self._store is not None
        records, shards = self._index.find(rows)
        chunk = _Chunk(rows, records, plan_ranges(records, shards))
        if readers is not None:
            chunk.buffer = _take_buffer(free, chunk.plan.bytes)
            chunk.reads = [readers.submit(self._read_into, one, view) for one, view in _split(chunk.plan, chunk.buffer)]
        elif self._cache is None:
            for one in chunk.plan.ranges:
                self._store.prefetch(self._index.shards[one.shard].file, one.start, one.stop)
        return chunk

    def _hand_out(self, chunk: _Chunk, free: list[mmap.mmap]) -> Iterator[Iterator[Outcome]]:
        """Yield the samples of a chunk. Its memory is free once the next chunk is asked for."""
        if chunk.buffer is None:
            chunk.buffer = _take_buffer(free, chunk.plan.bytes)
        failed = self._fill(chunk, chunk.buffer)
        self.tally.used += sum(int(chunk.records[f"{name}_size"].sum(dtype=np.int64)) for name in ("jpg", "json"))
        yield self._outcomes(chunk, failed)
        free.append(chunk.buffer)

    def _outcomes(self, chunk: _Chunk, failed: Mapping[int, OSError | EOFError]) -> Iterator[Outcome]:
        """Yield the samples of a chunk whose bytes are in its buffer. A sample that is wrong is read once more."""
        jpgs, jsons = _files(chunk, "jpg"), _files(chunk, "json")
        jpg_sums, json_sums = chunk.records["jpg_crc32"].tolist(), chunk.records["json_crc32"].tolist()
        for begin in range(0, len(chunk.rows), _AT_ONCE):
            some = slice(begin, begin + _AT_ONCE)
            images, texts = list(islice(jpgs, _AT_ONCE)), list(islice(jsons, _AT_ONCE))
            whole = list(map(crc32, images)) == jpg_sums[some] and list(map(crc32, texts)) == json_sums[some]
            if whole and not failed:
                try:
                    sidecars = list(map(_parse, texts))
                except _NO_SIDECAR:
                    pass  # one of them is damaged, so each is tried by itself
                else:
                    yield from zip(images, sidecars, strict=True)
                    continue
            for place, (image, text) in enumerate(zip(images, texts, strict=True), begin):
                yield self._examine(chunk, place, image, text, failed.get(int(chunk.plan.numbers[place])))

    def _fill(self, chunk: _Chunk, buffer: mmap.mmap) -> dict[int, OSError | EOFError]:
        """Read the ranges of a chunk, or wait for them; return the errors of those that failed, by number."""
        failed: dict[int, OSError | EOFError] = {}
        for number, (one, view) in enumerate(_split(chunk.plan, buffer)):
            try:
                if chunk.reads and os.getpid() == self._process:  # a forked process does not have the threads
                    chunk.reads[number].result()
                else:
                    self._read_twice(one, view)
            except (OSError, EOFError) as error:
                failed[number] = error
                if self._raising and not isinstance(error, EOFError | FileNotFoundError):
                    row = chunk.rows[np.argmax(chunk.plan.numbers == number)]
                    raise self._unread(one.shard, int(row), error) from error
        return failed

    def _read_twice(self, one: Range, view: memoryview) -> None:
        """Read a folder's file, and try once more if that fails. A remote store retries for minutes by itself."""
        try:
            self._read_into(one, view)
        except FileNotFoundError:
            raise
        except OSError:
            time.sleep(AGAIN_AFTER)
            self._read_into(one, view)

    def _read_into(self, one: Range, view: memoryview) -> None:
        assert self._store is not None
        file = self._index.shards[one.shard]
        self.tally.read += len(view)
        if self._cache is not None:
            self._cache.read_into(self._store, file, one.start, view)
        else:
            self._store.read_into(file.file, one.start, view)

    def _examine(
        self, chunk: _Chunk, place: int, image: bytes, text: bytes, error: OSError | EOFError | None
    ) -> Outcome:
        """Check a single sample, which may have failed."""
        row, record = int(chunk.rows[place]), chunk.records[place]
        shard = chunk.plan.ranges[chunk.plan.numbers[place]].shard
        if isinstance(error, OSError):
            return self._unread(shard, row, error)
        # If the file ends within the range (EOFError), some samples may lie before the end.
        if error is not None or (crc32(image), crc32(text)) != (record["jpg_crc32"], record["json_crc32"]):
            again = self._read_again(shard, row, record)
            if isinstance(again, SampleError):
                return again
            image, text = again
        try:
            return image, _parse(text)
        except _NO_SIDECAR as wrong:
            return self._error(shard, row, f"its sidecar cannot be read: {wrong}")

    def _read_again(self, shard: int, row: int, record: Any) -> tuple[bytes, bytes] | SampleError:
        """Read a single sample's files: from a cache block that is fetched anew, then from the shard."""
        assert self._store is not None
        start, stop = map(int, sample_extents(record))
        file = self._index.shards[shard]
        reads = [functools.partial(self._store.read_into, file.file)]
        if self._cache is not None and self._cache.forget(file, start, stop):
            reads.insert(0, functools.partial(self._cache.read_into, self._store, file))
        for read in reads:
            data = bytearray(stop - start)
            try:
                self.tally.read += len(data)
                read(start, memoryview(data))
            except (OSError, EOFError) as error:
                wrong = self._unread(shard, row, error)
                continue
            files = []
            for name in ("jpg", "json"):
                first = int(record[f"{name}_offset"]) - start
                files.append(bytes(data[first : first + int(record[f"{name}_size"])]))
                if crc32(files[-1]) != record[f"{name}_crc32"]:
                    wrong = self._error(
                        shard, row, f"the CRC-32 of its {name} is not the index's {record[f'{name}_crc32']:08x}"
                    )
                    break
            else:
                return files[0], files[1]
        return wrong

    def _unread(self, shard: int, row: int, error: OSError | EOFError) -> SampleError:
        if isinstance(error, EOFError | FileNotFoundError):
            return self._error(shard, row, f"{error}")
        return self._error(shard, row, f"{error}", "go on from the last state when the store answers again")

    def _error(
        self, shard: int, row: int, what: str, remedy: str = "verify the set and copy the shard anew"
    ) -> SampleError:
        key = self._index.keys[row].decode()
        return SampleError(f'{self._index.shards[shard].file}: sample {key}: {what}: {remedy}, or pass on_error="skip"')


def _take_buffer(free: list[mmap.mmap], size: int) -> mmap.mmap:
    """Return memory of at least ``size`` bytes: a free buffer if it is large enough."""
    if free:
        buffer = free.pop()
        if len(buffer) >= size:
            return buffer
    # Pages that are never written take no memory. The next power of two also fits later chunks of about this size.
    buffer = mmap.mmap(-1, 1 << size.bit_length(), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a system without huge pages
        buffer.madvise(mmap.MADV_HUGEPAGE)  # samples are cut from all over the buffer
    return buffer


def _split(plan: Ranges, buffer: mmap.mmap) -> Iterator[tuple[Range, memoryview]]:
    """Yield each range with its place in the buffer."""
    view = memoryview(buffer)
    for one, (begin, end) in zip(plan.ranges, pairwise(plan.places), strict=True):
        yield one, view[begin:end]


def _files(chunk: _Chunk, name: str) -> Iterator[bytes]:
    """Yield one file of each sample, cut out of the buffer when it is asked for."""
    assert chunk.buffer is not None
    starts = chunk.records[f"{name}_offset"] + chunk.plan.shifts
    stops = starts + chunk.records[f"{name}_size"]
    return map(chunk.buffer.__getitem__, map(slice, starts.tolist(), stops.tolist()))
