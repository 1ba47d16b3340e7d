"""The rows of a set's indexes as one table, with only the columns that the report's numbers come from.

Strings become numbers with a dictionary, and what takes several columns (the size of the box, whether it was clamped)
becomes one, so that ten million samples take less than a gigabyte.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shards_spec.errors import SpecError
from shards_spec.index import index_schema
from shards_spec.index_read import IndexReader, check_capacity
from shards_spec.manifest import Cell, Manifest, ShardFile
from shards_spec.storage import ReadableStore, file_sha256, open_buffered
from shards_spec.variants import variant_named

_STRINGS = ("identity", "group_id", "time", "encoding")
_BOX = ("box_x", "box_y", "box_w", "box_h", "frame_width", "frame_height")
_READ = (*_STRINGS, *_BOX, "unit_index", "camera", "depth", "members", "roi_width", "roi_height", "jpg_size")

ROWS_SCHEMA = pa.schema(
    [
        *((name, pa.dictionary(pa.int32(), pa.string())) for name in _STRINGS),
        ("camera", pa.int32()),
        ("depth", pa.float64()),
        ("members", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int32()),
        ("begins_unit", pa.bool_()),
        ("clamped", pa.bool_()),
    ]
)
"""The columns of ``SetRows.table``. ``width`` and ``height`` are the person's in pixels of the image (``roi``),
``bytes`` the image's; ``begins_unit`` marks the first sample of each unit."""


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
    """Has the columns of ``ROWS_SCHEMA``."""
    shards: list[ShardRows]
    cells: dict[str, slice]
    """The rows of each cell whose index could be read."""
    faults: list[tuple[str, str]]
    """File and fault of each index that could not be read, or whose digest is not the manifest's."""

    def of_cells(self, cells: Sequence[str]) -> np.ndarray:
        """Return the numbers of the rows of these cells."""
        spans = [self.cells[cell] for cell in cells if cell in self.cells]
        return np.concatenate([np.arange(0), *(np.arange(span.start, span.stop) for span in spans)])

    def codes(self, column: str) -> np.ndarray:
        """Return a string column as numbers of its values; nulls are -1."""
        codes: np.ndarray = _dictionary(self.table, column).indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return codes

    def values(self, column: str) -> pa.Array:
        """Return the different values of a string column, in the order of their numbers."""
        return _dictionary(self.table, column).dictionary

    def numbers(self, column: str) -> np.ndarray:
        """Return a column of numbers or truth values."""
        numbers: np.ndarray = self.table[column].to_numpy()
        return numbers


def _dictionary(table: pa.Table, column: str) -> pa.DictionaryArray:
    (chunk,) = table[column].chunks or [pa.array([], ROWS_SCHEMA.field(column).type)]
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
    schema = index_schema(variant_named(manifest.variant), list(manifest.protocols))
    for name, cell in manifest.cells.items():
        try:
            found = []
            for table in _cell_rows(store, cell, schema):
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
    table = pa.concat_tables([ROWS_SCHEMA.empty_table(), *tables]).unify_dictionaries().combine_chunks()
    return SetRows(table, shards, cells, faults)


def _cell_rows(store: ReadableStore, cell: Cell, schema: pa.Schema) -> Iterator[pa.Table]:
    digest = file_sha256(store, cell.index.file)
    if digest != cell.index.sha256:
        raise SpecError(f"its SHA-256 is {digest}, but the manifest says {cell.index.sha256}")
    check_capacity(store, cell.shards)
    with open_buffered(store, cell.index.file) as file, IndexReader(file, len(cell.shards)) as index:
        if not index.schema.equals(schema):
            raise SpecError(f"its columns are not the spec's: {', '.join(index.schema.names)[:500]}")
        for group, shard in enumerate(cell.shards):
            yield _compact(index.read(group, shard, _READ))


def _compact(rows: pa.Table) -> pa.Table:
    """Reduce the rows of a shard to the columns of ``ROWS_SCHEMA``."""
    x, y, width, height, frame_width, frame_height = (rows[name].to_numpy() for name in _BOX)
    unit = rows["unit_index"].to_numpy()
    columns = {
        **{name: pc.dictionary_encode(rows[name].combine_chunks()) for name in _STRINGS},
        **{name: rows[name] for name in ("camera", "depth", "members")},
        "width": rows["roi_width"],
        "height": rows["roi_height"],
        "bytes": rows["jpg_size"],
        "begins_unit": np.concatenate([np.ones(min(1, len(unit)), bool), unit[1:] != unit[:-1]]),
        "clamped": (x < 0) | (y < 0) | (x + width > frame_width) | (y + height > frame_height),
    }
    return pa.table([columns[name] for name in ROWS_SCHEMA.names], schema=ROWS_SCHEMA)
