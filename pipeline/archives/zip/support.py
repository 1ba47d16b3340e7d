"""Which entries of a zip archive are supported, judged by the directory."""

import re

import pyarrow as pa
import pyarrow.compute as pc

STORED = 0
DEFLATED = 8

# General purpose bits (APPNOTE.TXT 4.4.4) of entries that cannot be unpacked by their method alone.
_REFUSED_FLAGS = {
    1 << 0: "is encrypted",
    1 << 5: "holds patched data",
    1 << 6: "is encrypted (strong encryption)",
    1 << 13: "is encrypted (its directory as well)",
}
_ANY_REFUSED_FLAG = sum(_REFUSED_FLAGS)

# The same rules as in ``_name_fault``, for RE2, in which "$" matches only the end of the text.
_UNSAFE_NAME = r"^/|^[A-Za-z]:|\\|\x00|(?:^|/)\.\.(?:/|$)"


def support_fault(method: int, flags: int, name: str) -> str | None:
    """Return why an entry is not supported; None if it is.

    Args:
        method: The compression method (APPNOTE.TXT 4.4.5).
        flags: The general purpose bits (4.4.4).
        name: The full name in the archive.
    """
    for bit, why in _REFUSED_FLAGS.items():
        if flags & bit:
            return f"the entry {why}: flags {flags:#06x}"
    if method not in {STORED, DEFLATED}:
        return f"the entry is packed by method {method}: only stored (0) and deflated (8) are taken"
    name_fault = _name_fault(name)
    return name_fault and f"the entry's name {name!r} {name_fault}"


def _name_fault(name: str) -> str | None:
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


def unsupported_entries(entries: pa.Table) -> list[tuple[int, str]]:
    """Return the rows of ``ZipDirectory.entries`` that are not supported, in order, each with its ``support_fault``."""
    flags, methods, names = (entries.column(name) for name in ("flags", "method", "name"))
    supported_methods = pa.array([STORED, DEFLATED], pa.uint16())
    refused = pc.or_(
        pc.not_equal(pc.bit_wise_and(flags, pa.scalar(_ANY_REFUSED_FLAG, pa.uint16())), 0),
        pc.invert(pc.is_in(methods, value_set=supported_methods)),
    )
    refused = pc.or_(refused, pc.match_substring_regex(names, _UNSAFE_NAME))
    faults = []
    for row in pc.indices_nonzero(refused).to_pylist():
        why = support_fault(methods[row].as_py(), flags[row].as_py(), names[row].as_py())
        assert why is not None, f"row {row} was refused without a reason"
        faults.append((row, why))
    return faults
