"""Further columns of tables: their names, their values, and the index that has them."""

import io
import math
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.errors import SpecError
from shards_spec.index import index_schema, write_index
from shards_spec.index_read import IndexReader
from shards_spec.index_rows import FileSpan, IndexBuilder
from shards_spec.manifest import GIVEN, Decision, ShardFile
from shards_spec.sidecar import decode_sidecar, encode_sidecar
from shards_spec.variants.tables import IMAGES, ImageSidecar
from shards_spec.variants.tables.extra import (
    LONGEST_TEXT,
    MOST_COLUMNS,
    ExtraType,
    check_extra,
    encode_extra,
    read_extra,
    rename_columns,
)

TYPES: dict[str, ExtraType] = {"age": "int64", "height": "float64", "is_seen": "bool", "colour": "string"}


def decided(columns: dict[str, Any]) -> dict[str, Decision]:
    return {"extra": Decision("columns" if columns else "none", {"columns": columns})}


@given(st.lists(st.text(max_size=90), unique=True, max_size=20))
def test_each_column_gets_a_name_of_its_own_that_a_set_may_have(names: list[str]) -> None:
    renamed = rename_columns(names)
    assert list(renamed) == names
    assert len(set(renamed.values())) == len(names)
    types = dict.fromkeys(renamed.values(), "bool")
    assert read_extra(decided(types)) == types


def test_names_change_only_where_they_must() -> None:
    assert rename_columns(["age", "年龄", "attributes.occluded", "attributes occluded", ""]) == {
        "age": "age",
        "年龄": "年龄",
        "attributes.occluded": "attributes_occluded",
        "attributes occluded": "attributes_occluded_2",
        "": "_",
    }


def test_values_are_complete_and_in_the_order_of_the_columns() -> None:
    text = encode_extra({"colour": "red", "height": 3.0, "other": 1}, TYPES)
    assert text == '{"age":null,"height":3.0,"is_seen":null,"colour":"red"}'
    assert encode_extra({"height": math.nan}, TYPES) == encode_extra({"height": math.inf}, TYPES)
    check_extra(msgspec.json.decode(text), TYPES)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"age": 1.0}, "age is 1.0, which is no int64"),
        ({"age": True}, "age is True, which is no int64"),
        ({"age": 2**63}, "age is 9223372036854775808, which is no int64"),
        ({"height": 1}, "height is 1, which is no float64"),
        ({"is_seen": 1}, "is_seen is 1, which is no bool"),
        ({"colour": ["red"]}, "which is no string"),
        ({"colour": "é" * (LONGEST_TEXT // 2 + 1)}, "colour has more than 1,024 bytes"),
    ],
)
def test_a_value_of_another_type_is_told(values: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        encode_extra(values, TYPES)


def test_columns_that_a_sidecar_lacks_or_has_beside_those_of_the_set_are_told() -> None:
    for values in ({}, {"age": 1}, dict.fromkeys([*TYPES, "more"]), dict.fromkeys(reversed(TYPES))):
        with pytest.raises(SpecError, match=r"extra has .*, but the set age, height, is_seen, colour"):
            check_extra(values, TYPES)


@pytest.mark.parametrize(
    "columns",
    [
        *({name: "bool"} for name in ("a b", "", "a.b", "x" * 65)),
        {"a": "int8"},
        {"a": 1},
        {f"c{number}": "bool" for number in range(MOST_COLUMNS + 1)},
    ],
)
def test_decisions_that_the_format_does_not_allow_are_refused(columns: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="decisions: extra"):
        IMAGES.of_set(decided(columns))


def test_a_set_without_further_columns_has_the_variant_itself() -> None:
    assert IMAGES.of_set({}) is IMAGES
    assert IMAGES.of_set(decided({})) is IMAGES
    assert IMAGES.of_set({"extra": Decision("none", dict(GIVEN))}) is IMAGES


def test_an_index_has_a_nullable_column_for_each_further_column() -> None:
    variant = IMAGES.of_set(decided(dict(TYPES)))
    schema = index_schema(variant, ["p1"])
    assert schema.names[schema.names.index("splits_p1") + 1 :][:4] == [f"extra_{name}" for name in TYPES]
    assert [schema.field(f"extra_{name}").type for name in TYPES] == [
        pa.int64(), pa.float64(), pa.bool_(), pa.string(),
    ]  # fmt: skip
    assert all(schema.field(f"extra_{name}").nullable for name in TYPES)
    builder = IndexBuilder(variant, ["p1"])
    for number, values in enumerate([{"age": 5, "height": 1.5, "is_seen": True, "colour": "red"}, {}]):
        one = decode_sidecar(encode_sidecar(sidecar(encode_extra(values, TYPES))), variant)
        builder.add(f"k{number}", 0, number, one, {"jpg": FileSpan(512, 1, 0), "json": FileSpan(1536, 1, 0)})
    rows = builder.table().select([f"extra_{name}" for name in TYPES]).to_pylist()
    assert [list(row.values()) for row in rows] == [[5, 1.5, True, "red"], [None] * 4]


def sidecar(extra: str) -> ImageSidecar:
    return ImageSidecar(
        spec="1.0", image="a.jpg", person_id=None, identity=None, id_kind="unlabelled", camera=None, group_id=None,
        image_size=(1, 1), roi=(0, 0, 1, 1), encoding="source", splits={"p1": ["all"]},
        extra=msgspec.json.decode(extra),
    )  # fmt: skip


def test_an_index_with_as_many_and_as_long_values_as_a_set_may_have_can_be_read() -> None:
    types: dict[str, ExtraType] = {f"column_{number:057d}": "string" for number in range(MOST_COLUMNS)}
    variant = IMAGES.of_set(decided(dict(types)))
    tables = []
    for shard in range(12):
        builder = IndexBuilder(variant, ["p1"])
        for number in range(3):
            long = {name: f"{shard}{number}{name}".ljust(LONGEST_TEXT, "x") for name in types}
            spans = {"jpg": FileSpan(512, 1, 0), "json": FileSpan(1536, 1, 0)}
            builder.add(f"k{shard}-{number}", shard, number, sidecar(encode_extra(long, types)), spans)
        tables.append(builder.table())
    file = io.BytesIO()
    write_index(file, index_schema(variant, ["p1"]), tables)
    with IndexReader(file, len(tables)) as index:
        for group, table in enumerate(tables):
            assert index.read(group, ShardFile("x.tar", 3, 3, 10**6, "0" * 64)).equals(table)
