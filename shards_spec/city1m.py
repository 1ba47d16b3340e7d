"""How City1M names its label files and its frames, and what the names say.

A frame's name is ``<group id>_pCount<members>_cam<camera>_<index>_<day|night>``. The pattern is the one that the
dataset's README describes and its label files use, such as ``0009501_pCount2_cam1_0000001_day``. The README writes the
group id with seven and with eight digits, so any number of digits is taken and kept as spelled. Camera and member count
are bounded to nine digits, so that they fit int32.
"""

import re
from typing import NamedTuple

# RE2 and re agree on this; [0-9], for \d is any script's digits to re.
FRAME_NAME_PATTERN = (
    "(?P<group_id>[0-9]+)_pCount(?P<count>[0-9]{1,9})_cam(?P<camera>[0-9]{1,9})_[0-9]+_(?P<time>day|night)"
)

DATASET = "City1M"
"""What the manifest's ``source`` calls it."""

SPLITS = ("gallery", "query", "train")
LABEL_FILE_PATTERN = rf"({'|'.join(SPLITS)})_part([0-9]{{1,9}})\.txt"
"""``train_part1.txt`` labels the frames of the split "train" of protocol "p1"."""

_name = re.compile(FRAME_NAME_PATTERN)
_label_file = re.compile(LABEL_FILE_PATTERN)


class FrameName(NamedTuple):
    """What a frame's name says."""

    group_id: str
    """As spelled."""
    member_count: int
    """How many persons are in the group; some of them may not be labelled in the frame."""
    camera: int
    time: str
    """"day" or "night"."""


def parse_frame_name(name: str) -> FrameName | None:
    """Take a frame's name, without extension, apart; None where it is not of this form."""
    match = _name.fullmatch(name)
    return FrameName(match[1], int(match[2]), int(match[3]), match[4]) if match is not None else None


def parse_label_file(name: str) -> tuple[str, str] | None:
    """The protocol ("p1") and the split that a label file of this name is of; None where it is no label file."""
    match = _label_file.fullmatch(name)
    return (f"p{match[2]}", match[1]) if match is not None else None
