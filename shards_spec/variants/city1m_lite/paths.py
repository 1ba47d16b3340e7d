"""What the path of a crop says: its group and member, and the frame that it shows if the path names one.

City1M's README gives ``Image_2_crop/0009501/0.jpg`` as an example, but writes ``Images_2`` where frames are meant, so
both spellings of the top folder are taken. Below it stands the folder of the group, and the file's name is the member's
person id. If a folder below that, or the beginning of the file's name, is the name of a whole frame, the crop was cut
out of that frame.
"""

import re
from typing import NamedTuple

from shards_spec.variants.city1m.names import FRAME_NAME_PATTERN

ROOT_PATTERN = "(?i:images?)_[0-9]{1,9}_(?i:crop)"
"""Names of the folders of crops; the number is the size of the groups."""

_FRAME = re.sub(r"\?P<\w+>", "?:", FRAME_NAME_PATTERN)
_FOLDERS = "(?:[^/]+/)*"
_FILE = r"(?P<member>[0-9]{1,10})\.(?i:jpe?g|png|bmp|webp|tiff?|gif)"

# RE2 and ``re`` agree on these patterns.
FRAME_CROP_PATTERN = f"{ROOT_PATTERN}/{_FOLDERS}(?P<frame>{_FRAME})(?:/{_FOLDERS}|_){_FILE}"
"""Paths of crops that name their frame."""
GROUP_CROP_PATTERN = f"{ROOT_PATTERN}/(?P<group>[0-9]+)/{_FOLDERS}{_FILE}"
"""Paths of crops; those that match ``FRAME_CROP_PATTERN`` name their frame, and the others belong to their group."""

_frame_crop = re.compile(FRAME_CROP_PATTERN)
_group_crop = re.compile(GROUP_CROP_PATTERN)


class CropPath(NamedTuple):
    """What the path of a crop says."""

    group: str | None
    """The group's folder as spelled; None if the path names a frame, whose name has the group."""
    frame: str | None
    """The frame's name without extension; None if the crop belongs to its group as a whole."""
    person_id: int
    """The person id that is the file's name."""


def parse_crop_path(path: str) -> CropPath | None:
    """Parse a path that begins with a folder of crops; return None if it is not that of a crop."""
    if match := _frame_crop.fullmatch(path):
        return CropPath(None, match["frame"], int(match["member"]))
    if match := _group_crop.fullmatch(path):
        return CropPath(match["group"], None, int(match["member"]))
    return None
