"""The index of a cell, ``index.parquet``: a row for each sample and a row group for each shard, in shard order.

Its columns follow from the variant's struct. A number of at most 32 bits is an int32, any other an int64. A field
that is annotated with ``Columns`` is spread over these, a list is a list column, a list of structs has a list column
for each of their fields, ``splits`` has a column for each protocol, and ``extra`` a nullable one for each further
column of the set. Any other column is nullable exactly where its field is.
"""

import functools
import itertools
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, BinaryIO, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Meta

from shards_spec.storage import FileWriter
from shards_spec.variants import Variant
from shards_spec.variants.base import MORE_FILES, SIDECAR
from shards_spec.variants.fields import Columns

INDEX_FILE = "index.parquet"

_EXAMINED_ROWS = 1 << 13
"""Rows that tell which columns repeat their values."""

_MAX_INT32 = 2**31 - 1
_EXTRA_TYPES = {"bool": pa.bool_(), "int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}


def index_schema(variant: Variant, protocols: Sequence[str]) -> pa.Schema:
    """Return the columns of an index.

    Args:
        variant: The variant of the set.
        protocols: The sorted protocols of the set ("p1", ...).

    Raises:
        TypeError: The variant's struct has a field of a type that has no column.
    """
    columns = [
        _column("key", pa.string()),
        _column("shard", pa.int32()),  # the number in the shard's file name
        _column("unit_index", pa.int32()),  # the number of the unit in its shard
    ]
    columns += _sidecar_columns(variant.sidecar, tuple(protocols), variant.extra)
    for extension in variant.files:
        columns += _file_columns(extension)
    if variant.has_more_files:
        lists = [_column(f"{MORE_FILES}_extension", pa.string()), *_file_columns(MORE_FILES)]
        columns += [_column(column.name, _list(column.type)) for column in lists]
    return pa.schema([*columns, *_file_columns(SIDECAR)])


@functools.lru_cache(maxsize=64)
def _sidecar_columns(
    sidecar: type[msgspec.Struct], protocols: tuple[str, ...], extra: tuple[tuple[str, str], ...]
) -> list[pa.Field]:
    """Return the columns of a sidecar's fields. They are derived once, because a shard of a few samples asks twice."""
    return [
        column for name, hint in field_hints(sidecar).items() for column in _field_columns(name, hint, protocols, extra)
    ]


@functools.lru_cache(maxsize=64)
def field_hints(sidecar: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the annotated type of each field of a struct, in their order."""
    hints = typing.get_type_hints(sidecar, include_extras=True)
    return {name: hints[name] for name in sidecar.__struct_fields__}


def _column(name: str, type_: pa.DataType, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, type_, nullable=nullable)


def _list(type_: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", type_, nullable=False))


def _file_columns(name: str) -> list[pa.Field]:
    types_ = {"offset": pa.int64(), "size": pa.int32(), "crc32": pa.uint32()}
    return [_column(f"{name}_{what}", type_) for what, type_ in types_.items()]


class _Hint(NamedTuple):
    """A field's type, taken apart."""

    type: Any
    """The type without what is said about it: ``int``, or ``tuple[float, float]``."""
    columns: Columns | None
    most: float
    """The upper bound of a number."""
    nullable: bool


def take_apart(hint: Any) -> _Hint:
    """Take the annotated type of a field apart."""
    columns, most, nullable = None, float("inf"), False
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            hint, *said = get_args(hint)
            for one in said:
                if isinstance(one, Columns):
                    columns = one
                elif isinstance(one, Meta) and one.le is not None:
                    most = one.le
        elif origin in {Union, types.UnionType}:
            inner = [one for one in get_args(hint) if one is not type(None)]
            if len(inner) != 1:
                raise TypeError(f"{hint}: a field has one type, or one type and None")
            hint, nullable = inner[0], True
        else:
            return _Hint(hint, columns, most, nullable)


def _scalar_type(hint: Any) -> pa.DataType:
    found = take_apart(hint)
    if found.type is int:
        return pa.int32() if found.most <= _MAX_INT32 else pa.int64()
    if found.type is str or get_origin(found.type) is Literal:
        return pa.string()
    if found.type is float:
        return pa.float64()
    if found.type is bool:
        return pa.bool_()
    raise TypeError(f"{hint}: no column can hold it")


def _field_columns(name: str, hint: Any, protocols: Sequence[str], extra: Sequence[tuple[str, str]]) -> list[pa.Field]:
    if name == "splits":
        return [_column(f"splits_{protocol}", _list(pa.string())) for protocol in protocols]
    if name == "extra":
        return [_column(f"extra_{column}", _EXTRA_TYPES[type_], nullable=True) for column, type_ in extra]
    found = take_apart(hint)
    if found.columns is not None:
        inner = map(_scalar_type, get_args(found.type))
        return [
            _column(column, type_, nullable=found.nullable)
            for column, type_ in zip(found.columns.names, inner, strict=True)
        ]
    if get_origin(found.type) is list:
        (element,) = get_args(found.type)
        if _is_struct(element):
            return [
                _column(f"{name}_{inner}", _list(_scalar_type(hint)), nullable=found.nullable)
                for inner, hint in field_hints(element).items()
            ]
        return [_column(name, _list(_scalar_type(element)), nullable=found.nullable)]
    return [_column(name, _scalar_type(hint), nullable=found.nullable)]


def _is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def struct_in_list(hint: Any) -> type[msgspec.Struct] | None:
    """Return the type of the structs that a field has a list of."""
    found = take_apart(hint).type
    element = get_args(found)[0] if get_origin(found) is list else None
    return element if _is_struct(element) else None


def write_index(file: FileWriter, schema: pa.Schema, shards: Iterable[pa.Table]) -> None:
    """Write a cell's index with a row group for each table, in order; only one table is in memory at a time.

    Further columns of a set that are strings have no statistics: with long ones, these would make most of the file's
    metadata, whose size readers limit.
    """
    described = [column for column in schema if not (column.name.startswith("extra_") and column.type == pa.string())]
    statistics: bool | list[str] = len(described) == len(schema) or [_path(column) for column in described]
    tables = iter(shards)
    first = list(itertools.islice(tables, 1))
    with pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=_repeating_columns(first[0]) if first else False,
        write_page_index=True,
        write_statistics=statistics,
    ) as writer:
        for table in itertools.chain(first, tables):
            writer.write_table(table, row_group_size=max(1, table.num_rows))


def _repeating_columns(table: pa.Table) -> list[str]:
    """Return the columns in which each value stands twice or more on average, by the first rows of a table.

    Only these have dictionaries. With dictionaries of keys and offsets, an index of small images would be half as large
    again, and writing it would take 1.4 times as long.
    """
    repeating = []
    for field, column in zip(table.schema, table.slice(0, _EXAMINED_ROWS).columns, strict=True):
        values = pc.list_flatten(column) if pa.types.is_list(field.type) else column
        if 2 * pc.count_distinct(values).as_py() <= len(values):
            repeating.append(_path(field))
    return repeating


def _path(column: pa.Field) -> str:
    """Return the path of a column in a Parquet file."""
    return f"{column.name}.list.element" if pa.types.is_list(column.type) else str(column.name)


def read_index(file: BinaryIO) -> Iterator[pa.Table]:
    """Yield the row groups of an index, one after the other."""
    parquet = pq.ParquetFile(file)
    for group in range(parquet.num_row_groups):
        yield parquet.read_row_group(group)
