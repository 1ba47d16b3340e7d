"""The files of an index on this machine: their names, and what each of them contains.

``index_write`` writes them. ``index_cache`` opens them, and decides when they are written.
"""

import msgspec
import numpy as np

INDEX_ROW = np.dtype(
    [
        ("jpg_offset", "<i8"),
        ("json_offset", "<i8"),
        ("jpg_size", "<i4"),
        ("json_size", "<i4"),
        ("jpg_crc32", "<u4"),
        ("json_crc32", "<u4"),
        ("identity", "<i4"),  # position in ``SetIndex.identities``
        ("unit_index", "<i4"),
        ("camera", "<i4"),
    ]
)
ROWS_FILE, KEYS_FILE, SHAPE_FILE, IDENTITIES_FILE = "rows", "keys", "shape.json", "identities.json"
SUMS_FILE = "sums.json"
"""Sizes and checksums of all other files except the manifest, whose digest is the folder's name."""


class CellShape(msgspec.Struct, frozen=True):
    """The rows of a cell, and the identities that it shows."""

    start: int
    stop: int
    identities: list[int]


class Shape(msgspec.Struct, frozen=True):
    """The division of a set's rows into cells and shards."""

    cells: dict[str, CellShape]
    shard_starts: list[int]
    """``[shards + 1]``: the first row of each shard, and the number of all rows."""
    key_bytes: int
    """Length of the longest key in bytes."""


def parquet_file(number: int) -> str:
    """Return the file name of the copy of a cell's index. The cell's own name may not be a valid file name."""
    return f"{number}.parquet"
