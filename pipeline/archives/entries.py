"""Entries of archives, read by byte ranges: in physical order, in large reads, with every byte checked."""

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.archives.errors import ArchiveError
from pipeline.archives.request import ChangedEntryError, DamagedEntryError, EntryFault, EntryRequest, FileRange
from shards_spec.rejects import RejectReason
from shards_spec.storage import ReadableStore, read_ahead

MAX_BLOCK_SIZE = 8 << 20
"""Bytes that are read at once if entries lie near each other. At this size the latency of a request is small compared
with its transfer, even from an object store, and a few blocks take little of a worker's memory. A larger entry is a
block of its own."""

MAX_GAP = 64 << 10
"""Gap in bytes up to which two entries are read together: reading it costs less than a second request does anywhere."""

BATCH_ENTRIES = 2
"""Entries that are handed out together, whatever their size: two frames are cut in less time together than one after
the other."""

BATCH_BYTES = 256 << 10
"""Bytes of entries up to which more are handed out together, so that small ones share the cost of a call. They stay in
the processor's cache until samples have been made of them."""

LEAST_ANNOUNCED = 64 << 10
"""Bytes of the smallest block that the system is asked to read into its cache in advance. The work on a smaller one
ends long before the next one could be there, while asking takes as long as reading it from the cache."""


@dataclass(slots=True)
class ReadCounters:
    """The cost of reading, which may be summed over several calls of ``read_entries``."""

    requests: int = 0
    """Number of ranges that were read from the store."""
    bytes_read: int = 0
    """Number of bytes in those ranges."""
    bytes_used: int = 0
    """Bytes that the entries that were yielded whole take in their archives."""
    seconds_waiting: float = 0.0
    """Time in seconds that the consumer spent waiting for reads, because reading ahead did not hide all of it."""


class _Block(NamedTuple):
    """A byte range to read, and the requests that lie in it."""

    archive: str
    start: int
    stop: int
    positions: list[int]
    continued: tuple[FileRange, ...] = ()
    """What to read behind the range: the rest of an entry that goes on in other files, and has a block of its own."""


def read_entries(
    store: ReadableStore, requests: Sequence[EntryRequest], counters: ReadCounters | None = None
) -> Generator[tuple[int, bytes | EntryFault], None, None]:
    """Read entries and yield each with its position in ``requests``, in physical order: by archive, then offset.

    See ``read_batches``, which costs less where entries are small and many.
    """
    with contextlib.closing(read_batches(store, requests, counters, least_entries=1, least_bytes=0)) as batches:
        for batch in batches:
            yield from batch


def read_batches(
    store: ReadableStore,
    requests: Sequence[EntryRequest],
    counters: ReadCounters | None = None,
    *,
    least_entries: int = BATCH_ENTRIES,
    least_bytes: int = BATCH_BYTES,
) -> Generator[list[tuple[int, bytes | EntryFault]], None, None]:
    """Read entries and yield some at a time, each with its position in ``requests``, in physical order.

    Entries that lie near each other are read together as a block. While the caller works on a block of a local file,
    the system reads the next one into its cache. Over a network, threads read the next blocks, as many as the store has
    use for (``reads_at_once``). Only these and the current block are in memory. The threads end when the generator ends
    or is closed, so a caller that may stop early wraps the generator in ``contextlib.closing``.

    An entry is yielded only if its bytes are what its request says (see ``ZipRequest``). An entry that fails this check
    is read once more by itself, so that a transient read error does not lose it; if it fails again, it is a fault.

    Args:
        store: Holds the archives.
        requests: The entries to read, in any order; an entry may occur more than once.
        counters: Counters to add to while reading.
        least_entries: Fewest entries that are yielded together, unless there are no more.
        least_bytes: Fewest bytes of content that are yielded together, unless there are no more.

    Yields:
        The position in ``requests``, and the entry's bytes or the reason why there are none, of some entries.

    Raises:
        OSError: The store reports a fault.
        EOFError: An archive is shorter than it was when it was surveyed.
        ArchiveError: A tar archive is no longer the one that was surveyed.
    """
    counters = ReadCounters() if counters is None else counters
    batch: list[tuple[int, bytes | EntryFault]] = []
    taken = 0
    with contextlib.closing(_read_blocks(store, _plan_blocks(requests))) as blocks:
        while True:
            began = time.monotonic()
            found = next(blocks, None)
            counters.seconds_waiting += time.monotonic() - began
            if found is None:
                break
            block, data = found
            _count(counters, len(data))
            view = memoryview(data)
            for position in block.positions:
                request = requests[position]
                content = _take(store, request, view[request.offset - block.start :], counters)
                batch.append((position, content))
                if isinstance(content, bytes):
                    counters.bytes_used += request.used_bytes()
                    taken += len(content)
                if taken >= least_bytes and len(batch) >= least_entries:
                    yield batch
                    batch, taken = [], 0
            del found, data, view  # freed before waiting for the next block: the limit on memory depends on it
    if batch:
        yield batch


def _plan_blocks(requests: Sequence[EntryRequest]) -> Iterator[_Block]:
    """Group the requests into byte ranges to read, in physical order."""
    names = [request.archive for request in requests]
    ranks = {name: rank for rank, name in enumerate(sorted(set(names)))}
    ranked = np.array([ranks[name] for name in names], np.int64)
    sizes = np.array([request.range_size() for request in requests], np.int64)
    starts = np.array([request.offset for request in requests], np.int64)
    order = np.lexsort((starts, ranked))
    ranked, starts, stops = ranked[order], starts[order], (starts + sizes)[order]
    goes_on = np.array([bool(request.continued) for request in requests], bool)[order]
    is_apart = (np.diff(ranked) != 0) | (starts[1:] - stops[:-1] > MAX_GAP) | goes_on[1:] | goes_on[:-1]
    ends = [*(np.flatnonzero(is_apart) + 1).tolist(), len(order)]
    positions = order.tolist()
    first = 0
    for end in ends:
        while first < end:
            request = requests[positions[first]]
            last, stop = first + 1, request.offset + request.range_size()
            if last < end:  # as many as fit in a block
                reach = np.maximum.accumulate(stops[first:end])
                last = first + max(1, int(np.searchsorted(reach, starts[first] + MAX_BLOCK_SIZE, side="right")))
                stop = int(reach[last - first - 1])
            yield _Block(request.archive, request.offset, stop, positions[first:last], request.continued)
            first = last


def _read_blocks(store: ReadableStore, blocks: Iterator[_Block]) -> Generator[tuple[_Block, bytes], None, None]:
    """Yield the blocks and their bytes. A block of refused entries only is not read."""

    def read(block: _Block) -> tuple[_Block, bytes]:
        if block.start == block.stop:
            return block, b""
        return block, _read_pieces(store, block.archive, block.start, block.stop, block.continued)

    if store.reads_at_once > 1:
        yield from read_ahead(read, blocks, store.reads_at_once)
        return
    # Reading in a thread would copy the data into another processor's cache, which costs 5% of a shard's time.
    before = None
    for block in blocks:
        if block.stop - block.start >= LEAST_ANNOUNCED:
            store.prefetch(block.archive, block.start, block.stop)
        if before is not None:
            yield read(before)
        before = block
    if before is not None:
        yield read(before)


def _read_pieces(store: ReadableStore, path: str, start: int, stop: int, continued: tuple[FileRange, ...]) -> bytes:
    first = store.read(path, start, stop)
    return b"".join([first, *(store.read(*piece) for piece in continued)]) if continued else first


def _count(counters: ReadCounters, length: int) -> None:
    if length:
        counters.requests += 1
        counters.bytes_read += length


def _take(store: ReadableStore, request: EntryRequest, data: memoryview, counters: ReadCounters) -> bytes | EntryFault:
    """Return the entry's bytes from ``data``, which begins with the entry, or from a second read."""
    fault = request.refuse()
    if fault is not None:
        return fault
    try:
        return request.unpack(data)
    except DamagedEntryError:
        began = time.monotonic()
        stop = request.offset + request.range_size()
        again = _read_pieces(store, request.archive, request.offset, stop, request.continued)
        counters.seconds_waiting += time.monotonic() - began
        _count(counters, len(again))
    try:
        return request.unpack(memoryview(again))
    except ChangedEntryError as error:
        what = "the archive has changed since; put the former one back, or start again in an empty folder"
        raise ArchiveError(f"{request.archive}: {error}: {what}") from error
    except DamagedEntryError as error:
        return EntryFault(RejectReason.IMAGE_DAMAGED, str(error))
