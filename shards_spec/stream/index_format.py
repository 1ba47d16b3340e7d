"""The files of an index on this machine: their names, and what each of them holds.

``index_write`` writes them, and ``index_cache`` decides when, and opens them.
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
        ("identity", "<i4"),  # place in ``SetIndex.identities``
        ("frame_index", "<i4"),
        ("camera", "<i4"),
    ]
)
ROWS_FILE, KEYS_FILE, SHAPE_FILE, IDENTITIES_FILE = "rows", "keys", "shape.json", "identities.json"
SUMS_FILE = "sums.json"
"""Sizes and checksums of the others, except for the manifest, whose digest is the folder's name."""


class CellShape(msgspec.Struct, frozen=True):
    """Where a cell's rows stand in the set, and which identities they show."""

    start: int
    stop: int
    identities: list[int]


class Shape(msgspec.Struct, frozen=True):
    """How the rows of a set fall into cells and shards."""

    cells: dict[str, CellShape]
    shard_starts: list[int]
    """``[shards + 1]``: the row at which each shard begins, and the number of rows."""
    key_bytes: int
    """Length of the longest key."""


def parquet_file(number: int) -> str:
    """Name of the copy of the manifest's cell of this number: what a manifest calls a cell may be no file's name."""
    return f"{number}.parquet"
