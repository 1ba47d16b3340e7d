"""The files of an index on this machine: their names, and what each of them contains.

``index_write`` writes them. ``index_cache`` opens them, and decides when they are written.
"""

import functools
from typing import Any, NamedTuple

import msgspec
import numpy as np

NO_LABEL = -1
"""Code of a label field that is null."""
NO_CAMERA = -1
"""Number of a camera that is null: one camera that is not known."""

_FILE_FIELDS = {"offset": "<i8", "size": "<i4", "crc32": "<u4"}

MORE_FILE: np.dtype[Any] = np.dtype([*_FILE_FIELDS.items(), ("extension", "<i4")])
"""A further file of a sample; ``extension`` is the position of its extension in ``Shape.more_files``."""
_MORE_FIELDS = [("more_start", "<i8"), ("more_count", "<i4")]


class NamedSpan(NamedTuple):
    """A file of a sample, and where its data lies in the shard."""

    extension: str
    offset: int
    size: int
    crc32: int


@functools.cache
def index_row(files: tuple[str, ...], labels: tuple[str, ...], *, has_more_files: bool = False) -> np.dtype[Any]:
    """Return the type of a row of the index.

    Args:
        files: Extensions of a sample's files, of each of which a row has offset, size and CRC-32.
        labels: Fields that labels number. A row has the position of its value in ``SetIndex.label_values``.
        has_more_files: Whether the number of files varies. A row then has the number of the first of its records in
            the file ``MORE_FILES_FILE``, and how many there are.
    """
    fields = [(f"{extension}_{what}", type_) for what, type_ in _FILE_FIELDS.items() for extension in files]
    more = _MORE_FIELDS if has_more_files else []
    return np.dtype([*fields, *((name, "<i4") for name in (*labels, "unit_index", "camera")), *more])


@functools.cache
def row_files(row: np.dtype[Any]) -> tuple[str, ...]:
    """Return the extensions of the files that a row of the index places, in their order. The sidecar is the last."""
    return tuple(name.removesuffix("_offset") for name in row.names or () if name.endswith("_offset"))


ROWS_FILE, KEYS_FILE, SHAPE_FILE, LABELS_FILE = "rows", "keys", "shape.json", "labels.json"
MORE_FILES_FILE = "more"
"""The records of further files, if the number of a sample's files varies."""
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
    more_files: list[str] | None = None
    """The extensions of further files; None if all samples have the same ones."""


def parquet_file(number: int) -> str:
    """Return the file name of the copy of a cell's index. The cell's own name may not be a valid file name."""
    return f"{number}.parquet"
