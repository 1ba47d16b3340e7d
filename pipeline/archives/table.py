"""The entries of archives as columns."""

import hashlib
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class EntryKind(IntEnum):
    """What an entry of an archive or a folder is. Only files are read; the others are noted."""

    FILE = 0
    FOLDER = 1
    LINK = 2
    """A symbolic or hard link. It is not followed: it may lead out of the archive."""
    SPARSE = 3
    """A file that is stored without its holes, in one of GNU tar's forms."""
    OTHER = 4
    """A device, a pipe, a socket, a part of a file that spans volumes, or a type that no standard defines."""


ENTRY_SCHEMA = pa.schema(
    [
        # With 30 million paths of 76 characters, offsets of 32 bits overflow: so the folder is a code, and the strings
        # are large ones.
        pa.field("folder", pa.dictionary(pa.int32(), pa.large_string()), nullable=False),  # "a/b/"; "" at the top
        pa.field("name", pa.large_string(), nullable=False),  # the path behind the folder
        pa.field("offset", pa.int64(), nullable=False),  # of the entry's first header in its archive, bytes
        pa.field("header_size", pa.int32(), nullable=False),  # bytes from there to the content
        pa.field("size", pa.int64(), nullable=False),  # bytes of content as stored
        pa.field("header_crc32", pa.uint32(), nullable=False),  # of the bytes before the content
        pa.field("kind", pa.uint8(), nullable=False),  # an ``EntryKind``
    ]
)
"""One row for each entry of a tar archive, in its order, or of a folder, sorted by path. Repeated paths are kept. Of an
entry of a folder, ``offset``, ``header_size`` and ``header_crc32`` are 0."""


def decode_paths(paths: Any) -> Any:
    r"""Return a binary array as text. Bytes that are not UTF-8 become ``\xNN``, so that one odd name loses no entry."""
    try:
        return paths.cast(pa.large_string())
    except pa.ArrowInvalid:
        return pa.array([path.decode("utf-8", "backslashreplace") for path in paths.to_pylist()], pa.large_string())


def split_paths(paths: Any) -> tuple[Any, Any]:
    """Split paths behind their last slash; return the folders, which end with it, and the names."""
    parts = pc.split_pattern(paths, "/", max_splits=1, reverse=True)
    ends = parts.offsets.to_numpy()
    values = parts.flatten()
    has_folder = pa.array(np.diff(ends) == 2)
    folders = pc.binary_join_element_wise(values.take(pa.array(ends[:-1])), _text("/"), _text(""))
    return pc.if_else(has_folder, folders, _text("")), values.take(pa.array(ends[1:] - 1))


def _text(value: str) -> pa.Scalar:
    return pa.scalar(value, pa.large_string())


def join_paths(entries: pa.Table) -> pa.ChunkedArray:
    """Return the entries' full paths, as spelled in the archive."""
    folders = entries.column("folder").cast(pa.large_string())
    return pc.binary_join_element_wise(folders, entries.column("name"), _text(""))


def entries_sha256(tables: Iterable[pa.Table]) -> str:
    """Return the SHA-256 of an archive's entries, in hex.

    It is that of two digests one behind the other, each over all entries in order: of the entries' numbers (offset,
    header size, size, header CRC-32 and kind as little-endian integers of 8, 4, 8, 4 and 1 bytes), and of their paths
    (UTF-8, each followed by a NUL). So it can be computed from the columns in one pass, however the archive was cut
    into ranges. It covers what a conversion takes from the headers; their CRC-32s cover the rest of the blocks.

    Args:
        tables: Tables of ``ENTRY_SCHEMA`` that hold the archive's entries in order.
    """
    numbers, paths = hashlib.sha256(), hashlib.sha256()
    for table in tables:
        for batch in table.to_batches(max_chunksize=1 << 16):
            rows = np.empty(batch.num_rows, _DIGESTED)
            for name in _DIGESTED.names or ():
                rows[name] = batch.column(name).to_numpy()
            numbers.update(rows.data)
            folders = batch.column("folder").cast(pa.large_string())
            ended = pc.binary_join_element_wise(folders, batch.column("name"), _text("\0"), _text(""))
            _, ends, values = ended.buffers()
            length = np.frombuffer(ends, np.int64)[ended.offset + len(ended)]
            paths.update(memoryview(values or b"")[:length])
    return hashlib.sha256(numbers.digest() + paths.digest()).hexdigest()


_DIGESTED = np.dtype(
    [("offset", "<i8"), ("header_size", "<i4"), ("size", "<i8"), ("header_crc32", "<u4"), ("kind", "u1")]
)
