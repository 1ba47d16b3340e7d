"""The rows of a set's indexes as one table, with only the columns that the report's numbers come from.

Strings become numbers with a dictionary, and what takes several columns (the size of the box, whether it was clamped)
becomes one, so that ten million samples take less than a gigabyte.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.columns import Columns, columns_of
from shards_spec.errors import SpecError
from shards_spec.index import index_schema
from shards_spec.index_read import IndexReader, check_capacity
from shards_spec.manifest import Cell, Manifest, ShardFile
from shards_spec.storage import ReadableStore, file_sha256, open_buffered
from shards_spec.variants import variant_of

_CODED = pa.dictionary(pa.int32(), pa.string())
_BOX = ("box_x", "box_y", "box_w", "box_h", "frame_width", "frame_height")
_PERSON = {"width": "roi_width", "height": "roi_height"}
UNKNOWN_CAMERA = -1
"""Stands for a camera that is null."""


@dataclass(frozen=True, slots=True)
class ShardRows:
    """Where the rows of a shard stand in the table, and where they come from."""

    cell: str
    group: int
    """The row group of the cell's index."""
    shard: ShardFile
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class SetRows:
    """The rows of all indexes that could be read, cell after cell, and what is wrong with the others."""

    table: pa.Table
    """Has the columns of ``rows_schema``."""
    columns: Columns
    shards: list[ShardRows]
    cells: dict[str, slice]
    """The rows of each cell whose index could be read."""
    faults: list[tuple[str, str]]
    """File and fault of each index that could not be read, or whose digest is not the manifest's."""

    def of_cells(self, cells: Sequence[str]) -> np.ndarray:
        """Return the numbers of the rows of these cells."""
        spans = [self.cells[cell] for cell in cells if cell in self.cells]
        return np.concatenate([np.arange(0), *(np.arange(span.start, span.stop) for span in spans)])

    def codes(self, column: str | None) -> np.ndarray:
        """Return a string column as numbers of its values; -1 for nulls, and for all if there is no such column."""
        if column not in self.table.column_names:
            return np.full(self.table.num_rows, -1, np.int32)
        codes: np.ndarray = self._coded(column).indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return codes

    def values(self, column: str | None) -> pa.Array:
        """Return the different values of a string column, in the order of their numbers."""
        return self._coded(column).dictionary if column in self.table.column_names else pa.array([], pa.string())

    def numbers(self, column: str) -> np.ndarray:
        """Return a column of numbers or truth values that has no nulls."""
        numbers: np.ndarray = self.table[column].to_numpy()
        return numbers

    def cameras(self) -> np.ndarray:
        """Return the number of the camera of each row; ``UNKNOWN_CAMERA`` if it is null or no camera is told."""
        if "camera" not in self.table.column_names:
            return np.full(self.table.num_rows, UNKNOWN_CAMERA, np.int32)
        return self.numbers("camera")

    def _coded(self, column: str | None) -> pa.DictionaryArray:
        (chunk,) = self.table[column].chunks or [pa.array([], _CODED)]
        return chunk


def read_rows(store: ReadableStore, manifest: Manifest, progress: Callable[[int], None] = lambda _: None) -> SetRows:
    """Read the indexes of a set.

    An index that cannot be read is a fault of the result, and its cell has no rows.

    Args:
        store: Where the set lies.
        manifest: Of the set.
        progress: A function that is called with the number of rows read since the call before.
    """
    tables: list[pa.Table] = []
    shards: list[ShardRows] = []
    cells: dict[str, slice] = {}
    faults: list[tuple[str, str]] = []
    count = 0
    variant = variant_of(manifest)
    schema, columns = index_schema(variant, list(manifest.protocols)), columns_of(variant)
    for name, cell in manifest.cells.items():
        try:
            found = []
            for table in _cell_rows(store, cell, schema, columns):
                found.append(table)
                progress(table.num_rows)
        except (OSError, EOFError, SpecError) as error:
            what = "is missing" if isinstance(error, FileNotFoundError) else str(error)
            faults.append((cell.index.file, what))
            continue
        start = count
        for group, (shard, table) in enumerate(zip(cell.shards, found, strict=True)):
            shards.append(ShardRows(name, group, shard, count, count + table.num_rows))
            count += table.num_rows
        tables += found
        cells[name] = slice(start, count)
    table = (
        pa.concat_tables([rows_schema(columns, schema).empty_table(), *tables]).unify_dictionaries().combine_chunks()
    )
    return SetRows(table, columns, shards, cells, faults)


def rows_schema(columns: Columns, index: pa.Schema) -> pa.Schema:
    """Return the columns of ``SetRows.table``.

    ``width`` and ``height`` are the person's in pixels of the image (``roi``), and ``bytes`` is a sample's size.
    ``begins_unit`` marks the first sample of each unit. A category or a number may be null.

    Args:
        columns: What the report shows.
        index: The columns of the set's indexes.
    """
    coded = dict.fromkeys([columns.identity, columns.group, *columns.categories])
    return pa.schema(
        [
            *((name, _CODED) for name in coded if name is not None),
            *((name, index.field(name).type) for name in columns.numbers),
            *([("camera", pa.int32())] if columns.camera is not None else []),
            *((name, pa.int32()) for name in _PERSON if columns.image is not None),
            ("bytes", pa.int64()),
            ("begins_unit", pa.bool_()),
            *([("clamped", pa.bool_())] if columns.is_cut else []),
        ]
    )


def _cell_rows(store: ReadableStore, cell: Cell, schema: pa.Schema, columns: Columns) -> Iterator[pa.Table]:
    digest = file_sha256(store, cell.index.file)
    if digest != cell.index.sha256:
        raise SpecError(f"its SHA-256 is {digest}, but the manifest says {cell.index.sha256}")
    check_capacity(store, cell.shards)
    compact = rows_schema(columns, schema)
    wanted = [*columns.sizes, "unit_index", *(_BOX if columns.is_cut else ()), *columns.numbers]
    wanted += [name for name in compact.names if compact.field(name).type == _CODED]
    wanted += [*(_PERSON.values() if columns.image is not None else ())]
    wanted += [] if columns.camera is None else [columns.camera]
    with open_buffered(store, cell.index.file) as file, IndexReader(file, len(cell.shards)) as index:
        if not index.schema.equals(schema):
            raise SpecError(f"its columns are not the spec's: {', '.join(index.schema.names)[:500]}")
        for group, shard in enumerate(cell.shards):
            yield _compact(index.read(group, shard, wanted), columns, compact)


def _bytes(sizes: pa.ChunkedArray) -> np.ndarray:
    """Return a number of bytes for each row, which is the sum of a list if there are lists."""
    if not pa.types.is_list(sizes.type):
        single: np.ndarray = sizes.to_numpy().astype(np.int64)
        return single
    lists = sizes.combine_chunks()
    until = np.concatenate([[0], np.cumsum(lists.flatten().to_numpy(), dtype=np.int64)])
    bounds = np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy())])
    sums: np.ndarray = until[bounds[1:]] - until[bounds[:-1]]
    return sums


def _compact(rows: pa.Table, columns: Columns, schema: pa.Schema) -> pa.Table:
    """Reduce the rows of a shard to the columns of ``rows_schema``."""
    unit = rows["unit_index"].to_numpy()
    found: dict[str, Any] = {
        "bytes": sum(_bytes(rows[name]) for name in columns.sizes),
        "begins_unit": np.concatenate([np.ones(min(1, len(unit)), bool), unit[1:] != unit[:-1]]),
    }
    if columns.is_cut:
        x, y, width, height, frame_width, frame_height = (rows[name].to_numpy() for name in _BOX)
        found["clamped"] = (x < 0) | (y < 0) | (x + width > frame_width) | (y + height > frame_height)
    if columns.camera is not None:
        found["camera"] = rows[columns.camera].fill_null(UNKNOWN_CAMERA).cast(pa.int32())
    for field in schema:
        if field.type == _CODED:
            found[field.name] = pc.dictionary_encode(rows[field.name].cast(pa.string()).combine_chunks())
        elif field.name not in found:
            found[field.name] = rows[_PERSON.get(field.name, field.name)]
    return pa.table([found[name] for name in schema.names], schema=schema)
