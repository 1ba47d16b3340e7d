"""The rows of an index: from the samples of a shard to the columns that ``shards_spec.index`` derives."""

import functools
import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shards_spec.index import field_hints, index_schema, struct_in_list, take_apart
from shards_spec.variants import Variant
from shards_spec.variants.base import MORE_FILES, SIDECAR

_BATCH_ROWS = 2048
"""Rows that are turned into columns together, so that few objects wait at a time."""


class FileSpan(NamedTuple):
    """Where a file's data lies in its shard, and what it is."""

    offset: int
    """Offset of the data in bytes."""
    size: int
    """Size of the data in bytes."""
    crc32: int
    """CRC-32 of the data."""


class FileSpans(NamedTuple):
    """``FileSpan`` for the files of many samples, in the order in which they lie in the shard."""

    offsets: npt.ArrayLike
    """``[files]``."""
    sizes: npt.ArrayLike
    """``[files]``."""
    crc32s: npt.ArrayLike
    """``[files]``."""


@dataclass(slots=True)
class _Rows:
    """Rows that are not columns yet, as the arguments of ``IndexBuilder.extend``."""

    keys: list[str] = field(default_factory=list)
    shards: list[int] = field(default_factory=list)
    unit_indexes: list[int] = field(default_factory=list)
    sidecars: list[msgspec.Struct] = field(default_factory=list)
    extensions: list[Sequence[str]] = field(default_factory=list)
    spans: list[FileSpans] = field(default_factory=list)


class IndexBuilder:
    """Collects the rows of a shard.

    Args:
        variant: The variant of the set.
        protocols: The sorted protocols of the set.
    """

    def __init__(self, variant: Variant, protocols: Sequence[str]) -> None:
        self._variant = variant
        self._protocols = tuple(protocols)
        self.schema = index_schema(variant, protocols)
        """The columns."""
        self._waiting = _Rows()
        self._batches: list[pa.RecordBatch] = []

    def add(
        self, key: str, shard: int, unit_index: int, sidecar: msgspec.Struct, files: Mapping[str, FileSpan]
    ) -> None:
        """Append the row of a sample.

        Args:
            key: Key of the sample.
            shard: Number of the shard.
            unit_index: Number of the unit in the shard.
            sidecar: Sidecar of the sample.
            files: Where each of its files lies, by extension and in their order.
        """
        self.extend([key], shard, [unit_index], [sidecar], [tuple(files)], FileSpans(*_transposed(files.values())))

    def extend(
        self,
        keys: Sequence[str],
        shard: int,
        unit_indexes: Sequence[int],
        sidecars: Sequence[msgspec.Struct],
        extensions: Sequence[Sequence[str]],
        spans: FileSpans,
    ) -> None:
        """Append the rows of samples. Many together take a third of the time.

        Args:
            keys: Keys of the samples.
            shard: Number of the shard.
            unit_indexes: Number of each sample's unit in the shard.
            sidecars: Sidecars of the samples.
            extensions: Extensions of each sample's files, in their order.
            spans: Where the files of all these samples lie.
        """
        rows = self._waiting
        rows.keys += keys
        rows.shards += [shard] * len(keys)
        rows.unit_indexes += unit_indexes
        rows.sidecars += sidecars
        rows.extensions += extensions
        rows.spans.append(spans)
        if len(rows.keys) >= _BATCH_ROWS:
            self._pack()

    def table(self) -> pa.Table:
        """Return the rows so far."""
        self._pack()
        return pa.Table.from_batches(self._batches, self.schema).combine_chunks()

    def _pack(self) -> None:
        """Turn the rows that wait into columns."""
        rows, self._waiting = self._waiting, _Rows()
        if rows.keys:
            own = (*self._sidecar_columns(rows.sidecars), *self._file_columns(rows))
            columns: list[Sequence[Any]] = [rows.keys, rows.shards, rows.unit_indexes, *own]
            arrays = [_array(values, field.type) for values, field in zip(columns, self.schema, strict=True)]
            self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self.schema))

    def _sidecar_columns(self, sidecars: Sequence[msgspec.Struct]) -> Iterator[Sequence[Any]]:
        """Yield the values of each column that follows from the sidecars. They are taken a field at a time."""
        by_field = _transposed(map(msgspec.structs.astuple, sidecars))
        for (name, spread, inner), values in zip(_layout(self._variant.sidecar), by_field, strict=True):
            if name == "splits":
                for protocol in self._protocols:
                    yield [splits[protocol] for splits in values]
            elif name == "extra":
                for column, _ in self._variant.extra:
                    yield [extra[column] for extra in values]
            elif spread:
                nothing = (None,) * spread
                yield from _transposed([nothing if value is None else value for value in values])
            elif inner:
                for one_field in inner:
                    yield [value and [getattr(one, one_field) for one in value] for value in values]
            else:
                yield values

    def _file_columns(self, rows: _Rows) -> Iterator[Sequence[Any]]:
        """Yield the values of each column that says where a file lies."""
        counts = np.fromiter(map(len, rows.extensions), np.int64, len(rows.extensions))
        first = np.cumsum(counts) - counts  # the position of each sample's first file among all files
        spans = [np.concatenate([np.asarray(part, np.int64) for part in parts]) for parts in _transposed(rows.spans)]
        fixed = len(self._variant.files)
        for place in range(fixed):
            yield from (values[first + place] for values in spans)
        if self._variant.has_more_files:
            yield [extensions[fixed:-1] for extensions in rows.extensions]
            ranges = list(zip(first + fixed, first + counts - 1, strict=True))
            yield from ([values[start:stop] for start, stop in ranges] for values in spans)
        yield from (values[first + counts - 1] for values in spans)


class _Field(NamedTuple):
    """How a field of a sidecar becomes columns."""

    name: str
    spread: int
    """Number of columns that its value is spread over; 0 unless it is annotated with ``Columns``."""
    inner: tuple[str, ...]
    """Fields of the structs that it has a list of; empty if it has none."""


@functools.lru_cache(maxsize=64)
def _layout(sidecar: type[msgspec.Struct]) -> list[_Field]:
    """Return how the fields of a struct become columns. To derive it takes longer than to make columns of some rows."""
    fields = []
    for name, hint in field_hints(sidecar).items():
        columns, element = take_apart(hint).columns, struct_in_list(hint)
        inner = element.__struct_fields__ if element is not None else ()
        fields.append(_Field(name, len(columns.names) if columns is not None else 0, inner))
    return fields


def move_rows(table: pa.Table, variant: Variant, order: Any, unit_indexes: Any, moved: Any) -> pa.Table:
    """Return the rows of samples that stand elsewhere in a shard now.

    Args:
        table: The rows as ``IndexBuilder`` gave them.
        variant: The variant of the set.
        order: The row of each sample in its new place, ``[samples]``.
        unit_indexes: The number of each one's unit in the shard.
        moved: Bytes by which each one's files lie further behind than before.
    """
    table = table.take(pa.array(order))
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    columns["unit_index"] = pa.array(unit_indexes, pa.int32())
    for extension in (*variant.files, SIDECAR):
        name = f"{extension}_offset"
        columns[name] = pa.array(columns[name].to_numpy() + moved)
    if variant.has_more_files:
        name = f"{MORE_FILES}_offset"
        offsets = columns[name]
        values = offsets.flatten().to_numpy() + np.repeat(moved, np.diff(offsets.offsets.to_numpy()))
        columns[name] = pa.ListArray.from_arrays(offsets.offsets, pa.array(values), offsets.type)
    return pa.table(list(columns.values()), schema=table.schema)


def _array(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    """Return a column. One of the same value over and over, as constants and splits are, takes a third of the time."""
    if _are_same(values):
        if not pa.types.is_nested(type_):
            return pa.repeat(pa.scalar(values[0], type_), len(values))
        return pa.array(values[:1], type_).take(pa.array(np.zeros(len(values), np.int32)))
    return pa.array(values, type_)


def _are_same(values: Sequence[Any]) -> bool:
    """Return whether all values are the same. Equal numbers with a point may differ in their sign, and are not."""
    first = values[0]
    if values[-1] is not first:
        return False
    if isinstance(first, str | int | None):
        return values.count(first) == len(values)
    return all(map(operator.is_, values, itertools.repeat(first)))


def _transposed(rows: Iterable[Iterable[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))
