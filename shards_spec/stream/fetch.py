"""Read samples from byte ranges of shards, some of them ahead of time, and check every file against the index."""

import functools
import resource
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from zlib_ng.zlib_ng import crc32

from shards_spec.errors import ReidShardsError
from shards_spec.storage import RETRY_SECONDS, ReadableStore, open_store
from shards_spec.stream.cache import ShardCache
from shards_spec.stream.chunks import Chunk, Wanted
from shards_spec.stream.far import FarReader
from shards_spec.stream.index_cache import SetIndex
from shards_spec.stream.index_format import row_files
from shards_spec.stream.near import read_near
from shards_spec.stream.order import Int64
from shards_spec.stream.ranges import Range, ReadError, sample_extents

MOST_CONNECTIONS = 256
"""Maximum number of reads at a time over a network. More would not be kind to a store that many processes read."""
_AT_ONCE = 32
"""Number of samples that are cut out, checked and parsed together: so few that they stay in the CPU's cache."""

_parse = msgspec.json.Decoder(dict[str, Any]).decode
_NO_SIDECAR = (ValueError, RecursionError)
"""Errors of parsing: decoding errors are of the first kind, endless nesting is of the second."""


class SampleError(ReidShardsError):
    """A sample could not be read, or differed from its index entry, twice in a row."""


SampleFiles = tuple[Any, ...]
"""A sample's files in their order: the bytes of each, but the sidecar, which is the last one, as a dictionary. If their
number varies, a dictionary of the further ones stands before the sidecar."""

Outcome = SampleFiles | SampleError


@dataclass(slots=True)
class Tally:
    """Numbers of bytes that a reader has read and used."""

    read: int = 0
    used: int = 0


class Fetcher:
    """Reads the samples of a set. The store is opened by the first read, in the process that reads.

    Args:
        url: URL of the set.
        index: Index of the set.
        cache: Cache through which shards are read.
        raising: Whether the caller raises errors of samples. A store that fails is then an error at once, and the rest
            of the chunk is not tried for as long again.
        retry_seconds: How long an object store's transient errors are retried.
    """

    def __init__(
        self,
        url: str,
        index: SetIndex,
        cache: ShardCache | None,
        *,
        raising: bool,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self.url = url
        self._index = index
        self._cache = cache
        self._raising = raising
        self._retry_seconds = retry_seconds
        self._store: ReadableStore | None = None
        self.tally = Tally()

    def __reduce__(self) -> tuple[Any, ...]:
        make = functools.partial(Fetcher, raising=self._raising, retry_seconds=self._retry_seconds)
        return make, (self.url, self._index, self._cache)

    def fetch(self, chunks: Iterable[Int64]) -> Iterator[Iterator[Outcome]]:
        """Yield the samples of each chunk of rows, in order. Take all of a chunk before asking for the next one."""
        if self._store is None:
            self._store = open_store(self.url, retry_seconds=self._retry_seconds)
        wanted = (Wanted(rows, *self._index.find(rows)) for rows in chunks if len(rows))
        at_once = self._store.reads_at_once
        if at_once == 1:
            for chunk in read_near(wanted, self._read_into, self._prefetch):
                yield self._outcomes(chunk)
            return
        # Threads read. They do nothing else, because the caller's own code would wait for the interpreter lock.
        far = FarReader(self._read_into, self._describe, least=at_once, most=_most_connections())
        try:
            for far_chunk in far.read(wanted):
                yield self._outcomes(far_chunk)
        finally:
            far.close()

    def _outcomes(self, chunk: Chunk) -> Iterator[Outcome]:
        """Yield the samples of a chunk. A sample that is wrong is read once more."""
        if self._index.has_more_files:
            yield from self._one_by_one(chunk)
            return
        records = chunk.wanted.records
        names = row_files(records.dtype)
        self.tally.used += sum(int(records[f"{name}_size"].sum(dtype=np.int64)) for name in names)
        files = [chunk.files(name) for name in names]
        sums = [records[f"{name}_crc32"].tolist() for name in names]
        for begin in range(0, len(records), _AT_ONCE):
            places = range(begin, min(begin + _AT_ONCE, len(records)))
            failed = dict(self._failures(chunk, places))
            contents = [list(islice(file, _AT_ONCE)) for file in files]
            some = slice(begin, begin + _AT_ONCE)
            whole = all(list(map(crc32, file)) == said[some] for file, said in zip(contents, sums, strict=True))
            if whole and not failed:
                try:
                    sidecars = list(map(_parse, contents[-1]))
                except _NO_SIDECAR:
                    pass  # one of them is damaged, so each is tried by itself
                else:
                    yield from zip(*contents[:-1], sidecars, strict=True)
                    continue
            for place, *sample in zip(places, *contents, strict=True):
                yield self._examine(chunk.wanted, place, sample, failed.get(place))

    def _one_by_one(self, chunk: Chunk) -> Iterator[Outcome]:
        """Yield the samples of a chunk, whose files differ in number."""
        for place, record in enumerate(chunk.wanted.records):
            failed = dict(self._failures(chunk, range(place, place + 1)))
            spans = self._index.spans(record)
            self.tally.used += sum(span.size for span in spans)
            files = [chunk.cut(place, span.offset, span.size) for span in spans]
            outcome = self._examine(chunk.wanted, place, files, failed.get(place))
            if not isinstance(outcome, SampleError):
                fixed = len(row_files(record.dtype)) - 1
                more = {span.extension: data for span, data in zip(spans[fixed:-1], outcome[fixed:-1], strict=True)}
                outcome = (*outcome[:fixed], more, outcome[-1])
            yield outcome

    def _failures(self, chunk: Chunk, places: range) -> Iterator[tuple[int, ReadError]]:
        """Yield which samples could not be read; raise an error at once if the store itself fails.

        The rest of the chunk would fail after minutes as well.
        """
        for place, error in chunk.failures(places):
            if self._raising and not isinstance(error, EOFError | FileNotFoundError):
                raise self._unread(int(chunk.wanted.shards[place]), int(chunk.wanted.rows[place]), error) from error
            yield place, error

    def _prefetch(self, one: Range) -> None:
        assert self._store is not None
        if self._cache is None:
            self._store.prefetch(self._index.shards[one.shard].file, one.start, one.stop)

    def _describe(self, one: Range) -> str:
        assert self._store is not None
        return (
            f"{self._store.url}: {self._index.shards[one.shard].file} is not read yet, and its reads are repeated for "
            f"{self._retry_seconds:.0f} s (retry_seconds)"
        )

    def _read_into(self, one: Range, view: memoryview) -> None:
        assert self._store is not None
        file = self._index.shards[one.shard]
        self.tally.read += len(view)
        if self._cache is not None:
            self._cache.read_into(self._store, file, one.start, view)
        else:
            self._store.read_into(file.file, one.start, view)

    def _examine(self, wanted: Wanted, place: int, files: list[bytes], error: ReadError | None) -> Outcome:
        """Check a single sample, which may have failed."""
        row, record, shard = int(wanted.rows[place]), wanted.records[place], int(wanted.shards[place])
        if isinstance(error, OSError):
            return self._unread(shard, row, error)
        # If the file ends within the range (EOFError), some samples may lie before the end.
        said = [span.crc32 for span in self._index.spans(record)]
        if error is not None or list(map(crc32, files)) != said:
            again = self._read_again(shard, row, record)
            if isinstance(again, SampleError):
                return again
            files = again
        try:
            return *files[:-1], _parse(files[-1])
        except _NO_SIDECAR as wrong:
            return self._error(shard, row, f"its sidecar cannot be read: {wrong}")

    def _read_again(self, shard: int, row: int, record: Any) -> list[bytes] | SampleError:
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
            for span in self._index.spans(record):
                first = span.offset - start
                files.append(bytes(data[first : first + span.size]))
                if crc32(files[-1]) != span.crc32:
                    wrong = self._error(
                        shard, row, f"the CRC-32 of its {span.extension} is not the index's {span.crc32:08x}"
                    )
                    break
            else:
                return files
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


def _most_connections() -> int:
    """Return how many connections a process may have: a quarter of its file descriptors, which are 1,024 by default."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(8, min(MOST_CONNECTIONS, soft // 4))
