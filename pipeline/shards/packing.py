"""Packing samples into a shard: its tar, and its rows of the index."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from zlib_ng.zlib_ng import crc32

from pipeline.samples import Sample
from pipeline.shards._core import write_samples
from pipeline.shards.spool import Spool
from shards_spec.index_rows import FileSpans, IndexBuilder, move_rows
from shards_spec.sidecar import encode_sidecars
from shards_spec.tar import BLOCK, END, Output
from shards_spec.variants import Variant

_Int64 = npt.NDArray[np.int64]


class _Made(NamedTuple):
    """Samples in the order in which they were made."""

    rows: _Int64
    """The position in the shard of the row that each was made of, ``[samples]``."""
    starts: _Int64
    """Where its part of the tar begins in the spool, ``[samples]``."""
    sizes: _Int64
    """The bytes of its part, ``[samples]``."""


class Packer:
    """Packs samples in the order in which they are made, and writes them in the order of their rows.

    The part of a tar that holds a sample does not depend on where it stands. So each sample becomes its part at once,
    which waits in a spool, and the shard is made of the parts.

    Args:
        variant: The variant of the set.
        protocols: The sorted protocols of the set.
        number: The number of the shard.
        spool: An empty spool.
    """

    def __init__(self, variant: Variant, protocols: Sequence[str], number: int, spool: Spool) -> None:
        self._variant = variant
        self._number = number
        self._spool = spool
        self._index = IndexBuilder(variant, protocols)
        self._made: list[_Made] = []

    @property
    def samples(self) -> int:
        """Return the number of samples."""
        return sum(len(made.rows) for made in self._made)

    @property
    def units(self) -> int:
        """Return the number of rows that samples were made of."""
        return len(np.unique(self._joined().rows)) if self._made else 0

    def add(self, rows: _Int64, made: Sequence[Sequence[Sample]]) -> None:
        """Pack the samples of some rows. Many together take less time.

        Args:
            rows: The position of each row in the order of the shard, ``[rows]``.
            made: The samples of each row. They stand together in the shard, in this order.
        """
        samples = [*itertools.chain.from_iterable(made)]
        if samples:
            starts, sizes = self._pack(samples)
            self._made.append(_Made(np.repeat(rows, [*map(len, made)]), starts, sizes))

    def write(self, output: Output) -> tuple[int, pa.Table]:
        """Write the tar; return its size in bytes and the rows of the index."""
        made = self._joined()
        order = np.argsort(made.rows, kind="stable")
        rows, starts, sizes = (column[order] for column in made)
        for blocks in self._spool.read(starts, sizes):
            output.write(blocks)
        output.write(END)
        ends = np.cumsum(sizes)
        units = np.cumsum(np.diff(rows, prepend=rows[0]) > 0)
        moved = ends - sizes - starts
        return int(ends[-1]) + len(END), move_rows(self._index.table(), self._variant, order, units, moved)

    def _joined(self) -> _Made:
        return _Made(*map(np.concatenate, zip(*self._made, strict=True)))

    def _pack(self, samples: Sequence[Sample]) -> tuple[_Int64, _Int64]:
        """Turn samples into parts of a tar and rows of the index; return where each part begins, and its bytes."""
        keys = [sample.key for sample in samples]
        sidecars = [sample.sidecar for sample in samples]
        extensions = self._variant.all_extensions(sidecars)
        encoded = encode_sidecars(sidecars)
        files = [(*sample.files, sidecar) for sample, sidecar in zip(samples, encoded, strict=True)]
        crc32s = [*map(crc32, itertools.chain.from_iterable(files))]
        places = np.empty((len(crc32s), 2), np.int64)
        start = self._spool.write(lambda out: write_samples(keys, extensions, files, places, out))
        offsets, sizes = start + places[:, 0], places[:, 1]
        spans = FileSpans(offsets.tolist(), sizes.tolist(), crc32s)
        self._index.extend(keys, self._number, [0] * len(keys), sidecars, extensions, spans)
        first = np.cumsum([0, *map(len, files)])[:-1]  # the place of each sample's first file
        taken = BLOCK + sizes + -sizes % BLOCK
        return offsets[first] - BLOCK, np.add.reduceat(taken, first)
