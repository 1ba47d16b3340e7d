"""Entries that were found in a buffer, as a batch of columns."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from zlib_ng.zlib_ng import crc32

from pipeline.archives.table import ENTRY_SCHEMA, EntryKind, decode_paths, split_paths
from pipeline.archives.tar.header import BLOCK, REGULAR, Blocks, decode_names

_KINDS = np.full(256, EntryKind.OTHER, np.uint8)
_KINDS[REGULAR] = EntryKind.FILE
_KINDS[list(b"5D")] = EntryKind.FOLDER
_KINDS[list(b"12")] = EntryKind.LINK
_KINDS[ord("S")] = EntryKind.SPARSE
_KIND_OF = [EntryKind(kind) for kind in _KINDS.tolist()]


class SingleEntry(NamedTuple):
    """An entry that was decoded by itself. See ``ENTRY_SCHEMA``."""

    offset: int
    header_size: int
    size: int
    header_crc32: int
    kind: int
    path: bytes


def kind_of(header_type: int) -> EntryKind:
    """Return what the entry is whose header has this type."""
    return _KIND_OF[header_type]


def make_batch(
    offsets: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    types: npt.NDArray[np.uint8],
    blocks: Blocks,
    singles: Sequence[SingleEntry],
) -> pa.RecordBatch:
    """Return entries as a batch of ``ENTRY_SCHEMA``, sorted by offset.

    Args:
        offsets: Of entries with nothing but a header, ``[entries]``.
        sizes: Bytes of their contents.
        types: Their headers' types.
        blocks: Their headers, contiguous in memory.
        singles: The entries that were decoded by themselves.
    """
    headers = blocks.tobytes()
    crcs = [crc32(headers[start : start + BLOCK]) for start in range(0, len(headers), BLOCK)]
    paths = decode_names(blocks)
    columns: list[npt.NDArray[Any]] = [
        offsets,
        np.full(len(offsets), BLOCK, np.int32),
        sizes,
        np.array(crcs, np.uint32),
        _KINDS[types],
    ]
    if singles:
        *own_columns, own_paths = zip(*singles, strict=True)
        columns = [
            np.concatenate([column, np.array(own, column.dtype)])
            for column, own in zip(columns, own_columns, strict=True)
        ]
        order = np.argsort(columns[0])
        columns = [column[order] for column in columns]
        paths = pa.concat_arrays([paths, pa.array(own_paths, pa.binary())]).take(pa.array(order))
    folders, names = split_paths(decode_paths(paths))
    kinds = columns[-1]
    kinds[(kinds == EntryKind.FILE) & pc.equal(pc.binary_length(names), 0).to_numpy(zero_copy_only=False)] = (
        EntryKind.FOLDER
    )
    arrays = [folders.dictionary_encode(), names, *map(pa.array, columns)]
    return pa.RecordBatch.from_arrays(arrays, schema=ENTRY_SCHEMA)
