"""Tables of JSON Lines: a JSON object a line, which may lack fields."""

import hashlib
import re
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np

from pipeline.sources.tables.labels.table import bad_row
from pipeline.sources.tables.rows.columns import KNOWN, from_values
from pipeline.sources.tables.rows.table_file import TableFile
from pipeline.sources.text import check_text, plain_lines, read_blocks
from shards_spec.errors import SpecError
from shards_spec.manifest import SourceFile
from shards_spec.rejects import Reject
from shards_spec.storage import FileInfo, Store

MOST_FIELDS = 1000
"""Most different fields of a file's objects. Each is a column as long as the file."""

_LINES_AT_ONCE = 1 << 13
_objects = msgspec.json.Decoder(dict[str, Any])
_NOT_JSON = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b')
"""Strings, and what JSON has no word for but some writers write. Strings are matched so that nothing in them is."""


def read_json_lines(store: Store, file: FileInfo, found: TableFile) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield the columns of a file of JSON Lines by name, and the numbers of their lines. See ``read_table``."""
    check_text(store, file.path, file.size, "table")
    digest = hashlib.sha256()
    names: dict[str, None] = {}
    for start, lines in _batches(store, file, digest):
        rows, objects = _decode(lines, start, file.path, found.rejects)
        rows, columns = _columns(rows, objects, file.path, found.rejects)
        names.update(dict.fromkeys(columns))
        if len(names) > MOST_FIELDS:
            raise SpecError(f"its lines have more than {MOST_FIELDS:,} different fields: a table has some dozens")
        found.columns = list(names)
        found.ignored += [name for name, values in columns.items() if name not in found.ignored and _is_nested(values)]
        if rows:
            nothing = [None] * len(rows)
            yield (
                {name: from_values(name, columns.get(name, nothing)) for name in names if name not in found.ignored},
                np.array(rows),
            )
    found.source = SourceFile(file.path, file.size, digest.hexdigest())


def _batches(store: Store, file: FileInfo, digest: Any) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the lines of a file a few at a time, so that what becomes of them stays in the processor's cache.

    With them comes the number of lines before.
    """
    count = 0
    for raw in read_blocks(store, file.path, file.size, digest):
        block, _ = plain_lines(raw)
        lines = block.split(b"\n")[:-1]
        for start in range(0, len(lines), _LINES_AT_ONCE):
            yield count + start, lines[start : start + _LINES_AT_ONCE]
        count += len(lines)


def _decode(lines: list[bytes], start: int, file: str, rejects: list[Reject]) -> tuple[list[int], list[dict[str, Any]]]:
    """Return the lines that hold an object, by their numbers, and these; ``start`` is the number of lines before."""
    rows: list[int] = []
    objects: list[dict[str, Any]] = []
    decode = _objects.decode
    for row, text in enumerate(lines, start + 1):
        try:
            objects.append(decode(text))
            rows.append(row)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if text.strip():
                try:
                    objects.append(decode(_NOT_JSON.sub(_replace, text)))
                    rows.append(row)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    rejects.append(bad_row(file, row, f"is no JSON object: {error}"))
    return rows, objects


def _columns(
    rows: list[int], objects: list[dict[str, Any]], file: str, rejects: list[Reject]
) -> tuple[list[int], dict[str, list[Any]]]:
    """Return the values of each field of objects, and the numbers of their lines.

    What holds a list or an object where a value must be is rejected.
    """
    shapes = dict.fromkeys(map(tuple, objects))
    names = tuple(dict.fromkeys(name for shape in shapes for name in shape))[: MOST_FIELDS + 1]
    if len(shapes) == 1:
        columns = {name: list(map(itemgetter(name), objects)) for name in names}
    else:
        columns = {name: [one.get(name) for one in objects] for name in names}
    nested = [name for name in names if name in KNOWN and _is_nested(columns[name])]
    if not nested:
        return rows, columns
    kept_rows: list[int] = []
    kept = []
    for row, one in zip(rows, objects, strict=True):
        name = next((name for name in one if name in nested and isinstance(one[name], dict | list)), None)
        if name is None:
            kept_rows.append(row)
            kept.append(one)
        else:
            rejects.append(bad_row(file, row, f"{name} is a list or an object"))
    return kept_rows, {name: [one.get(name) for one in kept] for name in names}


def _is_nested(values: list[Any]) -> bool:
    """Return whether lists or objects are among the values of a field."""
    return not {dict, list}.isdisjoint(map(type, values))


def _replace(match: re.Match[bytes]) -> bytes:
    return match[0] if match[0][:1] == b'"' else b"null"
