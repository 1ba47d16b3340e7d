"""Which archive members can be taken, as their directory entry says it."""

import re

import pyarrow as pa
import pyarrow.compute as pc

STORED = 0
DEFLATED = 8

# General purpose bits (APPNOTE.TXT 4.4.4) of members whose data is not what the method alone says.
_REFUSED_FLAGS = {
    1 << 0: "is encrypted",
    1 << 5: "holds patched data",
    1 << 6: "is encrypted (strong encryption)",
    1 << 13: "is encrypted (its directory as well)",
}
_ANY_REFUSED_FLAG = sum(_REFUSED_FLAGS)

# For RE2, where "$" is the end of the text only; the same rules as ``_name_fault``.
_UNSAFE_NAME = r"^/|^[A-Za-z]:|\\|\x00|(?:^|/)\.\.(?:/|$)"


def support_fault(method: int, flags: int, name: str) -> str | None:
    """Why a member cannot be taken, or None where it can.

    Args:
        method: Compression method (APPNOTE.TXT 4.4.5).
        flags: General purpose bits (4.4.4).
        name: Full name in the archive.
    """
    for bit, why in _REFUSED_FLAGS.items():
        if flags & bit:
            return f"the member {why}: flags {flags:#06x}"
    if method not in {STORED, DEFLATED}:
        return f"the member is packed by method {method}: only stored (0) and deflated (8) are taken"
    name_fault = _name_fault(name)
    return name_fault and f"the member's name {name!r} {name_fault}"


def _name_fault(name: str) -> str | None:
    """Why a name is unsafe: nothing is unpacked to a folder here, but such an archive is not what it says it is."""
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


def unsupported_members(members: pa.Table) -> list[tuple[int, str]]:
    """The rows of ``ZipDirectory.members`` that cannot be taken, by rising row, each with ``support_fault``'s why."""
    flags, methods, names = (members.column(name) for name in ("flags", "method", "name"))
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
