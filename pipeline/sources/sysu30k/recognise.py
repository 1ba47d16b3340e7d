"""How a folder of SYSU-30k is recognised: by the names of its tars or unpacked folders."""

import re

from pipeline.sources.base import Look
from shards_spec.storage import Store

TRAIN_ROOT, TEST_ROOT = "sysu_train_set_all", "sysu_test_set_all"
ROOTS = (TRAIN_ROOT, TEST_ROOT)
"""The folders at the top of the tars."""

TAR = re.compile(r"(?i)sysu_(?:train|test)_set_all.*\.(?:tar(?:\.[a-z0-9]+)?|tgz)")
"""Names of tars, compressed or not."""


def look_for_sysu30k(store: Store) -> Look:
    """Look for a tar or an unpacked root of SYSU-30k at the top of a folder."""
    names = [*(file.path for file in store.list_top()), *store.folders()]
    found = next((name for name in names if is_sysu_name(name)), None)
    if found is not None:
        return Look(is_recognised=True, what=found)
    return Look(is_recognised=False, what=f"neither {TRAIN_ROOT}_part1.tar nor a folder {TRAIN_ROOT} lies at its top")


def is_sysu_name(name: str) -> bool:
    """Return whether a file or folder at the top of a source is one of this dataset's archives or roots."""
    return name in ROOTS or TAR.fullmatch(name) is not None
