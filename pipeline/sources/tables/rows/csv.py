"""Tables of comma-separated values; semicolons and tabs are recognised as well."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv

from pipeline.archives.sniff import HEAD_BYTES
from pipeline.sources.tables.labels.table import bad_row
from pipeline.sources.tables.rows.columns import typed
from pipeline.sources.tables.rows.table_file import TableFile, extension
from pipeline.sources.text import check_text
from shards_spec.manifest import SourceFile
from shards_spec.storage import FileInfo, Store
from shards_spec.storage.ranges import RangeFile, file_sha256

_CSV_BLOCK = 4 << 20


def _delimiter(path: str, line: bytes) -> str:
    if extension(path) == "tsv":
        return "\t"
    return ";" if b";" in line and b"," not in line else ","


def csv_columns(path: str, head: bytes) -> list[str]:
    """Return the names of a CSV file's columns, given its first bytes."""
    line = head.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"\n").lstrip(b"\n").partition(b"\n")[0]
    options = pv.ParseOptions(delimiter=_delimiter(path, line))
    return list(pv.read_csv(pa.BufferReader(line + b"\n"), parse_options=options).column_names) if line else []


def read_csv(store: Store, file: FileInfo, found: TableFile) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield the columns of a CSV file by name, and the numbers of their rows. See ``read_table``."""
    check_text(store, file.path, file.size, "table")
    found.source = SourceFile(file.path, file.size, file_sha256(store, file.path))
    found.are_texts = True
    head = store.read(file.path, 0, min(file.size, HEAD_BYTES))
    found.columns = csv_columns(file.path, head)
    skipped: set[int] = set()

    def skip(row: Any) -> str:
        found.rejects.append(
            bad_row(file.path, row.number - 1, f"{row.actual_columns} values for {row.expected_columns}")
        )
        skipped.add(row.number - 1)
        return "skip"

    reader = pv.open_csv(
        RangeFile(store, file.path),
        read_options=pv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK),
        parse_options=pv.ParseOptions(
            delimiter=_delimiter(file.path, head.partition(b"\n")[0]), newlines_in_values=True, invalid_row_handler=skip
        ),
        convert_options=pv.ConvertOptions(
            column_types=dict.fromkeys(found.columns, pa.string()), strings_can_be_null=True, null_values=["", "NULL"]
        ),
    )
    row = 1
    for batch in reader:
        rows: list[int] = []
        while len(rows) < batch.num_rows:
            if row not in skipped:
                rows.append(row)
            row += 1
        columns = {name: typed(name, batch.column(place)) for place, name in enumerate(batch.schema.names)}
        yield columns, np.array(rows)
