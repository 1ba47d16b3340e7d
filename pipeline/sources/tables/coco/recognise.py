"""How COCO JSON is recognised: by names, and by the heads of a few files."""

import itertools
import re
import shlex
from collections.abc import Iterator

from pipeline.sources.base import Look
from shards_spec.storage import FileInfo, Kind, Store

ANNOTATIONS = "annotations"
"""The folder in which most tools write their JSON files."""

_COCO_HEAD = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"(?:images|annotations|categories|info|licenses|type)"\s*:')
_HEAD_BYTES = 4096
_LABELS_IN_ZIP = re.compile(rb"annotations/[A-Za-z0-9_. -]{1,100}\.json")
_ZIPS_LOOKED_AT = 4
_ZIP_TAIL_BYTES = 1 << 20
"""Bytes at the end of a zip that are looked at: its directory, if it has some thousand entries."""
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
    what = "no JSON file with images and annotations lies at its top or in a folder annotations"
    return Look(is_recognised=False, what=f"{what}{_packed_labels(store)}")


def _packed_labels(store: Store) -> str:
    """Say what to do if a zip at the top holds labels beside its images, as exports of CVAT do; else return nothing."""
    zips = (file for file in store.list_top() if file.path.lower().endswith(".zip") and file.kind is Kind.FILE)
    for file in itertools.islice(zips, _ZIPS_LOOKED_AT):
        found = _LABELS_IN_ZIP.search(store.read(file.path, max(0, file.size - _ZIP_TAIL_BYTES), file.size))
        if found is not None:
            unzip = shlex.join(["unzip", file.path, "annotations/*"])
            return (
                f"; {file.path} holds {found[0].decode()}: unpack it beside the zip, in which the images may stay "
                f"({unzip})"
            )
    return ""


def _json_files(store: Store, most: int | None = None) -> Iterator[FileInfo]:
    """Yield the JSON files at the top and in the folder of annotations, at most ``most`` of each."""
    for files in (store.list_top(), store.list_top(ANNOTATIONS)):
        named = (file for file in files if re.fullmatch(r"(?i)(?:[^/]+/)?[^./][^/]*\.json", file.path))
        yield from itertools.islice(named, most)


def _is_coco(store: Store, file: FileInfo) -> bool:
    return _COCO_HEAD.match(store.read(file.path, 0, min(file.size, _HEAD_BYTES))) is not None
