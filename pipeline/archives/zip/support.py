"""Which entries of a zip archive are supported, judged by the directory."""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives.names import are_unsafe, name_fault

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
    unsafe = name_fault(name)
    return unsafe and f"the entry's name {name!r} {unsafe}"


def unsupported_entries(entries: pa.Table) -> list[tuple[int, str]]:
    """Return the rows of ``ZipDirectory.entries`` that are not supported, in order, each with its ``support_fault``."""
    flags, methods, names = (entries.column(name) for name in ("flags", "method", "name"))
    supported_methods = pa.array([STORED, DEFLATED], pa.uint16())
    refused = pc.or_(
        pc.not_equal(pc.bit_wise_and(flags, pa.scalar(_ANY_REFUSED_FLAG, pa.uint16())), 0),
        pc.invert(pc.is_in(methods, value_set=supported_methods)),
    )
    refused = pc.or_(refused, are_unsafe(names))
    faults = []
    for row in pc.indices_nonzero(refused).to_pylist():
        why = support_fault(methods[row].as_py(), flags[row].as_py(), names[row].as_py())
        assert why is not None, f"row {row} was refused without a reason"
        faults.append((row, why))
    return faults
