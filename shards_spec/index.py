"""The index of a cell, ``index.parquet``: a row for each sample and a row group for each shard, in shard order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from shards_spec.sidecar import Sidecar
from shards_spec.storage import FileWriter

INDEX_FILE = "index.parquet"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a sample's two files lie in its shard: offset, size in bytes and CRC-32 of each file's data."""

    jpg_offset: int
    jpg_size: int
    jpg_crc32: int
    json_offset: int
    json_size: int
    json_crc32: int


def index_schema(protocols: Sequence[str]) -> pa.Schema:
    """Return the columns of an index for these protocols ("p1", ...). None of them is nullable."""
    columns: list[tuple[str, Any]] = [
        ("key", pa.string()),
        ("shard", pa.int32()),  # the number in the shard's file name
        ("unit_index", pa.int32()),  # the number of the unit in its shard
        ("spec", pa.string()),
        ("frame", pa.string()),
        ("group_id", pa.string()),
        ("person_id", pa.int32()),
        ("identity", pa.string()),
        ("camera", pa.int32()),
        ("time", pa.string()),
        ("depth", pa.float64()),
        *((f"box_{name}", pa.float64()) for name in ("x", "y", "w", "h")),
        *((f"frame_{name}", pa.int32()) for name in ("width", "height")),
        *((f"crop_{name}", pa.int32()) for name in ("left", "top", "width", "height")),
        *((f"image_{name}", pa.int32()) for name in ("width", "height")),
        *((f"roi_{name}", pa.int32()) for name in ("left", "top", "width", "height")),
        ("encoding", pa.string()),
        ("members", pa.int32()),
        *((f"splits_{protocol}", pa.list_(pa.field("element", pa.string(), nullable=False))) for protocol in protocols),
        ("jpg_offset", pa.int64()),
        ("jpg_size", pa.int32()),
        ("jpg_crc32", pa.uint32()),
        ("json_offset", pa.int64()),
        ("json_size", pa.int32()),
        ("json_crc32", pa.uint32()),
    ]
    return pa.schema([pa.field(name, type_, nullable=False) for name, type_ in columns])


class IndexBuilder:
    """Collects the rows of a shard."""

    def __init__(self, protocols: Sequence[str]) -> None:
        self._schema = index_schema(protocols)
        self._rows: list[tuple[Any, ...]] = []

    def add(self, key: str, shard: int, unit_index: int, sidecar: Sidecar, placement: Placement) -> None:
        """Append the row of a sample."""
        s, p = sidecar, placement
        self._rows.append(
            (
                *(key, shard, unit_index, s.spec, s.frame, s.group_id, s.person_id, s.identity, s.camera, s.time),
                *(s.depth, *s.box, *s.frame_size, *s.crop, *s.image_size, *s.roi, s.encoding, s.members),
                *s.splits.values(),
                *(p.jpg_offset, p.jpg_size, p.jpg_crc32, p.json_offset, p.json_size, p.json_crc32),
            )
        )

    def table(self) -> pa.Table:
        """Return the rows so far."""
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self._schema)


def write_index(file: FileWriter, protocols: Sequence[str], shards: Iterable[pa.Table]) -> None:
    """Write a cell's index with a row group for each table, in order; only one table is in memory at a time."""
    with pq.ParquetWriter(file, index_schema(protocols), compression="zstd", write_page_index=True) as writer:
        for table in shards:
            writer.write_table(table, row_group_size=max(1, table.num_rows))


def read_index(file: BinaryIO) -> Iterator[pa.Table]:
    """Yield the row groups of an index, one after the other."""
    parquet = pq.ParquetFile(file)
    for group in range(parquet.num_row_groups):
        yield parquet.read_row_group(group)
