"""How City1M names its label files and frames, and what these names say.

A frame's name is ``<group id>_pCount<members>_cam<camera>_<index>_<day|night>``, such as
``0009501_pCount2_cam1_0000001_day``. The dataset's README describes this pattern, and its label files use it. The
README spells group ids with seven and with eight digits, so any number of digits is accepted and kept as spelled. The
camera and the member count have at most nine digits, so that they fit int32.
"""

import re
from typing import NamedTuple

# RE2 and ``re`` agree on this pattern. It has [0-9] because \d matches the digits of any script in ``re``.
FRAME_NAME_PATTERN = (
    "(?P<group_id>[0-9]+)_pCount(?P<count>[0-9]{1,9})_cam(?P<camera>[0-9]{1,9})_[0-9]+_(?P<time>day|night)"
)

FULL, LITE = "City1M-Full", "City1M-Lite"
"""What the forms of the dataset are called in the manifest's ``source``."""

SPLITS = ("gallery", "query", "train")
LABEL_FILE_PATTERN = rf"({'|'.join(SPLITS)})_part([0-9]{{1,9}})\.txt"
"""Names of label files. ``train_part1.txt`` labels the frames of the split "train" of protocol "p1"."""

_name = re.compile(FRAME_NAME_PATTERN)
_label_file = re.compile(LABEL_FILE_PATTERN)


class FrameName(NamedTuple):
    """What a frame's name says."""

    group_id: str
    """The group id as spelled."""
    member_count: int
    """Number of persons in the group, of whom some may not be labelled in the frame."""
    camera: int
    time: str
    """"day" or "night"."""


def parse_frame_name(name: str) -> FrameName | None:
    """Parse a frame's name without extension; return None if it does not have this form."""
    match = _name.fullmatch(name)
    return FrameName(match[1], int(match[2]), int(match[3]), match[4]) if match is not None else None


def parse_label_file(name: str) -> tuple[str, str] | None:
    """Return the protocol ("p1") and the split of a label file; return None if the name is not that of one."""
    match = _label_file.fullmatch(name)
    return (f"p{match[2]}", match[1]) if match is not None else None
