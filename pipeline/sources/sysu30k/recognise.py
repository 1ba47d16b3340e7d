"""How a folder of SYSU-30k is recognised: by the names of its tars or unpacked folders."""

import re
from collections.abc import Iterator

from pipeline.sources.base import Look
from shards_spec.storage import Store

TRAIN_ROOT, TEST_ROOT = "sysu_train_set_all", "sysu_test_set_all"
ROOTS = (TRAIN_ROOT, TEST_ROOT)
"""The folders at the top of the tars."""

TAR = re.compile(r"(?i)sysu_(?:train|test)_set_all.*\.(?:tar(?:\.[a-z0-9]+)?|tgz)")
"""Names of tars, compressed or not."""


FOLDERS = {"train", "test", "sysu-30k-released"}
"""Folders, in lower case, that the dataset is handed out in (https://github.com/wanggrun/SYSU-30k)."""

_DEPTH = 3
"""Levels of such folders: ``SYSU-30k-released/SYSU-30k-released/train``."""


def look_for_sysu30k(store: Store) -> Look:
    """Look for a tar or an unpacked root of SYSU-30k at the top of a folder, or in folders that it is handed out in."""
    found = next((path for path in _paths(store, "", _DEPTH) if is_sysu_name(path.rpartition("/")[2])), None)
    if found is not None:
        return Look(is_recognised=True, what=found)
    return Look(is_recognised=False, what=f"neither {TRAIN_ROOT}_part1.tar nor a folder {TRAIN_ROOT} lies at its top")


def _paths(store: Store, folder: str, depth: int) -> Iterator[str]:
    yield from (file.path for file in store.list_top(folder))
    for path in store.folders(folder):
        yield path
        if depth and path.rpartition("/")[2].lower() in FOLDERS:
            yield from _paths(store, path, depth - 1)


def is_sysu_name(name: str) -> bool:
    """Return whether a name is that of one of this dataset's archives or roots."""
    return name in ROOTS or TAR.fullmatch(name) is not None
