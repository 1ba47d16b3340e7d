"""The files of an index on this machine: their names, and what each of them contains.

``index_write`` writes them. ``index_cache`` opens them, and decides when they are written.
"""

import functools
from typing import Any

import msgspec
import numpy as np

NO_LABEL = -1
"""Code of a label field that is null."""
NO_CAMERA = -1
"""Number of a camera that is null: one camera that is not known."""

_FILE_FIELDS = {"offset": "<i8", "size": "<i4", "crc32": "<u4"}


@functools.cache
def index_row(files: tuple[str, ...], labels: tuple[str, ...]) -> np.dtype[Any]:
    """Return the type of a row of the index.

    Args:
        files: Extensions of a sample's files, of each of which a row has offset, size and CRC-32.
        labels: Fields that labels number. A row has the position of its value in ``SetIndex.label_values``.
    """
    fields = [(f"{extension}_{what}", type_) for what, type_ in _FILE_FIELDS.items() for extension in files]
    return np.dtype([*fields, *((name, "<i4") for name in (*labels, "unit_index", "camera"))])


@functools.cache
def row_files(row: np.dtype[Any]) -> tuple[str, ...]:
    """Return the extensions of the files that a row of the index places, in their order."""
    return tuple(name.removesuffix("_offset") for name in row.names or () if name.endswith("_offset"))


ROWS_FILE, KEYS_FILE, SHAPE_FILE, LABELS_FILE = "rows", "keys", "shape.json", "labels.json"
SUMS_FILE = "sums.json"
"""Sizes and checksums of all other files except the manifest, whose digest is the folder's name."""


class CellShape(msgspec.Struct, frozen=True):
    """The rows of a cell, and what its samples are labelled with."""

    start: int
    stop: int
    labels: dict[str, list[int]]
    """Codes of the values of each label field that occur, in ascending order."""


class Shape(msgspec.Struct, frozen=True):
    """The division of a set's rows into cells and shards."""

    files: list[str]
    """Extensions of a sample's files, in their order."""
    labels: list[str]
    """Fields that labels number."""
    cells: dict[str, CellShape]
    shard_starts: list[int]
    """``[shards + 1]``: the first row of each shard, and the number of all rows."""
    key_bytes: int
    """Length of the longest key in bytes."""


def parquet_file(number: int) -> str:
    """Return the file name of the copy of a cell's index. The cell's own name may not be a valid file name."""
    return f"{number}.parquet"
