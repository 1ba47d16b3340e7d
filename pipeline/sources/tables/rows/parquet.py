"""Parquet tables. Nothing is unpacked before its size is known."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.sources.tables.rows.columns import KNOWN, is_scalar, is_text, typed
from pipeline.sources.tables.rows.table_file import TableFile
from shards_spec.errors import SpecError
from shards_spec.manifest import SourceFile
from shards_spec.parquet_pages import measure_column
from shards_spec.storage import FileInfo, Store
from shards_spec.storage.ranges import RangeFile, file_sha256, open_buffered

LARGEST_COLUMN = 1 << 30
"""Most bytes that a column of a row group of a Parquet file may unpack to. Writers make row groups of about a million
rows or fewer, and a path takes some 60 bytes."""

MOST_ROWS = 100_000_000
"""Most rows of a Parquet file. Each takes some 400 bytes of memory, and may take none in the file."""

_BATCH_ROWS = 1 << 16
_FOOTER = {"thrift_string_size_limit": 64 << 20, "thrift_container_size_limit": 1 << 20}


def parquet_columns(store: Store, path: str) -> list[str]:
    """Return the names of a Parquet file's columns."""
    with open_buffered(store, path) as opened:
        return list(pq.ParquetFile(opened, **_FOOTER).schema_arrow.names)


def read_parquet(store: Store, file: FileInfo, found: TableFile) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield the columns of a Parquet file by name, and the numbers of their rows. See ``read_table``."""
    found.source = SourceFile(file.path, file.size, file_sha256(store, file.path))
    with open_buffered(store, file.path) as opened:
        schema = pq.ParquetFile(opened, **_FOOTER).schema_arrow
        # As codes, a string that a thousand rows have takes the memory of one: a file of 1 kB can repeat one of 1 MB.
        texts = [field_.name for field_ in schema if is_text(field_.type)]
        parquet = pq.ParquetFile(RangeFile(store, file.path), pre_buffer=False, read_dictionary=texts, **_FOOTER)
        found.columns = list(schema.names)
        taken = [field_.name for field_ in schema if is_scalar(field_.type)]
        found.ignored = [name for name in found.columns if name not in taken]
        for name in found.ignored:
            if name in KNOWN:
                raise SpecError(f"column {name} is of type {schema.field(name).type}: write it as strings or numbers")
        metadata = parquet.metadata
        if metadata.num_rows > MOST_ROWS:
            raise SpecError(
                f"it has {metadata.num_rows:,} rows, but at most {MOST_ROWS:,} are taken: part it by images"
            )
        positions = {metadata.schema.column(place).path: place for place in range(metadata.num_columns)}
        row = 1
        for group in range(metadata.num_row_groups):
            for name in taken:
                chunk = metadata.row_group(group).column(positions[name])
                size = max(measure_column(opened, chunk).bytes, chunk.total_uncompressed_size)
                if size > LARGEST_COLUMN:
                    raise SpecError(
                        f"column {name} of row group {group} unpacks to {size:,} bytes, but at most "
                        f"{LARGEST_COLUMN:,} are taken: write the table anew, with smaller row groups"
                    )
            for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=[group], columns=taken, use_threads=False):
                batch.validate(full=True)  # PyArrow does not look whether strings are UTF-8
                columns = {name: typed(name, batch.column(place)) for place, name in enumerate(batch.schema.names)}
                yield columns, np.arange(row, row + batch.num_rows)
                row += batch.num_rows
