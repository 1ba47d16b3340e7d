"""How a folder of City1M-Lite is recognised: by its folders of crops, or the zips of them."""

import re

from pipeline.sources.base import Look
from pipeline.sources.misplaced import point_to
from shards_spec.storage import Store
from shards_spec.variants.city1m_lite.paths import ROOT_PATTERN

CROP_FOLDER = re.compile(ROOT_PATTERN)
CROP_ZIP = re.compile(rf"({ROOT_PATTERN}).*\.(?i:zip)")
"""Names of zips; whoever downloads one twice has ``Image_2_crop (1).zip``."""

NEARLY_CROPS = re.compile(r"(?i)images?[ _-]?[0-9]+[ _-]?crops?.*")
"""Names that somebody may have given a folder of crops, packed or not."""

NO_CROPS = "neither a folder such as Image_2_crop nor Image_2_crop.zip lies at its top"


def find_crops(store: Store) -> list[str]:
    """Return the names of the folders and zips of crops at the top of a folder."""
    zips = [file.path for file in store.list_top() if CROP_ZIP.fullmatch(file.path)]
    return zips + [folder for folder in store.folders() if CROP_FOLDER.fullmatch(folder)]


def look_for_city1m_lite(store: Store) -> Look:
    """Look for crops at the top of a folder. Label files alone do not tell City1M's forms apart."""
    found = find_crops(store)
    if found:
        return Look(is_recognised=True, what=found[0])
    return Look(is_recognised=False, what=NO_CROPS + point_to(store, NEARLY_CROPS, "name that folder as SRC"))
