"""Plan which ranges of shards to read for some samples, and where the samples then are in memory: pure functions."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shards_spec.stream.index_format import row_files
from shards_spec.stream.order import Int64

RANGE_BYTES = 2**20
"""Maximum length of a range that is read at once, not counting its last sample."""
_TAR_GAP = 2 * 512
"""Maximum distance between two consecutive samples: padding and a header."""


@dataclass(frozen=True, slots=True)
class Range:
    """A byte range of a shard."""

    shard: int
    start: int
    stop: int


ReadError = OSError | EOFError
"""Error of reading a range."""
ReadInto = Callable[[Range, memoryview], None]
"""Fills memory with the bytes of a range."""
Prefetch = Callable[[Range], None]
"""Announces that a range will be read."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """The ranges to read for some samples, which are stored one after another in a buffer."""

    ranges: list[Range]
    places: list[int]
    """``[ranges + 1]``: where each range begins in the buffer, and the size of all ranges."""
    shifts: Int64
    """``[samples]``: difference between a sample's offsets in the buffer and in its shard."""
    numbers: Int64
    """``[samples]``: the range of each sample."""

    @property
    def bytes(self) -> int:
        """Size of all ranges in bytes."""
        return self.places[-1]


def sample_extents(records: npt.NDArray[Any]) -> tuple[Int64, Int64]:
    """Return ``[n]`` and ``[n]``: where the files of each sample begin and end in its shard."""
    files = row_files(records.dtype)
    starts = functools.reduce(np.minimum, (records[f"{name}_offset"] for name in files))
    stops = functools.reduce(np.maximum, (records[f"{name}_offset"] + records[f"{name}_size"] for name in files))
    return starts, stops


def plan_ranges(records: npt.NDArray[Any], shards: Int64) -> Ranges:
    """Return ranges that contain all samples. Neighbouring samples share a range, distant ones do not.

    At least about half of what is read is used: a gap is read only if it is no longer than the mean of the samples on
    its two sides.

    Args:
        records: ``[n]`` of ``index_row``, at least one.
        shards: ``[n]``: the shard of each sample.
    """
    starts, stops = sample_extents(records)
    order = np.lexsort((starts, shards))
    starts, stops, shards = starts[order], stops[order], shards[order]
    sizes = stops - starts
    gaps = starts[1:] - stops[:-1]
    first = np.ones(len(order), np.bool_)  # whether a sample is the first of a range
    first[1:] = (gaps > np.maximum((sizes[1:] + sizes[:-1]) // 2, _TAR_GAP)) | (shards[1:] != shards[:-1])
    # Neighbours that are too large to be read at once are split by where they end.
    distances = stops - starts[first][np.cumsum(first) - 1]
    parts = (distances - 1) // RANGE_BYTES
    first[1:] |= parts[1:] != parts[:-1]
    begins = np.flatnonzero(first)
    range_starts, range_stops = starts[begins], np.maximum.reduceat(stops, begins)
    places = np.concatenate([[0], np.cumsum(range_stops - range_starts)])
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.cumsum(first) - 1
    return Ranges(
        list(map(Range, shards[begins].tolist(), range_starts.tolist(), range_stops.tolist())),
        places.tolist(),
        (places[:-1] - range_starts)[numbers],
        numbers,
    )
