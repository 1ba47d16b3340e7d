"""How tables are recognised: by names, and by the columns of a few of them."""

import itertools
import re
from collections.abc import Iterator

from pipeline.sources.base import Look
from shards_spec.storage import FileInfo, Store

TABLE = re.compile(r"(?i)[^.].*\.(?:csv|tsv|jsonl|ndjson|parquet)")
"""Names of tables."""

_TABLE_BOX = {"x", "y", "w", "h"}
_LOOKED_AT = 20
"""Most tables that are looked into to recognise a source. Its survey reads all."""


def table_files(store: Store) -> Iterator[FileInfo]:
    """Yield the files at the top of a store that are tables by their names."""
    return (file for file in store.list_top() if TABLE.fullmatch(file.path))


def look_for_boxes_table(store: Store) -> Look:
    """Look for a table of boxes at the top of a folder."""
    return _look_for_table(store, has_boxes=True)


def look_for_crops_table(store: Store) -> Look:
    """Look for a table of crops at the top of a folder."""
    return _look_for_table(store, has_boxes=False)


def _look_for_table(store: Store, *, has_boxes: bool) -> Look:
    what = "no table (CSV, JSON Lines, Parquet) lies at its top"
    for file in itertools.islice(table_files(store), _LOOKED_AT):
        from pipeline.sources.tables.rows.columns import FILE_COLUMN  # imports PyArrow, as the next does
        from pipeline.sources.tables.rows.table import head_columns

        columns = set(head_columns(store, file))
        if FILE_COLUMN in columns and (columns >= _TABLE_BOX) == has_boxes:
            return Look(is_recognised=True, what=file.path)
        if FILE_COLUMN not in columns:
            what = f"{file.path} has no column file"
        else:
            what = f"{file.path} has {'no columns x, y, w and h' if has_boxes else 'boxes'}"
    return Look(is_recognised=False, what=what)
