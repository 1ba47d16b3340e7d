"""Checks a cell's index as a whole, and gathers from all indexes what must hold across the set."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shards_spec.errors import SpecError
from shards_spec.index import index_schema
from shards_spec.index_read import IndexReader
from shards_spec.manifest import Cell
from shards_spec.storage import Store, file_sha256, open_buffered
from shards_spec.variants import Variant
from shards_spec.verify.names import Names


class SetRows:
    """What the rows of all indexes say taken together.

    Args:
        store: The store that holds the set.
        variant: The variant of the set.
        files: What the variant knows of the set's own files; see ``Variant.read_set_files``.
    """

    def __init__(self, store: Store, variant: Variant, files: Any = None) -> None:
        self._store = store
        self._files = files
        self._cells: list[Cell] = []  # those whose rows were all added
        self.variant = variant
        self.clamped = 0
        """Number of samples whose box lies partly outside the frame."""
        self.keys = Names(lambda: self._read_again("key", ""))
        self.units: dict[str, Names] = {}
        """The names of the units of each shard, by cell, or all under an empty name if a unit stands in one cell."""

    def add(self, rows: pa.Table, cell: Cell) -> None:
        """Add the rows of a shard of a cell; raise ``SpecError`` if the variant finds a fault in them."""
        self.variant.check_rows(rows, self._files)
        self.keys.add(_names(rows["key"]))
        field = self.variant.unit_field
        if field is not None:
            scope = self._unit_scope(cell)
            if scope not in self.units:
                self.units[scope] = Names(lambda: self._read_again(field, scope))
            self.units[scope].add(_names_of_units(rows[field]))
        if {"box_x", "frame_width"} <= set(rows.column_names):
            self.clamped += _count_clamped(rows)

    def end_cell(self, cell: Cell) -> None:
        """Note that all rows of a cell were added, so that they can be read again."""
        self._cells.append(cell)

    def present_units(self, names: set[str]) -> set[str]:
        """Return which of ``names`` are units with samples."""
        return {name for units in self.units.values() for name in units.present(names)}

    def _unit_scope(self, cell: Cell) -> str:
        return cell.index.file.rpartition("/")[0] if self.variant.units_are_per_cell else ""

    def _read_again(self, column: str, scope: str) -> Iterator[pa.Array]:
        """Yield a column of each shard that was read before; cells that could not be read are left out."""
        take = _names if column == "key" else _names_of_units
        for cell in self._cells:
            if scope and self._unit_scope(cell) != scope:
                continue
            with open_buffered(self._store, cell.index.file) as file, IndexReader(file, len(cell.shards)) as index:
                for group, shard in enumerate(cell.shards):
                    yield take(index.read(group, shard, [column])[column])


def _names(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays([pa.array([], pa.string()), *column.chunks])


def _names_of_units(column: pa.ChunkedArray) -> pa.Array:
    """Return the names of the units of a shard, each once."""
    return pc.unique(column).drop_null()


def gather_index(store: Store, cell: Cell, protocols: list[str], sizes: Mapping[str, int], rows: SetRows) -> bool:
    """Check a cell's index as a whole and add its rows to ``rows``.

    Args:
        store: The store that holds the set.
        cell: The cell that the index belongs to.
        protocols: The sorted protocols of the set.
        sizes: Of the files that are there.
        rows: The rows of the set, to which this adds.

    Returns:
        Whether rows were added. They are not if shards are missing or truncated, because nothing limits the number of
        rows then; that fault is reported for the shards.

    Raises:
        SpecError: The index is missing, or is not what the manifest and the format say.
    """
    try:
        digest = file_sha256(store, cell.index.file)
        if digest != cell.index.sha256:
            raise SpecError(f"its SHA-256 is {digest}, but the manifest says {cell.index.sha256}")
        with open_buffered(store, cell.index.file) as file, IndexReader(file, len(cell.shards)) as index:
            if not index.schema.equals(index_schema(rows.variant, protocols)):
                raise SpecError(f"its columns are not the spec's: {', '.join(index.schema.names)}")
            if any(sizes.get(shard.file, 0) < shard.bytes for shard in cell.shards):
                return False
            for group, shard in enumerate(cell.shards):
                of_shard = index.read(group, shard)
                _check_statistics(index.metadata.row_group(group), of_shard)
                rows.add(of_shard, cell)
            rows.end_cell(cell)
    except FileNotFoundError as error:
        raise SpecError("is missing") from error
    except OSError as error:
        raise SpecError(f"cannot be read: {error}") from error
    return True


def _count_clamped(rows: pa.Table) -> int:
    """Count the rows for which ``geometry.is_clamped`` holds."""
    x, y, width, height = (rows[f"box_{name}"] for name in ("x", "y", "w", "h"))
    sides = (
        pc.less(x, 0.0),
        pc.less(y, 0.0),
        pc.greater(pc.add(x, width), rows["frame_width"].cast(pa.float64())),
        pc.greater(pc.add(y, height), rows["frame_height"].cast(pa.float64())),
    )
    is_clamped = sides[0]
    for side in sides[1:]:
        is_clamped = pc.or_(is_clamped, side)
    return int(pc.sum(is_clamped).as_py() or 0)


def _check_statistics(group: Any, rows: pa.Table) -> None:
    """Check the statistics of a row group's columns, because readers skip rows by them.

    Args:
        group: The metadata of the row group.
        rows: The rows of the row group.

    Raises:
        SpecError: A value lies outside the range that the statistics give, or the statistics count other nulls.
    """
    for number in range(group.num_columns):
        column = group.column(number)
        statistics = column.statistics
        if statistics is None:
            continue
        name = column.path_in_schema.partition(".")[0]
        values = rows[name].combine_chunks()
        is_right = True
        if pa.types.is_list(values.type):
            values = values.flatten()  # an empty list counts as a null in statistics
        else:
            is_right = statistics.null_count == values.null_count
        bounds = pc.min_max(values).as_py()
        if statistics.has_min_max and bounds["min"] is not None:
            is_right = is_right and statistics.min <= bounds["min"] and statistics.max >= bounds["max"]
        if not is_right:
            raise SpecError(f"its statistics of {name} are not those of its rows")
