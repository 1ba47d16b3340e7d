"""Tables with a row for each box or crop: CSV, JSON Lines and Parquet, read in batches of columns."""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

from pipeline.archives.sniff import HEAD_BYTES
from pipeline.sources.tables.columns import FILE_COLUMN, KNOWN, from_objects, is_nested, is_scalar, typed
from pipeline.sources.tables.labels import BOX, SIZES, bad_row, label_batch
from pipeline.sources.text import UnreadableBlockError, check_text, plain_lines, read_blocks
from shards_spec.errors import SpecError, UsageError
from shards_spec.manifest import SourceFile
from shards_spec.parquet_pages import measure_column
from shards_spec.rejects import Reject
from shards_spec.storage import FileInfo, Store
from shards_spec.storage.ranges import RangeFile, file_sha256, open_buffered

TABLE = re.compile(r"(?i)[^.].*\.(?:csv|tsv|jsonl|ndjson|parquet)")
"""Names of tables."""

LARGEST_COLUMN = 1 << 30
"""Most bytes that a column of a row group of a Parquet file may unpack to. Writers make row groups of about a million
rows or fewer, and a path takes some 60 bytes."""

_BATCH_ROWS = 1 << 16
_CSV_BLOCK = 4 << 20
_NOT_JSON = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b')
_FOOTER = {"thrift_string_size_limit": 64 << 20, "thrift_container_size_limit": 1 << 20}


@dataclass(slots=True)
class TableFile:
    """What a table says."""

    source: SourceFile
    batches: list[pa.RecordBatch] = field(default_factory=list)
    """Its rows, in batches of ``LABEL_SCHEMA``."""
    extra: list[dict[str, Any]] = field(default_factory=list)
    """For each batch, its further columns as arrays."""
    rejects: list[Reject] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    """The names of all columns."""
    are_texts: bool = False
    """Whether all further columns are strings whose types are to be told from their values."""
    ignored: list[str] = field(default_factory=list)
    """Columns that are left out, because their values are no scalars."""


def is_table(path: str) -> bool:
    """Return whether a file at the top of a source may be a table, by its name."""
    return TABLE.fullmatch(path) is not None


def head_columns(store: Store, file: FileInfo) -> list[str]:
    """Return the names of a table's columns, from its first row or its footer; an empty list if it has none.

    Raises:
        OSError: The store reports a fault.
    """
    with contextlib.suppress(
        pa.ArrowException, UsageError, SpecError, msgspec.DecodeError, UnicodeDecodeError, EOFError
    ):
        if _extension(file.path) == "parquet":
            with open_buffered(store, file.path) as opened:
                return list(pq.ParquetFile(opened, **_FOOTER).schema_arrow.names)
        head = store.read(file.path, 0, min(file.size, HEAD_BYTES)).removeprefix(b"\xef\xbb\xbf")
        line = head.replace(b"\r", b"\n").lstrip(b"\n").partition(b"\n")[0]
        if _extension(file.path) in {"csv", "tsv"}:
            return _split_header(line, _delimiter(file.path, line))
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
    extension = _extension(file.path)
    reader = {"parquet": _read_parquet, "csv": _read_csv, "tsv": _read_csv}.get(extension, _read_lines)
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
            further = {name: values for name, values in columns.items() if name not in KNOWN}
            if len(kept) != len(rows):
                further = {name: values.take(pa.array(kept)) for name, values in further.items()}
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
    for further in found.extra:  # a field of JSON Lines may hold a list in a later block
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


def _extension(path: str) -> str:
    return path.rpartition(".")[2].lower()


# Parquet


def _read_parquet(store: Store, file: FileInfo, found: TableFile) -> Iterator[tuple[dict[str, Any], Any]]:
    found.source = SourceFile(file.path, file.size, file_sha256(store, file.path))
    with open_buffered(store, file.path) as opened:
        parquet = pq.ParquetFile(RangeFile(store, file.path), pre_buffer=False, **_FOOTER)
        schema = parquet.schema_arrow
        found.columns = list(schema.names)
        taken = [field_.name for field_ in schema if is_scalar(field_.type)]
        found.ignored = [name for name in found.columns if name not in taken]
        for name in found.ignored:
            if name in KNOWN:
                raise SpecError(f"column {name} is of type {schema.field(name).type}: write it as strings or numbers")
        metadata = parquet.metadata
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


# CSV


def _delimiter(path: str, line: bytes) -> str:
    if _extension(path) == "tsv":
        return "\t"
    return ";" if b";" in line and b"," not in line else ","


def _split_header(line: bytes, delimiter: str) -> list[str]:
    options = pv.ParseOptions(delimiter=delimiter)
    return list(pv.read_csv(pa.BufferReader(line + b"\n"), parse_options=options).column_names) if line else []


def _read_csv(store: Store, file: FileInfo, found: TableFile) -> Iterator[tuple[dict[str, Any], Any]]:
    check_text(store, file.path, file.size, "table")
    found.source = SourceFile(file.path, file.size, file_sha256(store, file.path))
    found.are_texts = True
    found.columns = head_columns(store, file)
    line = store.read(file.path, 0, min(file.size, HEAD_BYTES)).partition(b"\n")[0]
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
            delimiter=_delimiter(file.path, line), newlines_in_values=True, invalid_row_handler=skip
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


# JSON Lines


def _read_lines(store: Store, file: FileInfo, found: TableFile) -> Iterator[tuple[dict[str, Any], Any]]:
    check_text(store, file.path, file.size, "table")
    digest = hashlib.sha256()
    decoder = msgspec.json.Decoder(dict[str, Any])
    line = 0
    names: dict[str, None] = {}
    for raw in read_blocks(store, file.path, file.size, digest):
        block, _ = plain_lines(raw)
        rows: list[int] = []
        objects: list[dict[str, Any]] = []
        for text in block.split(b"\n")[:-1]:
            line += 1
            if text.strip():
                try:
                    one = _decode_line(decoder, text)
                    nested = [name for name, value in one.items() if name in KNOWN and isinstance(value, dict | list)]
                    if nested:
                        found.rejects.append(bad_row(file.path, line, f"{nested[0]} is a list or an object"))
                        continue
                    objects.append(one)
                    rows.append(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    found.rejects.append(bad_row(file.path, line, f"is no JSON object: {error}"))
        for one in objects:
            names.update(dict.fromkeys(one))
        found.columns = list(names)
        found.ignored += [name for name in names if is_nested(name, objects) and name not in found.ignored]
        if rows:
            yield (
                {
                    name: from_objects(name, [one.get(name) for one in objects])
                    for name in names
                    if name not in found.ignored
                },
                np.array(rows),
            )
    found.source = SourceFile(file.path, file.size, digest.hexdigest())


def _decode_line(decoder: "msgspec.json.Decoder[dict[str, Any]]", text: bytes) -> dict[str, Any]:
    try:
        return decoder.decode(text)
    except msgspec.DecodeError:
        return decoder.decode(_NOT_JSON.sub(lambda match: match[0] if match[0][:1] == b'"' else b"null", text))
