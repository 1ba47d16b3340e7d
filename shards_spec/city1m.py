"""City1M's frame names, ``<group id>_pCount<members>_cam<camera>_<index>_<day|night>``, and what they say.

The pattern is the one that the dataset's README describes and its label files use, such as
``0009501_pCount2_cam1_0000001_day``. The README writes the group id with seven and with eight digits, so any number of
digits is taken and kept as spelled. Camera and member count are bounded to nine digits, so that they fit int32.
"""

import re
from typing import NamedTuple

# RE2 and re agree on this; [0-9], for \d is any script's digits to re.
FRAME_NAME_PATTERN = (
    "(?P<group_id>[0-9]+)_pCount(?P<count>[0-9]{1,9})_cam(?P<camera>[0-9]{1,9})_[0-9]+_(?P<time>day|night)"
)

_name = re.compile(FRAME_NAME_PATTERN)


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
