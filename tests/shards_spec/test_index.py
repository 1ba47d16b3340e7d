"""The columns of an index follow from the variant's struct."""

import io
from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec import Meta

from shards_spec.index import index_schema, read_index, write_index
from shards_spec.index_rows import FileSpan, IndexBuilder, move_rows
from shards_spec.jsons import Count, Ordinal
from shards_spec.variants import Variant
from shards_spec.variants.city1m import CITY1M
from shards_spec.variants.fields import Box, Columns
from tests.support.variant_sets import PARTED, SCANS, column, scan, scan_keys


class Part(msgspec.Struct, frozen=True):
    """One of a list of structs."""

    name: str
    bytes: Count


class Everything(msgspec.Struct, frozen=True, kw_only=True):
    """A field of each type that has a column."""

    spec: str
    small: Ordinal
    large: Count
    none: Annotated[int, Meta(ge=0, le=9)] | None
    flag: bool
    box: Box | None
    pair: Annotated[tuple[Ordinal, float], Columns(("left", "right"))]
    names: list[str]
    parts: list[Part]
    numbers: list[Ordinal] | None
    splits: dict[str, list[str]]


def variant_of(struct: type[msgspec.Struct]) -> Variant:
    return Variant(name="x", sidecar=struct, keys=scan_keys, files=("a",), accounts=("x",), samples_account="x")


def test_columns_have_the_types_of_fields_and_are_nullable_where_these_are() -> None:
    schema = index_schema(variant_of(Everything), ["p1", "p2"])
    assert {field.name: (str(field.type), field.nullable) for field in schema} == {
        "key": ("string", False),
        "shard": ("int32", False),
        "unit_index": ("int32", False),
        "spec": ("string", False),
        "small": ("int32", False),
        "large": ("int64", False),
        "none": ("int32", True),
        "flag": ("bool", False),
        **{f"box_{name}": ("double", True) for name in "xywh"},
        "left": ("int32", False),
        "right": ("double", False),
        "names": ("list<element: string not null>", False),
        "parts_name": ("list<element: string not null>", False),
        "parts_bytes": ("list<element: int64 not null>", False),
        "numbers": ("list<element: int32 not null>", True),
        "splits_p1": ("list<element: string not null>", False),
        "splits_p2": ("list<element: string not null>", False),
        **{f"{name}_{what}": (type_, False) for name in ("a", "json") for what, type_ in FILE_TYPES.items()},
    }


FILE_TYPES = {"offset": "int64", "size": "int32", "crc32": "uint32"}


def test_rows_are_read_as_they_were_added_in_whatever_number() -> None:
    variant = variant_of(Everything)
    builder = IndexBuilder(variant, ["p1"])
    for number in range(2500):  # more than are turned into columns together
        is_null = number % 3 == 0
        builder.add(
            f"key{number}",
            7,
            number // 2,
            Everything(
                spec="1.0",
                small=number,
                large=2**40 + number,
                none=None if is_null else number % 9,
                flag=number % 2 == 0,
                box=None if is_null else (number + 0.5, 1, 2, 3),
                pair=(number, -1.5),
                names=["n"] * (number % 4),
                parts=[Part(f"part{part}", part) for part in range(number % 3)],
                numbers=None if is_null else [number],
                splits={"p1": ["train"]},
            ),
            {"a": FileSpan(number * 1024, 3, 2**32 - 1), "json": FileSpan(number * 1024 + 512, 4, 5)},
        )
    file = io.BytesIO()
    write_index(file, builder.schema, [builder.table()])
    (table,) = read_index(pa.BufferReader(file.getvalue()))
    assert table.schema.equals(builder.schema)
    assert column(table, "key") == [f"key{number}" for number in range(2500)]
    assert column(table, "none") == [None if number % 3 == 0 else number % 9 for number in range(2500)]
    assert column(table, "box_x") == [None if number % 3 == 0 else number + 0.5 for number in range(2500)]
    assert column(table, "numbers") == [None if number % 3 == 0 else [number] for number in range(2500)]
    assert column(table, "parts_name")[:5] == [[], ["part0"], ["part0", "part1"], [], ["part0"]]
    assert column(table, "parts_bytes")[2] == [0, 1]
    assert column(table, "left") == list(range(2500))
    assert (
        table.slice(2499, 1).to_pylist()[0] | {"a_offset": 2499 * 1024, "a_crc32": 2**32 - 1, "json_size": 4}
        == (table.slice(2499, 1).to_pylist()[0])
    )


def test_only_columns_that_repeat_their_values_have_dictionaries() -> None:
    builder = IndexBuilder(PARTED, ["p1"])
    for number in range(100):
        spans = {name: FileSpan(1024 * number, number // 2, 7) for name in ("txt", "0.png", "json")}
        builder.add(f"scan{number}", 0, number, scan(number, parts=["0.png"]), spans)
    file = io.BytesIO()
    table = builder.table()
    write_index(file, builder.schema, [table, table])
    metadata = pq.ParquetFile(pa.BufferReader(file.getvalue())).metadata
    for group in (metadata.row_group(0), metadata.row_group(1)):
        columns = [group.column(number) for number in range(metadata.num_columns)]
        plain = {one.path_in_schema for one in columns if not one.has_dictionary_page}
        offsets = {"txt_offset", "json_offset", "more_files_offset.list.element"}
        assert plain == {"key", "unit_index", "name", *offsets}


def test_an_index_without_rows_has_its_columns() -> None:
    table = IndexBuilder(CITY1M, ["p1"]).table()
    assert (table.num_rows, table.schema) == (0, index_schema(CITY1M, ["p1"]))
    assert not any(field.nullable for field in table.schema)


def test_files_whose_number_varies_have_list_columns() -> None:
    builder = IndexBuilder(PARTED, ["p1"])
    for number, parts in enumerate(([], ["0.png", "1.png"])):
        spans = {name: FileSpan(place, place + 1, place + 2) for place, name in enumerate(["txt", *parts, "json"])}
        builder.add(f"scan{number}", 0, number, scan(number, parts=parts), spans)
    table = builder.table()
    assert column(table, "more_files_extension") == [[], ["0.png", "1.png"]]
    assert column(table, "more_files_offset") == [[], [1, 2]]
    assert column(table, "more_files_size") == [[], [2, 3]]
    assert column(table, "more_files_crc32") == [[], [3, 4]]
    assert column(table, "txt_size") == [1, 1]
    assert column(table, "json_offset") == [1, 3]
    assert "more_files_extension" not in index_schema(SCANS, ["p1"]).names


def test_rows_of_samples_that_stand_elsewhere_are_those_that_would_have_been_added_there() -> None:
    starts, sizes = [0, 2048, 7168], [2048, 5120, 3072]
    order = [2, 0, 1]

    def rows(samples: list[int], begins: list[int], units: list[int]) -> pa.Table:
        builder = IndexBuilder(PARTED, ["p1"])
        for number, begin, unit in zip(samples, begins, units, strict=True):
            parts = [f"{part}.png" for part in range(number)]
            spans = {name: FileSpan(begin + 512 * n, n, n + 7) for n, name in enumerate(["txt", *parts, "json"])}
            builder.add(f"scan{number}", 4, unit, scan(number, parts=parts), spans)
        return builder.table()

    begins = [sum(sizes[sample] for sample in order[:place]) for place in range(3)]
    moved = np.array([begin - starts[sample] for begin, sample in zip(begins, order, strict=True)])
    found = move_rows(rows([0, 1, 2], starts, [0, 0, 0]), PARTED, np.array(order), np.array([0, 1, 1]), moved)
    assert found.equals(rows(order, begins, [0, 1, 1]))
    assert found["more_files_offset"].num_chunks == 1


def test_a_field_that_no_column_can_hold_is_an_error_of_the_variant() -> None:
    class Deep(msgspec.Struct):
        spec: str
        deep: dict[str, int]

    with pytest.raises(TypeError, match="no column can hold it"):
        index_schema(variant_of(Deep), ["p1"])
