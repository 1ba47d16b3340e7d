"""Read chunks of samples over a network: many ranges at a time, well ahead, each as long as what is known allows.

Over a network each read waits, however short it is. So the chunks that come next are known before they are read, and
samples of theirs that lie beside a sample of the chunk that is due are read in the same range.
"""

import concurrent.futures
import logging
import mmap
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from shards_spec.stream.chunks import Wanted
from shards_spec.stream.free_memory import FreeMemory
from shards_spec.stream.order import Int64
from shards_spec.stream.ranges import Range, ReadError, ReadInto, plan_ranges, sample_extents
from shards_spec.stream.readers import Readers

READ_AHEAD_BYTES = 16 * 2**20
"""Bytes of the chunks that are read before they are asked for. At least the next chunk is, however large."""
KNOWN_BYTES = 32 * 2**20
"""Bytes of the chunks that are known ahead, those that are read included. What is read of chunks that are not due yet
is kept, so a reader holds at most about this much besides the chunk that the caller has and ``FREE_BYTES``."""
FREE_BYTES = 8 * 2**20
"""Bytes of memory that are kept for the next ranges while no range is in them."""
WARN_SECONDS = 10.0
"""Wait after which a warning names the store and the shard."""

logger = logging.getLogger(__name__)


class _Piece:
    """A range in memory, or on its way there. Its memory is free once nothing refers to the piece."""

    def __init__(self, place: Range, read_into: ReadInto, memory: FreeMemory) -> None:
        self.place = place
        self.buffer: mmap.mmap | None = None
        self.future: Future[None] | None = None
        self._read_into = read_into
        self._memory = memory

    def read(self) -> None:
        """Read the range."""
        buffer = self._memory.take(self.place.stop - self.place.start)
        with memoryview(buffer) as view:
            self._read_into(self.place, view[: self.place.stop - self.place.start])
        self.buffer = buffer

    def __del__(self) -> None:
        if self.buffer is not None:
            self._memory.give(self.buffer)


@dataclass(slots=True)
class FarChunk:
    """A chunk whose samples lie in pieces, each of which is free once the last of its samples was taken."""

    wanted: Wanted
    size: int
    """Bytes of its samples."""
    settle: Callable[[_Piece], ReadError | None]
    pieces: list[_Piece | None]
    """``[n]``: the piece of each sample, once it is read or on its way, and until the sample was taken."""
    missing: Int64
    """``[m]``: places of the samples that have no piece yet."""

    def failures(self, places: range) -> Iterator[tuple[int, ReadError]]:
        """Wait for the samples at these places, and yield the place and the error of each that could not be read."""
        done = max(0, places.start - len(places))
        self.pieces[done : places.start] = [None] * (places.start - done)
        before, error = None, None
        for place in places:
            piece = self.pieces[place]
            assert piece is not None
            if piece is not before:
                before, error = piece, self.settle(piece)
            if error is not None:
                yield place, error

    def files(self, name: str) -> Iterator[bytes]:
        """Yield one file of each sample; nothing for one that could not be read."""
        offsets, sizes = self.wanted.records[f"{name}_offset"].tolist(), self.wanted.records[f"{name}_size"].tolist()
        for place, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
            yield self.cut(place, offset, size)

    def cut(self, place: int, offset: int, size: int) -> bytes:
        """Return bytes of a sample, which begin at an offset of its shard; nothing if it could not be read."""
        piece = self.pieces[place]
        assert piece is not None
        start = offset - piece.place.start
        return b"" if piece.buffer is None else piece.buffer[start : start + size]


class FarReader:
    """Reads chunks with threads, which end when the reader is closed.

    Args:
        read_into: Function that reads a range. Threads call it.
        describe: Function that names the shard of a range and its store, for the warning.
        least: Number of reads at a time to begin with, and minimum.
        most: Maximum number of reads at a time.
    """

    def __init__(self, read_into: ReadInto, describe: Callable[[Range], str], *, least: int, most: int) -> None:
        self._read_into = read_into
        self._describe = describe
        self._readers = Readers(least, most)
        self._memory = FreeMemory(FREE_BYTES)

    def close(self) -> None:
        """Begin no more reads."""
        self._readers.close()

    def read(self, wanted: Iterable[Wanted]) -> Iterator[FarChunk]:
        """Yield chunks in order."""
        source = iter(wanted)
        coming: deque[FarChunk] = deque()
        begun: deque[FarChunk] = deque()
        known = ahead = 0
        while True:
            while not begun or ahead < READ_AHEAD_BYTES:
                while known < KNOWN_BYTES or not coming:
                    one = next(source, None)
                    if one is None:
                        break
                    coming.append(self._make_chunk(one))
                    known += coming[-1].size
                if not coming:
                    break
                chunk = coming.popleft()
                self._begin(chunk, coming)
                begun.append(chunk)
                ahead += chunk.size
            if not begun:
                return
            chunk = begun.popleft()
            ahead -= chunk.size
            known -= chunk.size
            yield chunk

    def _make_chunk(self, wanted: Wanted) -> FarChunk:
        starts, stops = sample_extents(wanted.records)
        return FarChunk(
            wanted, int((stops - starts).sum()), self._settle, [None] * len(wanted.rows), np.arange(len(wanted.rows))
        )

    def _begin(self, chunk: FarChunk, coming: Iterable[FarChunk]) -> None:
        """Begin to read what is missing of a chunk, with what lies beside it and is wanted soon."""
        due = len(chunk.missing)
        if not due:
            return
        chunks = [chunk, *coming]
        records = np.concatenate([one.wanted.records.take(one.missing) for one in chunks])
        shards = np.concatenate([one.wanted.shards[one.missing] for one in chunks])
        plan = plan_ranges(records, shards)
        pieces: dict[int, _Piece] = {}
        for number in plan.numbers[:due].tolist():  # in the order in which the chunk's samples need them
            if number not in pieces:
                pieces[number] = _Piece(plan.ranges[number], self._read_into, self._memory)
        is_read = np.zeros(len(plan.ranges), np.bool_)
        is_read[list(pieces)] = True
        begin = 0
        for one in chunks:
            numbers = plan.numbers[begin : begin + len(one.missing)]
            begin += len(numbers)
            found = is_read[numbers]
            for place, number in zip(one.missing[found].tolist(), numbers[found].tolist(), strict=True):
                one.pieces[place] = pieces[number]
            one.missing = one.missing[~found]
        if self._readers.has_threads:  # a forked process does not have the threads, and reads when it waits
            for piece in pieces.values():
                piece.future = self._readers.submit(piece.read)

    def _settle(self, piece: _Piece) -> ReadError | None:
        """Wait for a piece; return the error of reading it."""
        try:
            if piece.buffer is not None:
                return None
            if piece.future is None or not self._readers.has_threads:
                piece.read()
            else:
                self._wait(piece.future, piece.place)
                piece.future.result()
        except (OSError, EOFError) as error:
            return error
        return None

    def _wait(self, future: "Future[None]", place: Range) -> None:
        waited = 0.0
        while not concurrent.futures.wait([future], WARN_SECONDS).done:
            waited += WARN_SECONDS
            logger.warning("%s: no answer for %.0f s", self._describe(place), waited)
