"""Packing samples into a shard: its tar, and its rows of the index."""

import itertools
from collections.abc import Iterable, Sequence

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
        self._rows: list[int] = []
        self._parts: list[tuple[_Int64, _Int64]] = []  # where samples begin in the spool, and their bytes there

    @property
    def samples(self) -> int:
        """Return the number of samples."""
        return len(self._rows)

    @property
    def units(self) -> int:
        """Return the number of rows that samples were made of."""
        return len(set(self._rows))

    def add(self, made: Iterable[tuple[int, Sequence[Sample]]]) -> None:
        """Pack the samples of some rows. Many together take less time.

        Args:
            made: For each row its position in the order of the shard, and its samples. These stand together in the
                shard, in this order.
        """
        samples: list[Sample] = []
        for row, own in made:
            samples += own
            self._rows += [row] * len(own)
        if samples:
            self._pack(samples)

    def write(self, output: Output) -> tuple[int, pa.Table]:
        """Write the tar; return its size in bytes and the rows of the index."""
        rows = np.array(self._rows)
        order = np.argsort(rows, kind="stable")
        starts, sizes = (np.concatenate(column)[order] for column in zip(*self._parts, strict=True))
        for blocks in self._spool.read(starts, sizes):
            output.write(blocks)
        output.write(END)
        ends = np.cumsum(sizes)
        units = np.unique(rows[order], return_inverse=True)[1]
        moved = ends - sizes - starts
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
        start = self._spool.write(lambda out: write_samples(keys, extensions, files, places, out))
        offsets, sizes = start + places[:, 0], places[:, 1]
        last = np.cumsum([*map(len, files)]) - 1  # each sample's last file
        ends = offsets[last] + sizes[last]
        ends += -ends % BLOCK
        starts = np.concatenate([[start], ends[:-1]])
        self._parts.append((starts, ends - starts))
        spans = FileSpans(offsets.tolist(), sizes.tolist(), crc32s)
        self._index.extend(keys, self._number, [0] * len(keys), sidecars, extensions, spans)
