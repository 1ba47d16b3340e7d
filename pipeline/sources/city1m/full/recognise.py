"""How a folder of City1M-Full is recognised: by the names of the files at its top."""

import re

from pipeline.sources.base import Look
from pipeline.sources.city1m.labels.file_names import LABEL_FILE
from pipeline.sources.city1m.lite.recognise import find_crops
from pipeline.sources.misplaced import point_to
from shards_spec.storage import Store

NEARLY_ARCHIVE = re.compile(r"(?i)images_[0-9]+(?!.*crop).*|(?!.*crop).*\.zip")
"""Names that somebody may have given an archive, packed or not."""
FULL_ARCHIVE_PATTERN = r"(?i:images)_[0-9]+\.(?i:zip)"
_ARCHIVE = re.compile(FULL_ARCHIVE_PATTERN)

NO_ARCHIVE = "no archive such as Images_2.zip lies at its top"


def look_for_city1m(store: Store) -> Look:
    """Look for an archive of City1M-Full, or else for a label file, at the top of a folder.

    A label file tells nothing if there are crops of City1M-Lite, which comes with the same label files.
    """
    names = [file.path for file in store.list_top()]
    for pattern in (_ARCHIVE, LABEL_FILE):
        found = next((name for name in names if pattern.fullmatch(name)), None)
        if found is not None and (pattern is _ARCHIVE or not find_crops(store)):
            return Look(is_recognised=True, what=found)
    place = point_to(store, NEARLY_ARCHIVE, "name that folder as SRC")
    return Look(is_recognised=False, what=NO_ARCHIVE + place)
