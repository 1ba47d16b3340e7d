"""Packing samples into a shard: its tar, and its rows of the index."""

import itertools
from collections.abc import Sequence

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
        self.units = 0
        """Number of rows that samples were made of."""

    @property
    def samples(self) -> int:
        """Return the number of samples."""
        return len(self._rows)

    def add(self, made: Sequence[tuple[int, Sequence[Sample]]]) -> None:
        """Pack the samples of some rows. Many together take less time.

        Args:
            made: For each row its position in the order of the shard, and its samples. A row is added once, and its
                samples stand together in the shard, in this order.
        """
        samples = [sample for _, own in made for sample in own]
        self._rows += [row for row, own in made for _ in own]
        self.units += sum(bool(own) for _, own in made)
        if samples:
            self._pack(samples)

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

    def _pack(self, samples: Sequence[Sample]) -> None:
        """Turn samples into parts of a tar and rows of the index."""
        keys = [sample.key for sample in samples]
        sidecars = [sample.sidecar for sample in samples]
        extensions = self._variant.all_extensions(sidecars)
        encoded = encode_sidecars(sidecars)
        files = [(*sample.files, sidecar) for sample, sidecar in zip(samples, encoded, strict=True)]
        crc32s = [*map(crc32, itertools.chain.from_iterable(files))]
        places = np.empty((len(crc32s), 2), np.int64)
        start = self._spool.size
        self._spool.write(lambda out: write_samples(keys, extensions, files, places, out))
        offsets, sizes = start + places[:, 0], places[:, 1]
        self._counts += map(len, files)
        self._offsets.append(offsets)
        spans = FileSpans(offsets.tolist(), sizes.tolist(), crc32s)
        self._index.extend(keys, self._number, [0] * len(keys), sidecars, extensions, spans)
