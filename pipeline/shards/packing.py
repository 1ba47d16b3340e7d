"""Packing samples into a shard: its tar, and its rows of the index."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from zlib_ng.zlib_ng import crc32

from pipeline.shards._core import write_samples
from pipeline.shards.spool import Spool
from shards_spec.index_rows import FileSpans, IndexBuilder, move_rows
from shards_spec.sidecar import encode_sidecars
from shards_spec.tar import BLOCK, END, Output
from shards_spec.variants import Variant


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
        self._rows: list[int] = []  # of each sample
        self._counts: list[int] = []  # of each sample's files
        self._offsets: list[npt.NDArray[np.int64]] = []  # of all files' data in the spool

    @property
    def samples(self) -> int:
        """Return the number of samples."""
        return len(self._rows)

    @property
    def units(self) -> int:
        """Return the number of rows that samples were made of."""
        return len(set(self._rows))

    def add(
        self, rows: Sequence[int], keys: list[str], sidecars: list[Any], contents: Sequence[tuple[bytes, ...]]
    ) -> None:
        """Pack samples. Many together take less time.

        Args:
            rows: For each sample the position of its row in the order of the shard. All samples of a row are packed
                together, and stand together in the shard in this order.
            keys: The keys of the samples.
            sidecars: Their sidecars.
            contents: Their files without the sidecar, in the order of the variant.
        """
        if not keys:
            return
        extensions = self._variant.all_extensions(sidecars)
        files = [(*own, sidecar) for own, sidecar in zip(contents, encode_sidecars(sidecars), strict=True)]
        counts = [*map(len, files)]
        places = np.empty((sum(counts), 2), np.int64)
        start = self._spool.size
        self._spool.write(lambda out: write_samples(keys, extensions, files, places, out))
        places[:, 0] += start
        crc32s = np.fromiter(map(crc32, itertools.chain.from_iterable(files)), np.uint32, len(places))
        self._rows += rows
        self._counts += counts
        self._offsets.append(places[:, 0])
        spans = FileSpans(places[:, 0], places[:, 1], crc32s)
        self._index.extend(keys, self._number, [0] * len(keys), sidecars, extensions, spans)

    def write(self, output: Output) -> tuple[int, pa.Table]:
        """Write the tar; return its size in bytes and the rows of the index."""
        rows, counts, offsets = np.array(self._rows), np.array(self._counts), np.concatenate(self._offsets)
        order = np.argsort(rows, kind="stable")
        starts = offsets[np.cumsum(counts) - counts] - BLOCK  # where each sample's part begins in the spool
        sizes = np.diff(starts, append=self._spool.size)[order]
        for blocks in self._spool.read(starts[order], sizes):
            output.write(blocks)
        output.write(END)
        ends = np.cumsum(sizes)
        units = np.cumsum(np.diff(rows[order], prepend=rows[order[0]]) > 0)
        moved = ends - sizes - starts[order]
        return int(ends[-1]) + len(END), move_rows(self._index.table(), self._variant, order, units, moved)
