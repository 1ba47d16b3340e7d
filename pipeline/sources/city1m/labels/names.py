"""The names of City1M's frame files, in whole columns: which names are those of frames, and what they say.

``shards_spec.variants.city1m.names`` defines the form of the names; the files' extension is ``.jpg``.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shards_spec.variants.city1m.names import FRAME_NAME_PATTERN

FRAME_EXTENSION = ".jpg"

LARGEST_KEY = 90
"""Most characters of a sample's key, as ``shards_spec.sidecar.KEY_PATTERN`` says; stems use the alphabet of keys."""

LARGEST_PERSON_ID = 2**31 - 1
"""Largest person id, because ids are int32 in the catalog and the index."""

SURE_STEM = LARGEST_KEY - len(f"_p{LARGEST_PERSON_ID}")
"""Characters of a stem that leave room for any person id."""

_LARGEST_STEM = LARGEST_KEY - len("_p0")
_FILE = re.compile(rf"({FRAME_NAME_PATTERN})\.jpg".encode())
_FILE_COLUMN = rf"^(?:{FRAME_NAME_PATTERN.replace('?P<group_id>', '?:')})\.jpg$"
_FOLDERS = r"(?s)^.*[/\\]"


@dataclass(frozen=True, slots=True)
class FrameNames:
    """What frame names say, with one row for each frame."""

    group_ids: pa.Array
    """Group ids as spelled (strings)."""
    member_counts: npt.NDArray[np.int32]
    cameras: npt.NDArray[np.int32]
    times: pa.Array
    """"day" or "night" (strings)."""


def base_names(members: Any) -> Any:
    """Return the names of archive entries without their folders.

    Args:
        members: A string array or chunked array. A backslash ends a folder as well, so that such members are refused
            later under the name of the frame that they hold.
    """
    return pc.replace_substring_regex(members, _FOLDERS, "", max_replacements=1)


def are_frame_files(names: Any) -> Any:
    """Return which file names are those of a frame, with the extension and a stem of any length.

    Args:
        names: A string or binary array or chunked array; binary values need not be UTF-8.
    """
    return pc.match_substring_regex(names, _FILE_COLUMN)


def parse_stems(stems: Any) -> FrameNames:
    """Parse frame names.

    Args:
        stems: A string array of names without extensions, each of which is that of a frame.
    """
    parts = pc.extract_regex(stems, f"^{FRAME_NAME_PATTERN}$")
    if parts.null_count:
        raise ValueError(f"{stems.filter(parts.is_null())[0].as_py()!r} is no frame's name")
    return FrameNames(
        group_ids=parts.field("group_id"),
        member_counts=parts.field("count").cast(pa.int32()).to_numpy(),
        cameras=parts.field("camera").cast(pa.int32()).to_numpy(),
        times=parts.field("time"),
    )


def frame_stem(name: bytes) -> str | None:
    """Return a frame's name without its extension; None if it is not that of a frame, or too long for any key."""
    match = _FILE.fullmatch(name)
    return match[1].decode() if match is not None and len(match[1]) <= _LARGEST_STEM else None
