"""Packing samples into a shard: its tar, and its rows of the index."""

from collections.abc import Sequence
from typing import IO

import numpy as np
import pyarrow as pa
from zlib_ng.zlib_ng import crc32

from pipeline.samples import Sample
from pipeline.shards.spool import Spool
from shards_spec.index_rows import FileSpans, IndexBuilder, move_rows
from shards_spec.sidecar import encode_sidecar
from shards_spec.tar import BLOCK, Output, TarWriter
from shards_spec.variants import Variant

PACKED_SAMPLES = 1024
PACKED_BYTES = 4 * 2**20
"""Samples and bytes that are packed together: small samples share the cost of a call, and few have left the processor's
caches since they were made."""


class Packer:
    """Packs samples in the order in which they are made, and writes them in the order of their rows.

    The part of a tar that holds a sample does not depend on where it stands. So samples are packed into a tar at once,
    which waits in a spool, and the shard is made of its parts.

    Args:
        variant: The variant of the set.
        protocols: The sorted protocols of the set.
        number: The number of the shard.
        file: An empty temporary file for what does not fit in memory.
    """

    def __init__(self, variant: Variant, protocols: Sequence[str], number: int, file: IO[bytes]) -> None:
        self._variant = variant
        self._number = number
        self._spool = Spool(file)
        self._tar = TarWriter(self._spool)
        self._index = IndexBuilder(variant, protocols)
        self._waiting: list[Sample] = []
        self._waiting_bytes = 0
        self._rows: list[int] = []
        self._stops: list[int] = []  # where each sample ends in the tar that waits

    @property
    def samples(self) -> int:
        """Return the number of samples."""
        return len(self._rows)

    @property
    def units(self) -> int:
        """Return the number of rows that samples were made of."""
        return len(set(self._rows))

    def add(self, row: int, samples: Sequence[Sample]) -> None:
        """Add the samples of a row.

        Args:
            row: Position of the row in the order of the shard.
            samples: Its samples. Those of a row stand together in the shard, in this order.
        """
        for sample in samples:
            self._rows.append(row)
            self._waiting.append(sample)
            self._waiting_bytes += sum(map(len, sample.files))
        if self._waiting_bytes >= PACKED_BYTES or len(self._waiting) >= PACKED_SAMPLES:
            self._pack()

    def write(self, output: Output) -> tuple[int, pa.Table]:
        """Write the tar; return its size in bytes and the rows of the index."""
        self._pack()
        self._tar.flush()
        order = np.argsort(self._rows, kind="stable")
        stops = np.array(self._stops, np.int64)
        starts = np.concatenate([[0], stops[:-1]])
        sizes = (stops - starts)[order]
        tar = TarWriter(output)
        tar.add_parts(self._spool.read(starts[order], sizes))
        tar.finish()
        moved = np.cumsum(sizes) - sizes - starts[order]
        units = np.unique(np.array(self._rows)[order], return_inverse=True)[1]
        return tar.size, move_rows(self._index.table(), self._variant, order, units, moved)

    def _pack(self) -> None:
        """Turn the samples that wait into parts of a tar and rows of the index."""
        if not self._waiting:
            return
        keys = [sample.key for sample in self._waiting]
        sidecars = [sample.sidecar for sample in self._waiting]
        extensions = [self._variant.extensions(sidecar) for sidecar in sidecars]
        for sample, own in zip(self._waiting, extensions, strict=True):
            if len(own) != len(sample.files) + 1:
                raise AssertionError(f"{sample.key} has {len(sample.files)} files, but its sidecar says {len(own) - 1}")
        names = [f"{key}.{extension}" for key, own in zip(keys, extensions, strict=True) for extension in own]
        files = [data for sample in self._waiting for data in (*sample.files, encode_sidecar(sample.sidecar))]
        sizes = np.fromiter(map(len, files), np.int64, len(files))
        offsets = self._tar.add_files(names, files)
        last = np.cumsum([*map(len, extensions)]) - 1
        self._stops += ((offsets + sizes)[last] + -sizes[last] % BLOCK).tolist()
        spans = FileSpans(offsets.tolist(), sizes.tolist(), [*map(crc32, files)])
        self._index.extend(keys, self._number, [0] * len(keys), sidecars, extensions, spans)
        self._waiting.clear()
        self._waiting_bytes = 0
