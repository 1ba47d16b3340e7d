"""The further columns of tables: what a table says beside the columns that mean something here."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.tables.rows.columns import EXACT
from shards_spec.variants.tables.extra import MOST_COLUMNS, ExtraType, rename_columns

_TYPES: Mapping[pa.DataType, ExtraType] = {
    pa.bool_(): "bool",
    pa.int64(): "int64",
    pa.float64(): "float64",
    pa.large_string(): "string",
}


def join_further(batches: Sequence[tuple[int, Mapping[str, Any]]], *, are_texts: bool) -> pa.Table:
    """Return the further columns of one table.

    Args:
        batches: The number of rows of each batch, and its columns: bool, int64, double or large strings. A column may
            be missing in a batch, and have different types in different ones.
        are_texts: Whether all are strings whose types are to be told from their values, as in CSV.
    """
    names = list(dict.fromkeys(name for _, columns in batches for name in columns))
    joined = {}
    for name in names:
        type_ = _common_type([columns[name] for _, columns in batches if name in columns])
        chunks = [
            _cast(columns[name], type_) if name in columns else pa.nulls(rows, type_) for rows, columns in batches
        ]
        column = pa.chunked_array(chunks, type_)
        joined[name] = _inferred(column) if are_texts else column
    if not names:
        return pa.table({"": pa.nulls(sum(rows for rows, _ in batches))}).select([])
    return pa.table(joined)


def stack_further(tables: Sequence[pa.Table], rows: Sequence[int]) -> tuple[pa.Table, dict[str, ExtraType], list[str]]:
    """Return the further columns of several tables, one below the other, under the names that samples have them by.

    Args:
        tables: The further columns of each table.
        rows: The number of rows of each.

    Returns:
        The columns; their types; and the names of the columns that were left out, because there are too many of them.
    """
    names = list(dict.fromkeys(name for table in tables for name in table.column_names))
    batches = [
        (count, {name: table[name].combine_chunks() for name in table.column_names})
        for count, table in zip(rows, tables, strict=True)
    ]
    stacked = join_further(batches, are_texts=False)
    kept = names[:MOST_COLUMNS]
    renamed = rename_columns(kept)
    result = stacked.select(kept).rename_columns([renamed[name] for name in kept])
    types = {field.name: _TYPES[field.type] for field in result.schema}
    taken = set(kept)
    return result.combine_chunks(), types, [name for name in names if name not in taken]


def _common_type(columns: Sequence[Any]) -> pa.DataType:
    """Return the type that all values have or can be given; batches without a value do not count."""
    some = [column for column in columns if column.null_count < len(column)] or columns
    distinct = {column.type for column in some}
    if len(distinct) == 1:
        return some[0].type
    if distinct <= {pa.int64(), pa.float64()} and all(map(_is_exact, some)):
        return pa.float64()
    return pa.large_string()


def _is_exact(column: Any) -> bool:
    """Return whether all numbers of a column can be doubles as they are."""
    if pa.types.is_floating(column.type):
        return True
    limits = pc.min_max(column)
    return bool(limits["min"].as_py() >= -EXACT and limits["max"].as_py() <= EXACT)


def _cast(values: Any, type_: pa.DataType) -> Any:
    return values if values.type == type_ else values.cast(type_)


def _inferred(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return strings as numbers or truth values, if all of them are spelled like such."""
    distinct = column.unique().drop_null()
    if not len(distinct) or pc.any(pc.match_substring_regex(distinct, r"^[+-]?0[0-9]|^\s|\s$")).as_py():
        return column  # 007 is no number, but a name
    for type_ in (pa.int64(), pa.float64()):
        try:
            distinct.cast(type_)
        except pa.ArrowInvalid:
            continue
        return column.cast(type_)
    lowered = pc.utf8_lower(distinct)
    if pc.all(pc.is_in(lowered, pa.array(["true", "false"], lowered.type))).as_py():
        return pc.equal(pc.utf8_lower(column), "true")
    return column
