"""The byte ranges that entries are read in: few and large, in physical order, the next one while one is worked on."""

from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.archives.request import EntryRequest, FileRange, RequestColumns
from shards_spec.storage import ReadableStore, read_ahead

MAX_BLOCK_SIZE = 8 << 20
"""Bytes that are read at once if entries lie near each other. At this size the latency of a request is small compared
with its transfer, even from an object store, and a few blocks take little of a worker's memory. A larger entry is a
block of its own."""

MAX_GAP = 64 << 10
"""Gap in bytes up to which two entries are read together: reading it costs less than a second request does anywhere."""

LEAST_ANNOUNCED = 64 << 10
"""Bytes of the smallest block that the system is asked to read into its cache in advance. The work on a smaller one
ends long before the next one could be there, while asking takes as long as reading it from the cache."""


class Block(NamedTuple):
    """A byte range to read, and the requests that lie in it."""

    archive: str
    start: int
    stop: int
    first: int
    """Position of its first request in physical order."""
    last: int
    """Position behind its last one."""
    continued: tuple[FileRange, ...] = ()
    """What to read behind the range: the rest of an entry that goes on in other files, and has a block of its own."""


def physical_order(columns: RequestColumns) -> npt.NDArray[np.int64]:
    """Return the positions of requests, sorted by archive, then offset."""
    return np.lexsort((columns.offsets, columns.archives))


def plan_blocks(requests: Sequence[EntryRequest], columns: RequestColumns) -> Iterator[Block]:
    """Group requests, which are in physical order, into byte ranges to read."""
    starts, stops = columns.offsets, columns.offsets + columns.range_sizes
    goes_on = columns.goes_on
    is_apart = np.diff(columns.archives) != 0
    is_apart |= (starts[1:] - stops[:-1] > MAX_GAP) | goes_on[1:] | goes_on[:-1]
    first = 0
    for end in [*(np.flatnonzero(is_apart) + 1).tolist(), len(requests)]:
        while first < end:
            request = requests[first]
            last, stop = first + 1, request.offset + request.range_size()
            if last < end:  # as many as fit in a block
                reach = np.maximum.accumulate(stops[first:end])
                last = first + max(1, int(np.searchsorted(reach, starts[first] + MAX_BLOCK_SIZE, side="right")))
                stop = int(reach[last - first - 1])
            yield Block(request.archive, request.offset, stop, first, last, request.continued)
            first = last


def read_blocks(store: ReadableStore, blocks: Iterator[Block]) -> Generator[tuple[Block, bytes], None, None]:
    """Yield the blocks and their bytes. A block of refused entries only is not read."""

    def read(block: Block) -> tuple[Block, bytes]:
        if block.start == block.stop:
            return block, b""
        return block, read_pieces(store, block.archive, block.start, block.stop, block.continued)

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


def read_pieces(store: ReadableStore, path: str, start: int, stop: int, continued: tuple[FileRange, ...]) -> bytes:
    """Return a byte range of a file, and what continues it in others."""
    first = store.read(path, start, stop)
    return b"".join([first, *(store.read(*piece) for piece in continued)]) if continued else first
