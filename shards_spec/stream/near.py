"""Read chunks of samples from a folder, in the caller's own thread and into memory that is used again.

The system reads ahead, and what this thread then copies from the system's cache is in its own CPU's cache.
"""

import contextlib
import mmap
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from shards_spec.stream.chunks import Wanted
from shards_spec.stream.ranges import Prefetch, Range, Ranges, ReadError, ReadInto, plan_ranges

READ_AHEAD_BYTES = 4 * 2**20
"""Bytes that are announced to the system before they are read. At least the next chunk is, however large."""
AGAIN_AFTER = 0.2
"""Pause in seconds before a failed read is repeated."""


@dataclass(slots=True)
class NearChunk:
    """A chunk in memory that the next chunk will use."""

    wanted: Wanted
    plan: Ranges
    read_into: ReadInto
    buffer: mmap.mmap | None = None
    _failed: dict[int, ReadError] = field(default_factory=dict)

    def failures(self, places: range) -> Iterator[tuple[int, ReadError]]:
        """Yield the place and the error of each of these samples that could not be read."""
        if self._failed:
            numbers = self.plan.numbers
            yield from ((place, self._failed[numbers[place]]) for place in places if numbers[place] in self._failed)

    def files(self, name: str) -> Iterator[bytes]:
        """Yield one file of each sample, cut out of the memory when it is asked for."""
        assert self.buffer is not None
        starts = self.wanted.records[f"{name}_offset"] + self.plan.shifts
        stops = starts + self.wanted.records[f"{name}_size"]
        return map(self.buffer.__getitem__, map(slice, starts.tolist(), stops.tolist()))

    def cut(self, place: int, offset: int, size: int) -> bytes:
        """Return bytes of a sample, which begin at an offset of its shard."""
        assert self.buffer is not None
        start = offset + int(self.plan.shifts[place])
        return self.buffer[start : start + size]

    def fill(self, buffer: mmap.mmap) -> None:
        """Read all ranges of the chunk, trying each once more if it fails."""
        self.buffer = buffer
        view = memoryview(buffer)
        for number, (one, (begin, end)) in enumerate(zip(self.plan.ranges, pairwise(self.plan.places), strict=True)):
            try:
                self._read_twice(one, view[begin:end])
            except (OSError, EOFError) as error:
                self._failed[number] = error

    def _read_twice(self, one: Range, view: memoryview) -> None:
        try:
            self.read_into(one, view)
        except FileNotFoundError:
            raise
        except OSError:
            time.sleep(AGAIN_AFTER)
            self.read_into(one, view)


def read_near(wanted: Iterable[Wanted], read_into: ReadInto, prefetch: Prefetch) -> Iterator[NearChunk]:
    """Yield chunks in order, each in memory until the next one is asked for.

    Args:
        wanted: The chunks.
        read_into: Function that reads a range.
        prefetch: Function that announces a range.
    """
    waiting: deque[NearChunk] = deque()
    free: list[mmap.mmap] = []
    ahead = 0
    for one in wanted:
        chunk = NearChunk(one, plan_ranges(one.records, one.shards), read_into)
        for part in chunk.plan.ranges:
            prefetch(part)
        waiting.append(chunk)
        ahead += chunk.plan.bytes
        while len(waiting) > 1 and ahead - waiting[0].plan.bytes >= READ_AHEAD_BYTES:
            ahead -= waiting[0].plan.bytes
            yield from _hand_out(waiting.popleft(), free)
    while waiting:
        yield from _hand_out(waiting.popleft(), free)


def _hand_out(chunk: NearChunk, free: list[mmap.mmap]) -> Iterator[NearChunk]:
    buffer = _take_buffer(free, chunk.plan.bytes)
    chunk.fill(buffer)
    yield chunk
    free.append(buffer)


def _take_buffer(free: list[mmap.mmap], size: int) -> mmap.mmap:
    """Return memory of at least ``size`` bytes: a free buffer if it is large enough.

    Fresh memory costs as much time as reading.
    """
    if free:
        buffer = free.pop()
        if len(buffer) >= size:
            return buffer
    # Pages that are never written take no memory. The next power of two also fits later chunks of about this size.
    buffer = mmap.mmap(-1, 1 << size.bit_length(), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a system without huge pages
        buffer.madvise(mmap.MADV_HUGEPAGE)  # samples are cut from all over the buffer
    return buffer
