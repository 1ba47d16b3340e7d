"""Entries of archives, read by byte ranges: in physical order, in large reads, with every byte checked."""

import contextlib
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.archives.blocks import LEAST_ANNOUNCED, physical_order, plan_blocks, read_blocks, read_pieces
from pipeline.archives.errors import ArchiveError
from pipeline.archives.folder import FileRequest
from pipeline.archives.request import (
    MAX_ENTRY_SIZE,
    ChangedEntryError,
    DamagedEntryError,
    EntryFault,
    EntryRequest,
    request_columns,
)
from pipeline.archives.tar.entry import TarRequest, tar_columns, unpack_tar_entries
from shards_spec.rejects import RejectReason
from shards_spec.storage import ReadableStore

BATCH_ENTRIES = 2
"""Entries that are handed out together, whatever their size: two frames are cut in less time together than one after
the other."""

BATCH_BYTES = 256 << 10
"""Bytes of entries up to which more are handed out together, so that small ones share the cost of a call. They stay in
the processor's cache until samples have been made of them."""


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


Contents = list[bytes | EntryFault]


def read_entries(
    store: ReadableStore, requests: Sequence[EntryRequest], counters: ReadCounters | None = None
) -> Generator[tuple[int, bytes | EntryFault], None, None]:
    """Read entries and yield each with its position in ``requests``, in physical order: by archive, then offset.

    See ``read_batches``, which costs less where entries are small and many.
    """
    with contextlib.closing(read_batches(store, requests, counters, least_entries=1, least_bytes=0)) as batches:
        for positions, contents in batches:
            yield from zip(positions, contents, strict=True)


def read_batches(
    store: ReadableStore,
    requests: Sequence[EntryRequest],
    counters: ReadCounters | None = None,
    *,
    least_entries: int = BATCH_ENTRIES,
    least_bytes: int = BATCH_BYTES,
) -> Generator[tuple[list[int], Contents], None, None]:
    """Read entries and yield some at a time, with their positions in ``requests``, in physical order.

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
        Of some entries, the positions in ``requests``, and the bytes of each or the reason why there are none.

    Raises:
        OSError: The store reports a fault.
        EOFError: An archive is shorter than it was when it was surveyed.
        ArchiveError: A tar archive is no longer the one that was surveyed.
    """
    counters = ReadCounters() if counters is None else counters
    files = [request for request in requests if type(request) is FileRequest]
    if files and len(files) == len(requests) and store.reads_at_once == 1:
        yield from _read_files(store, files, counters, least_entries, least_bytes)
    elif requests:
        yield from _read_ranges(store, requests, counters, least_entries, least_bytes)


def _read_ranges(
    store: ReadableStore, requests: Sequence[EntryRequest], counters: ReadCounters, least_entries: int, least_bytes: int
) -> Generator[tuple[list[int], Contents], None, None]:
    """Read entries of any kind, from few large ranges."""
    tars = [request for request in requests if type(request) is TarRequest]
    are_tars = len(tars) == len(requests)
    columns = tar_columns(tars) if are_tars else request_columns(requests)
    order = physical_order(columns)
    columns = columns.take(order)
    positions = order.tolist()
    ordered = [requests[position] for position in positions]
    ends = iter(_batch_ends(columns.sizes, least_entries, least_bytes))
    first, end = 0, next(ends)
    batch: Contents = []
    with contextlib.closing(read_blocks(store, plan_blocks(ordered, columns))) as blocks:
        while True:
            began = time.monotonic()
            found = next(blocks, None)
            counters.seconds_waiting += time.monotonic() - began
            if found is None:
                break
            block, data = found
            _count(counters, len(data))
            begin = block.first
            while begin < block.last:
                stop = min(end, block.last)
                batch += _take_all(store, ordered[begin:stop], data, block.start, counters)
                begin = stop
                if stop == end:
                    yield positions[first:end], batch
                    first, end, batch = end, next(ends, end), []
            del found, data  # freed before waiting for the next block: the limit on memory depends on it


def _read_files(
    store: ReadableStore, requests: Sequence[FileRequest], counters: ReadCounters, least_entries: int, least_bytes: int
) -> Generator[tuple[list[int], Contents], None, None]:
    """Read files of a folder as a whole."""
    paths = [request.archive for request in requests]
    positions = sorted(range(len(paths)), key=paths.__getitem__)
    ordered = [requests[position] for position in positions]
    sizes = np.array([request.size for request in ordered], np.int64)
    sizes[sizes > MAX_ENTRY_SIZE] = 0
    ends = _batch_ends(sizes, least_entries, least_bytes)
    for first, end, ahead in zip([0, *ends[:-1]], ends, [*ends[1:], len(ordered)], strict=True):
        for position in (np.flatnonzero(sizes[end:ahead] >= LEAST_ANNOUNCED) + end).tolist():
            store.prefetch(ordered[position].archive, 0, ordered[position].size)
        began = time.monotonic()
        contents = _read_some(store, ordered[first:end])
        counters.seconds_waiting += time.monotonic() - began
        counters.requests += int(np.count_nonzero(sizes[first:end]))
        taken = int(sizes[first:end].sum())
        counters.bytes_read += taken
        counters.bytes_used += taken
        yield positions[first:end], contents


def _read_some(store: ReadableStore, requests: Sequence[FileRequest]) -> Contents:
    paths, sizes = [request.archive for request in requests], [request.size for request in requests]
    if min(sizes) > 0 and max(sizes) <= MAX_ENTRY_SIZE:
        return [*store.read_files(paths, sizes)]
    return [
        request.refuse() or (store.read(request.archive, 0, request.size) if request.size else b"")
        for request in requests
    ]


def _batch_ends(sizes: npt.NDArray[np.int64], least_entries: int, least_bytes: int) -> list[int]:
    """Return where each batch of entries ends, by the sizes of their contents."""
    reach = np.cumsum(sizes)
    ends: list[int] = []
    end, total = 0, 0
    while end < len(sizes):
        enough = int(np.searchsorted(reach, total + least_bytes)) + 1
        end = min(max(enough, end + least_entries), len(sizes))
        total = int(reach[end - 1])
        ends.append(end)
    return ends


def _take_all(
    store: ReadableStore, requests: Sequence[EntryRequest], data: bytes, start: int, counters: ReadCounters
) -> Contents:
    """Return the contents of entries from ``data``, the bytes of their archive from ``start`` on."""
    tars = [request for request in requests if type(request) is TarRequest]
    found = unpack_tar_entries(tars, data, start) if len(tars) == len(requests) else None
    if found is not None:
        counters.bytes_used += sum(map(len, found))
        return [*found]
    view = memoryview(data)
    contents: Contents = []
    for request in requests:
        content = _take(store, request, view[request.offset - start :], counters)
        if isinstance(content, bytes):
            counters.bytes_used += request.used_bytes()
        contents.append(content)
    return contents


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
        again = read_pieces(store, request.archive, request.offset, stop, request.continued)
        counters.seconds_waiting += time.monotonic() - began
        _count(counters, len(again))
    try:
        return request.unpack(memoryview(again))
    except ChangedEntryError as error:
        what = "the archive has changed since; put the former one back, or start again in an empty folder"
        raise ArchiveError(f"{request.archive}: {error}: {what}") from error
    except DamagedEntryError as error:
        return EntryFault(RejectReason.IMAGE_DAMAGED, str(error))
