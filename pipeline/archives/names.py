"""Names of archives and of their entries."""

import re
from typing import Any

import pyarrow.compute as pc

# The same rules as in ``name_fault``, for RE2, in which "$" matches only the end of the text.
_UNSAFE_NAME = r"^/|^[A-Za-z]:|\\|\x00|(?:^|/)\.\.(?:/|$)"


def natural_key(path: str) -> tuple[list[str | int], str]:
    """Return a key that sorts numbers in paths by their value: ``part2.tar`` stands before ``part10.tar``."""
    pieces = re.split("([0-9]+)", path)  # text and digits in turn
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)], path


def name_fault(name: str) -> str | None:
    """Return why a name is unsafe; None if it is safe.

    Nothing is unpacked into folders here, but an archive with such a name is not what it claims to be.
    """
    if name.startswith("/"):
        return "is absolute"
    if re.match("[A-Za-z]:", name):
        return "begins with a drive letter"
    if "\\" in name:
        return "holds a backslash"
    if "\0" in name:
        return "holds a NUL"
    if ".." in name.split("/"):
        return "leaves the archive"
    return None


def are_unsafe(names: Any) -> Any:
    """Return for each name in an array whether ``name_fault`` finds something wrong with it."""
    return pc.match_substring_regex(names, _UNSAFE_NAME)
