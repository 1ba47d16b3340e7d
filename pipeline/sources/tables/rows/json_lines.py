"""Tables of JSON Lines: a JSON object a line, which may lack fields."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from pipeline.sources.tables.labels.table import bad_row
from pipeline.sources.tables.rows.columns import KNOWN, from_objects, is_nested
from pipeline.sources.tables.rows.table_file import TableFile
from pipeline.sources.text import check_text, plain_lines, read_blocks
from shards_spec.manifest import SourceFile
from shards_spec.storage import FileInfo, Store

_NOT_JSON = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b')
"""Strings, and what JSON has no word for but some writers write. Strings are matched so that nothing in them is."""


def read_json_lines(store: Store, file: FileInfo, found: TableFile) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield the columns of a file of JSON Lines by name, and the numbers of their lines. See ``read_table``."""
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
