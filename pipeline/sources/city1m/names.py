"""City1M's frame files in whole columns: which names are a frame's, and what they say.

``shards_spec.city1m`` has the form of the names; the file's extension is ``.jpg``.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shards_spec.city1m import FRAME_NAME_PATTERN

FRAME_EXTENSION = ".jpg"

LARGEST_KEY = 90
"""Characters of a sample's key, as ``shards_spec.sidecar.KEY_PATTERN`` has it; a stem is of the keys' alphabet."""

LARGEST_PERSON_ID = 2**31 - 1
"""Person ids are int32 in the catalog and the index."""

SURE_STEM = LARGEST_KEY - len(f"_p{LARGEST_PERSON_ID}")
"""Characters of a stem that leave room for any person id."""

_LARGEST_STEM = LARGEST_KEY - len("_p0")
_FILE = re.compile(rf"({FRAME_NAME_PATTERN})\.jpg".encode())
_FILE_COLUMN = rf"^(?:{FRAME_NAME_PATTERN.replace('?P<group_id>', '?:')})\.jpg$"
_FOLDERS = r"(?s)^.*[/\\]"


@dataclass(frozen=True, slots=True)
class FrameNames:
    """What frame names say, a row a frame."""

    group_ids: pa.Array
    """String, as spelled."""
    member_counts: npt.NDArray[np.int32]
    cameras: npt.NDArray[np.int32]
    times: pa.Array
    """String: "day" or "night"."""


def base_names(members: Any) -> Any:
    """Names of archive members without their folders.

    Args:
        members: String array or chunked array. A backslash counts as a folder's end as well: such members are refused
            later, by the name of the frame that they hold.
    """
    return pc.replace_substring_regex(members, _FOLDERS, "", max_replacements=1)


def are_frame_files(names: Any) -> Any:
    """Which file names are a frame's, with its extension; any stem's length.

    Args:
        names: String or binary array or chunked array; binary values need not be UTF-8.
    """
    return pc.match_substring_regex(names, _FILE_COLUMN)


def parse_stems(stems: Any) -> FrameNames:
    """Take frame names apart.

    Args:
        stems: String array of names without extension, each of them a frame's.
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
    """The frame's name without extension, or None where ``name`` is no frame's file or too long for any key."""
    match = _FILE.fullmatch(name)
    return match[1].decode() if match is not None and len(match[1]) <= _LARGEST_STEM else None
