"""What is mapped is trusted, so nothing gets there that points elsewhere: sets made by others may say anything."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards_spec.errors import SpecError
from shards_spec.storage import LocalStore
from shards_spec.stream import open_dataset
from shards_spec.stream.index_cache import prepare_index
from tests.support.sets import edit_manifest

Change = Callable[[pa.Table], pa.Table]


def replaced(name: str, value: Any, place: int = 3) -> Change:
    """One row's value is another."""

    def change(table: pa.Table) -> pa.Table:
        values = table[name].to_pylist()
        values[place] = value
        field = table.schema.field(name).with_nullable(value is None)
        return table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))

    return change


def retyped(name: str, kind: Any) -> Change:
    return lambda table: table.set_column(
        table.schema.get_field_index(name), pa.field(name, kind, nullable=False), table[name].cast(kind)
    )


def tamper(folder: Path, change: Change) -> None:
    """Change the first row group of an index, and let the manifest say its new digest."""
    index = next(iter(sorted(folder.glob("*train*/index.parquet"))))
    parquet = pq.ParquetFile(index)
    tables = [parquet.read_row_group(group) for group in range(parquet.num_row_groups)]
    tables[0] = change(tables[0])
    schema = tables[0].schema
    with pq.ParquetWriter(index, schema) as writer:
        for table in tables:
            if table.num_rows:
                names = table.schema.names
                columns = [table.column(names.index(field.name)).cast(field.type) for field in schema]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    rewrite(folder, index)


def rewrite(folder: Path, index: Path) -> None:
    digest = hashlib.sha256(index.read_bytes()).hexdigest()
    edit_manifest(folder, lambda manifest: manifest["cells"][index.parent.name]["index"].update(sha256=digest))


def overlapping(table: pa.Table) -> pa.Table:
    """Every image is the same 20 blocks of its shard."""
    for column, value in (("jpg_offset", 512), ("jpg_size", 20 * 512), ("json_offset", 22 * 512)):
        place = table.column_names.index(column)
        values = pa.array([value] * table.num_rows, table.schema.field(column).type)
        table = table.set_column(place, table.schema.field(column), values)
    return table


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (replaced("jpg_offset", -512), "a jpg file that does not lie in its"),
        (replaced("json_offset", 10**12), "a json file that does not lie in its"),
        (replaced("jpg_offset", 2**63 - 1), "a jpg file that does not lie in its"),
        (replaced("jpg_size", -1), "a jpg file that does not lie in its"),
        (replaced("json_size", 2**31 - 1), "a json file that does not lie in its"),
        (replaced("json_offset", 512), "whose json file does not follow the one before it"),
        (overlapping, "the index's files come to more than its"),
        (replaced("key", "../../home/user/.profile"), "a key does not match"),
        (replaced("key", ""), "a key does not match"),
        (replaced("key", "k" * 91), "a key does not match"),
        (replaced("key", None), "no column key of type string, without nulls"),
        (replaced("jpg_crc32", None), "no column jpg_crc32 of type uint32, without nulls"),
        (retyped("jpg_offset", pa.float64()), "no column jpg_offset of type int64"),
        (retyped("camera", pa.int64()), "no column camera of type int32"),
        (lambda table: table.drop_columns(["identity"]), "no column identity of type string"),
        (lambda table: table.append_column("key", table["key"]), "no column key of type string"),
        (lambda table: table.slice(1), "rows, but the manifest says"),
        (lambda table: table.slice(0, 0), "row groups for"),
    ],
)
def test_rows_that_are_not_the_sets_are_refused(copied: Path, tmp_path: Path, change: Change, told: str) -> None:
    tamper(copied, change)
    with pytest.raises(SpecError, match=told):
        prepare_index(LocalStore(copied), (copied / "dataset.json").read_bytes(), tmp_path / "index")
    assert [path.suffix for path in (tmp_path / "index").iterdir()] == [".lock"]


def test_rows_moved_from_shard_to_shard_are_noticed(copied: Path, tmp_path: Path) -> None:
    index = next(iter(sorted(copied.glob("*train*/index.parquet"))))
    table = pq.read_table(index)
    groups = pq.ParquetFile(index).num_row_groups
    with pq.ParquetWriter(index, table.schema) as writer:
        writer.write_table(table.slice(0, 1))
        for part in np.array_split(np.arange(1, table.num_rows), groups - 1):
            writer.write_table(table.take(part), row_group_size=len(part))
    rewrite(copied, index)
    with pytest.raises(SpecError, match=r"1 rows for \S+, but the manifest says"):
        prepare_index(LocalStore(copied), (copied / "dataset.json").read_bytes(), tmp_path / "index")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_parquet_is_refused(copied: Path, tmp_path: Path, data: bytes) -> None:
    index = next(iter(sorted(copied.glob("*train*/index.parquet"))))
    index.write_bytes(data)
    rewrite(copied, index)
    with pytest.raises(SpecError, match=r"index\.parquet: cannot be read"):
        prepare_index(LocalStore(copied), (copied / "dataset.json").read_bytes(), tmp_path / "index")


def test_damaged_pages_are_refused(copied: Path, tmp_path: Path) -> None:
    """Whatever byte is wrong: an error of this project, or rows that keep to their shards."""
    index = next(iter(sorted(copied.glob("*train*/index.parquet"))))
    whole = index.read_bytes()
    refused = 0
    for place in np.linspace(4, len(whole) - 9, 25).astype(int).tolist():
        index.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        rewrite(copied, index)
        try:
            prepare_index(LocalStore(copied), (copied / "dataset.json").read_bytes(), tmp_path / str(place))
        except SpecError:
            refused += 1
    assert refused


def test_a_cell_may_be_called_anything(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = sorted(sample["__key__"] for sample in open_dataset(copied).stream())

    def rename_cells(manifest: Any) -> None:
        names = {cell: f"../../{number}/x" for number, cell in enumerate(manifest["cells"])}
        manifest["cells"] = {names[cell]: entry for cell, entry in manifest["cells"].items()}
        for splits in manifest["protocols"].values():
            splits |= {split: [names[cell] for cell in cells] for split, cells in splits.items()}

    edit_manifest(copied, rename_cells)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a" / "b" / "c"))
    before = sorted(tmp_path.rglob("*"))
    assert sorted(sample["__key__"] for sample in open_dataset(copied).stream()) == expected
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before and "c" not in path.parts] == [
        tmp_path / "a",
        tmp_path / "a" / "b",
    ]


def test_a_split_of_cells_that_are_not_there_is_refused(copied: Path) -> None:
    edit_manifest(copied, lambda manifest: manifest["protocols"]["p1"]["train"].append("p1-train_p2-elsewhere"))
    with pytest.raises(SpecError, match="train of p1 has cell 'p1-train_p2-elsewhere', but there is none"):
        open_dataset(copied)


def test_more_rows_than_the_shards_hold_are_refused_whatever_the_manifest_says(copied: Path, tmp_path: Path) -> None:
    index = next(iter(sorted(copied.glob("*train*/index.parquet"))))
    table = pq.read_table(index)
    count = 1_000_000
    with pq.ParquetWriter(index, table.schema, compression="zstd") as writer:
        writer.write_table(table.take(pa.nulls(count, pa.int64()).fill_null(0)), row_group_size=count)
    rewrite(copied, index)

    def claim(manifest: Any) -> None:
        cell = manifest["cells"][index.parent.name]
        cell["shards"] = [cell["shards"][0] | {"samples": count, "bytes": 10**12}]
        cell["samples"] = count

    edit_manifest(copied, claim)
    with pytest.raises(
        SpecError, match=r"1,000,000 samples in 1 shards of [\d,]+ bytes in all, which cannot hold as many"
    ):
        prepare_index(LocalStore(copied), (copied / "dataset.json").read_bytes(), tmp_path / "index")
    assert [path.suffix for path in (tmp_path / "index").iterdir()] == [".lock"]
