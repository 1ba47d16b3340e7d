"""Finding a zip archive's directory: the records at the end of the file.

Section numbers are those of PKWARE's APPNOTE.TXT 6.3.10, the description of the zip format.
"""

import struct
from typing import NamedTuple

from pipeline.archives.errors import ArchiveError, damaged
from pipeline.archives.sniff import HEAD_BYTES, foreign_to_zip
from shards_spec.storage import Store

_END = struct.Struct("<4s4H2LH")  # 4.3.16: end of central directory
_END_SIGNATURE = b"PK\x05\x06"
_LARGEST_COMMENT = 0xFFFF
_LOCATOR = struct.Struct("<4sLQL")  # 4.3.15: ZIP64 end of central directory locator
_LOCATOR_SIGNATURE = b"PK\x06\x07"
_END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14: ZIP64 end of central directory
_END64_SIGNATURE = b"PK\x06\x06"
_END64_UNCOUNTED = 12  # the record's size leaves out its signature and the size itself (4.3.14.1)


class DirectoryLocation(NamedTuple):
    """Where an archive's directory lies in its file, and how many entries it has."""

    start: int
    """Offset in the file, bytes."""
    stop: int
    shift: int
    """Bytes of foreign data before the archive, which the offsets in its directory do not include."""
    entries: int
    entries_modulo: int
    """The number of entries is only known modulo this number."""


class _Tail(NamedTuple):
    """The end of the file."""

    start: int
    data: bytes


def locate_directory(store: Store, path: str, size: int) -> DirectoryLocation:
    """Find the directory of an archive of ``size`` bytes from the records at its end (4.3.6).

    Raises:
        ArchiveError: There are none, they contradict each other or the file's size, or the archive is split.
    """
    tail_start = max(0, size - (_LOCATOR.size + _END.size + _LARGEST_COMMENT))
    tail = _Tail(tail_start, store.read(path, tail_start, size))
    end_at = _find_end(tail)
    if end_at is None:
        foreign = foreign_to_zip(store.read(path, 0, min(size, HEAD_BYTES)))
        raise ArchiveError(
            f"{path} is no zip archive: {foreign}"
            if foreign is not None
            else f"{path}: the file is truncated, or is no zip archive ({size} bytes, no directory at its end): "
            "download it again"
        )
    _, disk, start_disk, disk_entries, entries, length, offset, _ = _END.unpack_from(tail.data, end_at - tail.start)
    stop, entries_modulo, disks = end_at, 1 << 16, 1
    end64 = _read_end64(store, path, tail, end_at)
    if end64 is not None:
        stop, disks, disk, start_disk, disk_entries, entries, length, offset = end64
        entries_modulo = 1 << 64
    if disk or start_disk or disks > 1:
        raise ArchiveError(
            f"{path}: is a part of an archive split over {max(disk, start_disk, disks - 1) + 1} files: "
            "join them first (zip -s 0 SPLIT.zip --out WHOLE.zip)"
        )
    if disk_entries != entries:
        raise damaged(path, f"its end record counts {disk_entries} entries in this file, but {entries} in all")
    start = stop - length
    if start < 0:
        raise damaged(path, f"its directory should take {length} bytes, but only {stop} stand before its end record")
    if start < offset:
        raise damaged(path, f"{offset - start} bytes are missing before its directory at byte {start}")
    # Writers without ZIP64 (macOS Archive Utility) count entries modulo 65,536; the directory's length is right
    # nevertheless.
    return DirectoryLocation(start, stop, start - offset, entries, entries_modulo)


def _find_end(tail: _Tail) -> int | None:
    """Return the offset of the end record, whose comment must end where the file ends.

    A record that is followed by anything else is ignored: it may belong to an archive inside a truncated archive.
    """
    at = len(tail.data)
    while (at := tail.data.rfind(_END_SIGNATURE, 0, at)) >= 0:
        comment_at = at + _END.size
        if comment_at <= len(tail.data):
            comment_length = _END.unpack_from(tail.data, at)[-1]
            if comment_at + comment_length == len(tail.data):
                return tail.start + at
    return None


def _read_end64(store: Store, path: str, tail: _Tail, end_at: int) -> tuple[int, ...] | None:
    """Read the ZIP64 end record if there is one.

    Returns:
        Its offset in the file; the numbers of disks, of this disk and of the directory's; entries on this disk and in
        all; the directory's size in bytes, and its offset as the archive counts.
    """
    locator_at = end_at - _LOCATOR.size
    if locator_at < tail.start:
        return None
    signature, _, stated_at, disks = _LOCATOR.unpack_from(tail.data, locator_at - tail.start)
    if signature != _LOCATOR_SIGNATURE:
        return None
    # If there is data before the archive, the stated offset is too small. The record then lies right before its
    # locator.
    for at in (stated_at, locator_at - _END64.size):
        if 0 <= at <= locator_at - _END64.size:
            signature, length, _, _, *record = _END64.unpack(store.read(path, at, at + _END64.size))
            if signature == _END64_SIGNATURE and at + _END64_UNCOUNTED + length == locator_at:
                return at, disks, *record
    raise damaged(path, f"no ZIP64 end record stands at byte {stated_at}, nor right before byte {locator_at}")
