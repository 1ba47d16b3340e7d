"""How label files, tables and folders of crops are recognised: by names, and by the heads of a few label files."""

import itertools
import re
from collections.abc import Iterator

from pipeline.sources.base import Look
from shards_spec.storage import FileInfo, Store

ANNOTATIONS = "annotations"
"""The folder in which most tools write their JSON files."""

_JSON = re.compile(r"(?i)[^.].*\.json")
_COCO_HEAD = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"(?:images|annotations|categories|info|licenses|type)"\s*:')
_HEAD_BYTES = 4096
_LOOKED_AT = 20
"""Most files of a folder that are looked into to recognise a source. Its survey reads all."""

MARKET_FOLDERS = ("bounding_box_train", "bounding_box_test", "query")
MSMT17_LISTS = ("list_train.txt", "list_val.txt", "list_query.txt", "list_gallery.txt")

_TABLE_BOX = {"x", "y", "w", "h"}


def coco_files(store: Store) -> list[FileInfo]:
    """Return the files of COCO JSON at the top of a store and in its folder ``annotations``."""
    return [file for file in _json_files(store) if _is_coco(store, file)]


def look_for_coco(store: Store) -> Look:
    """Look for a file of COCO JSON at the top of a folder, or in its folder ``annotations``."""
    found = next((file for file in _json_files(store, _LOOKED_AT) if _is_coco(store, file)), None)
    if found is not None:
        return Look(is_recognised=True, what=found.path)
    return Look(
        is_recognised=False, what="no JSON file with images and annotations lies at its top or in a folder annotations"
    )


def look_for_boxes_table(store: Store) -> Look:
    """Look for a table of boxes at the top of a folder."""
    return _look_for_table(store, has_boxes=True)


def look_for_crops_table(store: Store) -> Look:
    """Look for a table of crops at the top of a folder."""
    return _look_for_table(store, has_boxes=False)


def table_files(store: Store) -> list[FileInfo]:
    """Return the files at the top of a store that are tables by their names."""
    from pipeline.sources.tables.delimited import is_table

    return [file for file in store.list_top() if is_table(file.path)]


def _look_for_table(store: Store, *, has_boxes: bool) -> Look:
    what = "no table (CSV, JSON Lines, Parquet) lies at its top"
    for file in _some(store.list_top(), r"(?i)[^.].*\.(?:csv|tsv|jsonl|ndjson|parquet)", _LOOKED_AT):
        from pipeline.sources.tables.columns import FILE_COLUMN  # imports PyArrow, as the next does
        from pipeline.sources.tables.delimited import head_columns

        columns = set(head_columns(store, file))
        if FILE_COLUMN in columns and (columns >= _TABLE_BOX) == has_boxes:
            return Look(is_recognised=True, what=file.path)
        if FILE_COLUMN not in columns:
            what = f"{file.path} has no column file"
        else:
            what = f"{file.path} has {'no columns x, y, w and h' if has_boxes else 'boxes'}"
    return Look(is_recognised=False, what=what)


def look_for_crops_folder(store: Store) -> Look:
    """Look for the folders of Market-1501 or the lists of MSMT17 at the top of a folder."""
    found = [folder for folder in store.folders() if folder in MARKET_FOLDERS]
    if "bounding_box_train" in found or "bounding_box_test" in found:
        return Look(is_recognised=True, what=found[0])
    lists = [file.path for file in store.list_top() if file.path in MSMT17_LISTS]
    if lists:
        return Look(is_recognised=True, what=lists[0])
    return Look(is_recognised=False, what="neither bounding_box_train nor list_train.txt lies at its top")


def _json_files(store: Store, most: int | None = None) -> list[FileInfo]:
    return [
        *_some(store.list_top(), _JSON.pattern, most),
        *_some(store.list_top(ANNOTATIONS), rf"{ANNOTATIONS}/(?i:[^./][^/]*\.json)", most),
    ]


def _some(files: Iterator[FileInfo], pattern: str, most: int | None) -> list[FileInfo]:
    return list(itertools.islice((file for file in files if re.fullmatch(pattern, file.path)), most))


def _is_coco(store: Store, file: FileInfo) -> bool:
    return _COCO_HEAD.match(store.read(file.path, 0, min(file.size, _HEAD_BYTES))) is not None
