"""Chunks of samples that are read together, as the folder's and the network's way of reading share them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from shards_spec.stream.order import Int64
from shards_spec.stream.ranges import ReadError


@dataclass(frozen=True, slots=True)
class Wanted:
    """The samples of a chunk."""

    rows: Int64
    """``[n]``, at least one."""
    records: npt.NDArray[Any]
    """``[n]`` of ``index_row``."""
    shards: Int64
    """``[n]``: the shard of each sample."""


class Chunk(Protocol):
    """A chunk whose samples can be taken, in order."""

    @property
    def wanted(self) -> Wanted:
        """The samples."""

    def failures(self, places: range) -> Iterator[tuple[int, ReadError]]:
        """Wait for the samples at these places, and yield the place and the error of each that could not be read.

        Samples well before these places are not asked for again.
        """

    def files(self, name: str) -> Iterator[bytes]:
        """Yield one file of each sample. Wait for a sample before asking for its file."""

    def cut(self, place: int, offset: int, size: int) -> bytes:
        """Return bytes of the sample at a place, which begin at an offset of its shard. Wait for it before."""
