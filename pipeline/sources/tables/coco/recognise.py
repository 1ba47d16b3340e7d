"""How COCO JSON is recognised: by names, and by the heads of a few files."""

import itertools
import re
from collections.abc import Iterator

from pipeline.sources.base import Look
from shards_spec.storage import FileInfo, Store

ANNOTATIONS = "annotations"
"""The folder in which most tools write their JSON files."""

_COCO_HEAD = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"(?:images|annotations|categories|info|licenses|type)"\s*:')
_HEAD_BYTES = 4096
_LOOKED_AT = 20
"""Most files of a folder that are looked into to recognise a source. Its survey reads all."""


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


def _json_files(store: Store, most: int | None = None) -> Iterator[FileInfo]:
    """Yield the JSON files at the top and in the folder of annotations, at most ``most`` of each."""
    for files in (store.list_top(), store.list_top(ANNOTATIONS)):
        named = (file for file in files if re.fullmatch(r"(?i)(?:[^/]+/)?[^./][^/]*\.json", file.path))
        yield from itertools.islice(named, most)


def _is_coco(store: Store, file: FileInfo) -> bool:
    return _COCO_HEAD.match(store.read(file.path, 0, min(file.size, _HEAD_BYTES))) is not None
