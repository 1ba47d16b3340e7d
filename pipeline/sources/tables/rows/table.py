"""Reading a table with a row for each box or crop, of any format."""

import contextlib
from typing import Any

import msgspec
import pyarrow as pa

from pipeline.archives.sniff import HEAD_BYTES
from pipeline.sources.tables.labels.table import BOX, SIZES, label_batch
from pipeline.sources.tables.rows.columns import FILE_COLUMN, KNOWN, is_too_long
from pipeline.sources.tables.rows.csv import csv_columns, read_csv
from pipeline.sources.tables.rows.json_lines import read_json_lines
from pipeline.sources.tables.rows.parquet import parquet_columns, read_parquet
from pipeline.sources.tables.rows.table_file import TableFile, extension
from pipeline.sources.text import UnreadableBlockError
from shards_spec.errors import SpecError, UsageError
from shards_spec.manifest import SourceFile
from shards_spec.storage import FileInfo, Store


def head_columns(store: Store, file: FileInfo) -> list[str]:
    """Return the names of a table's columns, from its first row or its footer; an empty list if it has none.

    Raises:
        OSError: The store reports a fault.
    """
    with contextlib.suppress(
        pa.ArrowException, UsageError, SpecError, msgspec.DecodeError, UnicodeDecodeError, EOFError
    ):
        if extension(file.path) == "parquet":
            return parquet_columns(store, file.path)
        head = store.read(file.path, 0, min(file.size, HEAD_BYTES)).removeprefix(b"\xef\xbb\xbf")
        if extension(file.path) in {"csv", "tsv"}:
            return csv_columns(file.path, head)
        line = head.replace(b"\r", b"\n").lstrip(b"\n").partition(b"\n")[0]
        return list(msgspec.json.decode(line, type=dict[str, Any]))
    return []


def read_table(store: Store, file: FileInfo, number: int, *, has_boxes: bool, keeps_boxes: bool = False) -> TableFile:
    """Read a table.

    Args:
        store: The store with the file.
        file: The file.
        number: The number that its rows have in the column ``file``.
        has_boxes: Whether each row must have a box.
        keeps_boxes: Whether what a table without boxes says of them is kept.

    Raises:
        UsageError: It cannot be read, or lacks a column that it must have.
    """
    readers = {"parquet": read_parquet, "csv": read_csv, "tsv": read_csv}
    reader = readers.get(extension(file.path), read_json_lines)
    found = TableFile(SourceFile(file.path, file.size, "0" * 64))
    where = f"{store.url}/{file.path}"
    try:
        batches = reader(store, file, found)
        for columns, rows in batches:
            _check_columns(where, found.columns, has_boxes=has_boxes)
            known = {"path" if name == FILE_COLUMN else name: columns[name] for name in KNOWN if name in columns}
            if not has_boxes and not keeps_boxes:
                known = {name: values for name, values in known.items() if name not in {*BOX, *SIZES, "box_id"}}
            batch, kept, rejects = label_batch(known, number, rows, file.path)
            further = {name: values for name, values in columns.items() if name not in {*KNOWN, *found.ignored}}
            if len(kept) != len(rows):
                further = {name: values.take(pa.array(kept)) for name, values in further.items()}
            found.ignored += [name for name, values in further.items() if is_too_long(values)]
            found.batches.append(batch)
            found.extra.append(further)
            found.rejects += rejects
    except UnreadableBlockError as error:
        raise UsageError(f"{where}: {error}") from error
    except (pa.ArrowException, SpecError, UnicodeDecodeError, EOFError) as error:
        raise UsageError(f"{where} cannot be read as a table: {error}") from error
    if found.rejects and not found.columns:
        first = found.rejects[0]
        raise UsageError(f"{where}: no row of it can be read, such as {first.where}: {first.detail}")
    _check_columns(where, found.columns, has_boxes=has_boxes)
    for further in found.extra:  # what leaves a column out may come after some batches
        for name in found.ignored:
            further.pop(name, None)
    return found


def _check_columns(where: str, columns: list[str], *, has_boxes: bool) -> None:
    needed = (FILE_COLUMN, *BOX) if has_boxes else (FILE_COLUMN,)
    if len(set(columns)) != len(columns):
        raise UsageError(f"{where}: two columns have the same name: rename one of them")
    missing = [name for name in needed if name not in columns]
    if missing:
        raise UsageError(
            f"{where} has no column {', '.join(missing)}: its columns are {', '.join(columns[:30]) or 'none'}: rename "
            "those that are meant"
        )
