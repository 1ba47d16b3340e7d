"""An index of some kilobytes can unfold to any size: it is refused before it does."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards_spec.errors import SpecError
from shards_spec.index import index_schema, write_index
from shards_spec.index_read import LONGEST_STRING, SAMPLE_BYTES, IndexReader, check_capacity
from shards_spec.manifest import ShardFile
from shards_spec.manifest_read import decode_manifest
from shards_spec.storage import LocalStore
from shards_spec.variants.city1m import CITY1M

ROOM = 60 * 2**20
"""Bytes of memory that refusing a bomb may take: a third of what the smallest of them unfolds to."""

Bomb = Callable[[], tuple[pa.Table, dict[str, object]]]


def shard(samples: int, size: int | None = None) -> ShardFile:
    return ShardFile(
        "cell/cell-000000.tar", samples, samples, samples * SAMPLE_BYTES if size is None else size, "0" * 64
    )


def long_string() -> tuple[pa.Table, dict[str, object]]:
    return pa.table({"key": ["a" * (64 * 2**20)]}), {}


def long_string_without_dictionary() -> tuple[pa.Table, dict[str, object]]:
    return pa.table({"key": ["a" * (64 * 2**20)]}), {"use_dictionary": False}


def one_string_in_every_row() -> tuple[pa.Table, dict[str, object]]:
    """Its pages are small: 9 MB of strings only where every row has a copy."""
    return pa.table({"key": ["a" * 20_000] * 10_000}), {}


def strings_that_repeat_each_other() -> tuple[pa.Table, dict[str, object]]:
    """Under this encoding a row costs a byte."""
    encoded = {"use_dictionary": False, "column_encoding": {"key": "DELTA_BYTE_ARRAY"}, "data_page_size": 2**30}
    return pa.table({"key": ["a" * 20_000] * 10_000}), encoded


def long_list() -> tuple[pa.Table, dict[str, object]]:
    values = pa.DictionaryArray.from_arrays(pa.nulls(20_000_000, pa.int8()).fill_null(0), pa.array(["a"]))
    return pa.table({"key": pa.ListArray.from_arrays(pa.array([0, 20_000_000], pa.int32()), values)}), {}


BOMBS = [
    long_string,
    long_string_without_dictionary,
    one_string_in_every_row,
    strings_that_repeat_each_other,
    long_list,
]

READ = """
import resource, sys
from shards_spec.errors import SpecError
from shards_spec.variants.city1m import CITY1M
from shards_spec.index_read import IndexReader
from shards_spec.manifest import ShardFile
import pyarrow, pyarrow.parquet
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
rows = int(sys.argv[2])
before = peak()
try:
    with open(sys.argv[1], "rb") as file, IndexReader(file, 1) as index:
        index.read(0, ShardFile("a", rows, rows, rows * 2048, "0" * 64))
except SpecError as error:
    print(peak() - before, error)
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_unfolds_beyond_its_shard_is_refused_in_little_memory(bomb: Bomb, tmp_path: Path) -> None:
    table, options = bomb()
    pq.write_table(table, tmp_path / "bomb", compression="zstd", row_group_size=table.num_rows, **options)
    assert (tmp_path / "bomb").stat().st_size < 200_000
    command = [sys.executable, "-c", READ, str(tmp_path / "bomb"), str(table.num_rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    taken, _, message = done.stdout.partition(" ")
    assert message.startswith("row group 0 cannot be read: "), done
    assert int(taken) < ROOM, done.stdout


@pytest.mark.parametrize("has_dictionaries", [False, True])
@pytest.mark.parametrize("is_list", [False, True])
def test_a_string_that_is_no_text_is_refused(has_dictionaries: bool, is_list: bool) -> None:
    raw = pa.array([b"text", b"no \xd2 text"], pa.binary())
    column = pa.StringArray.from_buffers(2, *raw.buffers()[1:])
    if is_list:
        column = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), column)
    file = io.BytesIO()
    pq.write_table(pa.table({"key": column}), file, use_dictionary=has_dictionaries)
    with pytest.raises(SpecError, match=r"row group 0 cannot be read: .*UTF8"):
        IndexReader(file, 1).read(0, shard(2))


def test_rows_that_the_shards_have_no_room_for_are_refused() -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"key": ["a"] * 100}), file)
    with pytest.raises(SpecError, match="cannot hold as many samples"):
        IndexReader(file, 1).read(0, shard(100, 100 * SAMPLE_BYTES - 1))


def test_the_files_themselves_say_how_large_they_are(set_folder: Path, tmp_path: Path) -> None:
    manifest = decode_manifest((set_folder / "dataset.json").read_bytes())
    store = LocalStore(set_folder)
    for cell in manifest.cells.values():
        check_capacity(store, cell.shards)
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell/cell-000000.tar").write_bytes(bytes(10 * SAMPLE_BYTES))
    check_capacity(LocalStore(tmp_path), [shard(10)])
    for shards in ([shard(11)], [shard(10), ShardFile("cell/missing.tar", 1, 1, 10**9, "0" * 64)]):
        with pytest.raises(SpecError, match="cannot hold as many"):
            check_capacity(LocalStore(tmp_path), shards)


def test_metadata_that_are_too_long_are_not_unfolded() -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({f"column {number}": ["a"] for number in range(3000)}), file)
    with pytest.raises(SpecError, match=r"metadata of .* bytes are too long for 1 shards"):
        IndexReader(file, 1)


def test_more_columns_than_metadata_may_list_are_refused() -> None:
    file = io.BytesIO()
    pq.write_table(
        pa.table({f"{number}": pa.array([1], pa.int8()) for number in range(1200)}),
        file,
        write_statistics=False,
        store_schema=False,
    )
    assert file.tell() < 256 * 1024
    with pytest.raises(SpecError, match="cannot be read"):
        IndexReader(file, 1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dictionary": False},
        {"data_page_version": "2.0"},
        {"compression": "none"},
        {"data_page_size": 64, "write_batch_size": 16},
    ],
)
def test_what_is_read_is_what_was_written(options: dict[str, object]) -> None:
    schema = index_schema(CITY1M, ["p1", "p2"])

    def values(field: pa.Field, count: int) -> list[object]:
        if pa.types.is_string(field.type):
            return [
                f"{number:0{LONGEST_STRING}d}" if number == 3 else f"{field.name}{number % 7}"
                for number in range(count)
            ]
        if pa.types.is_list(field.type):
            return [["gallery", "query"][: (number + 1) % 3] for number in range(count)]
        return [number % 11 for number in range(count)]

    tables = [
        pa.Table.from_arrays([pa.array(values(field, count), field.type) for field in schema], schema=schema)
        for count in (1, 50, 1000)
    ]
    file = io.BytesIO()
    with pq.ParquetWriter(file, schema, **options) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=table.num_rows)
    with IndexReader(file, len(tables)) as index:
        assert index.schema.equals(schema)
        for group, table in enumerate(tables):
            found = index.read(group, shard(table.num_rows))
            assert found.equals(table)
            assert found.schema.equals(schema)
            assert index.read(group, shard(table.num_rows), ["camera", "key"]).equals(table.select(["camera", "key"]))


def test_a_cell_without_shards_has_an_index_without_rows() -> None:
    file = io.BytesIO()
    write_index(file, index_schema(CITY1M, ["p1"]), [])
    with IndexReader(file, 0) as index:
        assert index.schema.equals(index_schema(CITY1M, ["p1"]))
