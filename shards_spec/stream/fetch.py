"""Reading samples: byte ranges of shards, some of them ahead, every member checked against the index."""

import functools
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from zlib_ng.zlib_ng import crc32

from shards_spec.errors import ReidShardsError
from shards_spec.storage import Store, open_store
from shards_spec.stream.cache import PieceCache
from shards_spec.stream.index_cache import SetIndex
from shards_spec.stream.order import Int64

RANGE_BYTES = 2**20
"""A range that is read at once is at most this long, or one sample."""
READ_AHEAD_BYTES = 4 * 2**20
"""Read before it is asked for, in chunks: at least the next one, however large."""
AGAIN_AFTER = 0.2
"""Seconds before what could not be read is read once more."""
_TAR_GAP = 2 * 512
"""At most this much lies between two samples that follow one another: padding and a header."""


class SampleError(ReidShardsError):
    """A sample could not be read, or is not what the index says, twice in a row."""


Members = tuple[bytes, bytes]
"""A sample's image and its sidecar."""

Outcome = Members | SampleError


@dataclass(slots=True)
class Tally:
    """What a reader has read so far, in bytes."""

    read: int = 0
    used: int = 0


@dataclass(frozen=True, slots=True)
class _Range:
    """Bytes of a shard, and the places in the chunk of the samples that lie there."""

    shard: int
    start: int
    stop: int
    places: list[int]


@dataclass(frozen=True, slots=True)
class _Pending:
    """A chunk that is being read."""

    rows: Int64
    records: npt.NDArray[Any]
    ranges: list[tuple[_Range, Future[bytes]]]

    @property
    def bytes(self) -> int:
        return sum(one.stop - one.start for one, _ in self.ranges)


class Fetcher:
    """Reads a set's samples. Opens its store on the first read, in the process that reads; pickles unopened.

    Args:
        url: Of the set.
        index: Of the set.
        cache: To read through.
        raising: Whether whoever asks raises what cannot be read. Then a store that fails is an error at once, not when
            all the rest of a chunk was tried for as long.
    """

    def __init__(self, url: str, index: SetIndex, cache: PieceCache | None, *, raising: bool) -> None:
        self._url = url
        self._index = index
        self._cache = cache
        self._raising = raising
        self._store: Store | None = None
        self.tally = Tally()

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(Fetcher, raising=self._raising), (self._url, self._index, self._cache)

    def fetch(self, chunks: Iterable[Int64]) -> Iterator[list[Outcome]]:
        """The samples of chunks of rows, a list a chunk, in order."""
        # The threads only read: what else they did, they would do while the caller's own code waits for Python's lock.
        pending: deque[_Pending] = deque()
        if self._store is None:
            self._store = open_store(self._url)
        pool = ThreadPoolExecutor(self._store.reads_at_once, "reid-shards-read")
        try:
            ahead = 0
            for rows in chunks:
                if len(rows) == 0:
                    continue
                chunk = self._submit(pool, rows)
                pending.append(chunk)
                ahead += chunk.bytes
                while len(pending) > 1 and ahead - pending[0].bytes >= READ_AHEAD_BYTES:
                    ahead -= pending[0].bytes
                    yield self._collect(pending.popleft())
            while pending:
                yield self._collect(pending.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, pool: ThreadPoolExecutor, rows: Int64) -> _Pending:
        records = self._index.rows[rows]
        shards = np.searchsorted(self._index.shard_starts, rows, side="right") - 1
        ranges = [
            (one, pool.submit(self._read, one.shard, one.start, one.stop)) for one in plan_ranges(records, shards)
        ]
        return _Pending(rows, records, ranges)

    def _collect(self, chunk: _Pending) -> list[Outcome]:
        outcomes: list[Outcome] = [(b"", b"")] * len(chunk.rows)  # each is in exactly one range
        for one, future in chunk.ranges:
            places = one.places
            found = self._check(one, future, chunk.records[places], chunk.rows[places])
            for place, outcome in zip(places, found, strict=True):
                outcomes[place] = outcome
        return outcomes

    def _read(self, shard: int, start: int, stop: int) -> bytes:
        assert self._store is not None
        file = self._index.shards[shard]
        self.tally.read += stop - start
        if self._cache is not None:
            return self._cache.read(self._store, file, start, stop)
        return self._store.read(file.file, start, stop)

    def _check(self, one: _Range, future: Future[bytes], records: npt.NDArray[Any], rows: Int64) -> list[Outcome]:
        """The samples of a range; what fails is read once more."""
        try:
            data = self._result(one, future)
        except EOFError:
            data = b""  # some of its samples may lie before the end: each is tried by itself
        except OSError as error:
            return [self._unread(one.shard, row, error) for row in rows]
        outcomes: list[Outcome] = []
        jpgs, jsons = _slices(records, "jpg", one.start), _slices(records, "json", one.start)
        sums = zip(records["jpg_crc32"].tolist(), records["json_crc32"].tolist(), strict=True)
        for place, (jpg_slice, json_slice, (jpg_sum, json_sum)) in enumerate(zip(jpgs, jsons, sums, strict=True)):
            jpg, json = data[jpg_slice], data[json_slice]
            if crc32(jpg) == jpg_sum and crc32(json) == json_sum:
                outcomes.append((jpg, json))
            else:
                outcomes.append(self._read_again(one.shard, records[place], int(rows[place])))
        self.tally.used += int(records["jpg_size"].sum()) + int(records["json_size"].sum())
        return outcomes

    def _result(self, one: _Range, future: Future[bytes]) -> bytes:
        assert self._store is not None
        try:
            return future.result()
        except OSError as error:
            # Over a network, the store has tried for minutes.
            if self._store.reads_at_once > 1 or isinstance(error, FileNotFoundError):
                raise
            time.sleep(AGAIN_AFTER)
            return self._read(one.shard, one.start, one.stop)

    def _read_again(self, shard: int, record: Any, row: int) -> Outcome:
        start, stop = sample_extent(record)
        if self._cache is not None:
            self._cache.forget(self._index.shards[shard], start, stop)
        try:
            data = self._read(shard, start, stop)
        except (OSError, EOFError) as error:
            return self._unread(shard, row, error)
        jpg, json = (data[first - start : first - start + size] for first, size in _members(record))
        for name, content in (("jpg", jpg), ("json", json)):
            if crc32(content) != record[f"{name}_crc32"]:
                return self._error(
                    shard, row, f"the CRC-32 of its {name} is not the index's {record[f'{name}_crc32']:08x}"
                )
        return jpg, json

    def _unread(self, shard: int, row: int, error: OSError | EOFError) -> SampleError:
        if isinstance(error, EOFError | FileNotFoundError):
            return self._error(shard, row, f"{error}")
        made = self._error(shard, row, f"{error}", "go on from the last state when the store answers again")
        if self._raising:
            raise made from error
        return made

    def _error(
        self, shard: int, row: int, what: str, remedy: str = "verify the set and copy the shard anew"
    ) -> SampleError:
        key = self._index.keys[row].decode()
        return SampleError(f'{self._index.shards[shard].file}: sample {key}: {what}: {remedy}, or pass on_error="skip"')


def plan_ranges(records: npt.NDArray[Any], shards: Int64) -> Iterator[_Range]:
    """Ranges that hold all samples: neighbours are read together, and others too far away for that are not.

    Of what is read, never less than about half is used: a gap is read only where it is no longer than the mean of the
    samples beside it.

    Args:
        records: ``[n]`` of ``INDEX_ROW``.
        shards: ``[n]``: the shard of each.
    """
    starts = np.minimum(records["jpg_offset"], records["json_offset"])
    stops = np.maximum(records["jpg_offset"] + records["jpg_size"], records["json_offset"] + records["json_size"])
    order = np.lexsort((starts, shards))
    starts, stops, shards = starts[order], stops[order], shards[order]
    sizes = stops - starts
    gaps = starts[1:] - stops[:-1]
    allowed = np.maximum((sizes[1:] + sizes[:-1]) // 2, _TAR_GAP)
    splits = [0, *(np.flatnonzero((gaps > allowed) | (shards[1:] != shards[:-1])) + 1).tolist(), len(order)]
    firsts, lasts, places = starts.tolist(), stops.tolist(), order.tolist()
    for begin, end in pairwise(splits):
        place = begin
        while place < end:
            stop = place + 1
            reach = lasts[place]
            while stop < end and max(reach, lasts[stop]) - firsts[place] <= RANGE_BYTES:
                reach = max(reach, lasts[stop])
                stop += 1
            yield _Range(int(shards[place]), firsts[place], reach, places[place:stop])
            place = stop


def sample_extent(record: Any) -> tuple[int, int]:
    """Where both members of a sample lie in its shard."""
    members = _members(record)
    return min(start for start, _ in members), max(start + size for start, size in members)


def _members(record: Any) -> list[tuple[int, int]]:
    return [(int(record[f"{name}_offset"]), int(record[f"{name}_size"])) for name in ("jpg", "json")]


def _slices(records: npt.NDArray[Any], name: str, base: int) -> Iterator[slice]:
    starts = records[f"{name}_offset"] - base
    return map(slice, starts.tolist(), (starts + records[f"{name}_size"]).tolist())
