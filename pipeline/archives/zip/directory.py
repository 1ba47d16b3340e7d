"""The directory of a zip archive as columns: what the archive holds, and where. It is read by byte ranges from the end.

Section numbers are those of PKWARE's APPNOTE.TXT 6.3.10, the description of the zip format.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.archives.errors import ArchiveError, damaged
from pipeline.archives.zip.end_records import DirectoryLocation, locate_directory
from shards_spec.storage import Store

BLOCK_SIZE = 4 << 20
"""Bytes of the directory that are read at a time: some 30,000 entries, so that little memory is needed beside the
columns."""

LOCAL_HEADER_SIZE = 30
"""Bytes of a local header before its name (4.3.7)."""

UTF8_FLAG = 1 << 11
"""General purpose bit 11: the name is UTF-8. Without it, the name is in code page 437 (4.4.4, appendix D)."""

# 4.3.12: a directory entry before its name.
_ENTRY = np.dtype(
    [
        ("signature", "<u4"),
        ("made_by", "<u2"),
        ("needed", "<u2"),
        ("flags", "<u2"),
        ("method", "<u2"),
        ("time", "<u2"),
        ("date", "<u2"),
        ("crc32", "<u4"),
        ("compressed_size", "<u4"),
        ("size", "<u4"),
        ("name_length", "<u2"),
        ("extra_length", "<u2"),
        ("comment_length", "<u2"),
        ("disk", "<u2"),
        ("internal", "<u2"),
        ("external", "<u4"),
        ("offset", "<u4"),
    ]
)
_ENTRY_SIGNATURE = 0x02014B50
_ENTRY_LENGTHS = struct.Struct("<3H")  # name, extra, comment
_ENTRY_LENGTHS_AT = 28

_EXTRA_FIELD = np.dtype([("id", "<u2"), ("length", "<u2")])  # 4.5.1
_ZIP64_FIELD = 0x0001  # 4.5.3
_IN_ZIP64_FIELD_16 = 0xFFFF
_IN_ZIP64_FIELD_32 = 0xFFFFFFFF
_LARGEST_INT64 = (1 << 63) - 1

_Integers = npt.NDArray[np.integer[Any]]


_COLUMNS = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("compressed_size", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("crc32", pa.uint32(), nullable=False),
        pa.field("method", pa.uint16(), nullable=False),
        pa.field("flags", pa.uint16(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class ZipDirectory:
    """What a zip archive holds."""

    path: str
    """Path of the archive in its store."""
    size: int
    """Size of the archive in bytes."""
    sha256: str
    """SHA-256 of the directory's bytes, in hex."""
    entries: pa.Table
    """One row for each entry, in the directory's order; repeated names are kept. The columns are:

    - ``name`` string, as stored (a folder's ends with ``/``);
    - ``offset`` int64, of the local header in the file, bytes;
    - ``extent`` int64, bytes from there to the next local header by offset, or to the directory;
    - ``compressed_size`` int64 and ``size`` int64, bytes;
    - ``crc32`` uint32, ``method`` uint16 (0 stored, 8 deflated), ``flags`` uint16 (4.4.4).
    """


def read_zip_directory(store: Store, path: str) -> ZipDirectory:
    """Read the directory of the zip archive ``path``.

    ZIP64, archive comments and data before the archive (a self-extractor) are supported. Only the last 64 KiB of the
    file and the directory itself are read, the latter in blocks of ``BLOCK_SIZE``.

    Raises:
        ArchiveError: The file is no zip archive, is cut off, is a part of several, or its directory contradicts itself
            or the file's size.
    """
    size = store.size(path)
    location = locate_directory(store, path, size)
    digest = hashlib.sha256()
    batches = list(_read_entries(store, path, location, digest))
    count = sum(batch.num_rows for batch in batches)
    if (count - location.entries) % location.entries_modulo:
        raise damaged(path, f"its directory holds {count} entries, but its end record counts {location.entries}")
    entries = pa.Table.from_batches(batches, _COLUMNS)
    offsets = entries.column("offset").to_numpy()
    extents = pa.array(_extents(offsets, location.start), pa.int64())
    entries = entries.add_column(2, pa.field("extent", pa.int64(), nullable=False), extents)
    return ZipDirectory(path, size, digest.hexdigest(), entries)


def decode_name(raw: bytes, flags: int) -> str:
    r"""Decode an entry's name as general purpose bit 11 of ``flags`` says.

    Bytes that should be UTF-8 and are not become ``\xNN``, so that one odd name does not make the archive unreadable.
    """
    return raw.decode("utf-8" if flags & UTF8_FLAG else "cp437", "backslashreplace")


def _read_entries(store: Store, path: str, location: DirectoryLocation, digest: Any) -> Iterator[pa.RecordBatch]:
    """Yield the directory's entries, one batch for each block; update ``digest`` with the directory's bytes."""
    rest = b""
    for start in range(location.start, location.stop, BLOCK_SIZE):
        piece = store.read(path, start, min(start + BLOCK_SIZE, location.stop))
        digest.update(piece)
        block = rest + piece
        positions, names, end = _walk(block)
        if positions:
            block_start = start - len(rest)
            yield _parse(path, location, block_start, block, np.array(positions), names)
        rest = block[end:]
    if rest:
        raise damaged(path, f"its directory ends inside the entry at byte {location.stop - len(rest)}")


def _walk(block: bytes) -> tuple[list[int], list[bytes], int]:
    """Return the positions and names of the whole entries in ``block``, and where they end. Ignore signatures."""
    positions = []
    names = []
    position = 0
    unpack_lengths = _ENTRY_LENGTHS.unpack_from
    last = len(block) - _ENTRY.itemsize
    while position <= last:
        name_length, extra_length, comment_length = unpack_lengths(block, position + _ENTRY_LENGTHS_AT)
        name_at = position + _ENTRY.itemsize
        extra_at = name_at + name_length
        end = extra_at + extra_length + comment_length
        if end > len(block):
            break
        positions.append(position)
        names.append(block[name_at:extra_at])
        position = end
    return positions, names, position


def _parse(
    path: str, location: DirectoryLocation, block_start: int, block: bytes, positions: _Integers, raw_names: list[bytes]
) -> pa.RecordBatch:
    """Return the entries at ``positions`` of ``block``, which begins at ``block_start`` in the file, as columns."""
    data = np.frombuffer(block, np.uint8)
    entries = _gather(data, positions, _ENTRY)
    unsigned = np.flatnonzero(entries["signature"] != _ENTRY_SIGNATURE)
    if unsigned.size:
        raise damaged(path, f"no directory entry stands at byte {block_start + positions[unsigned[0]]}")
    flags = entries["flags"]
    names = _decode_names(raw_names, flags)
    elsewhere = np.flatnonzero((entries["disk"] != 0) & (entries["disk"] != _IN_ZIP64_FIELD_16))
    if elsewhere.size:
        row = int(elsewhere[0])
        raise ArchiveError(
            f"{path}: entry {names[row].as_py()!r} lies in part {entries['disk'][row]} of a split archive: "
            "join the parts first (zip -s 0 SPLIT.zip --out WHOLE.zip)"
        )
    values = {name: entries[name].astype(np.uint64) for name in ("size", "compressed_size", "offset")}
    extra_at = positions + _ENTRY.itemsize + entries["name_length"]
    short = _widen(data, extra_at, extra_at + entries["extra_length"], values)
    if short is not None:
        raise damaged(path, f"the directory's ZIP64 field for entry {names[short].as_py()!r} is missing or short")
    size, compressed_size, offset = values.values()
    # Neither the offsets nor the limit include the data before the archive. Each offset is checked against the limit
    # before they are added, so the sum cannot overflow.
    limit = location.start - location.shift
    outside = (offset > limit) | (compressed_size > limit) | (size > _LARGEST_INT64)
    outside |= offset + compressed_size + LOCAL_HEADER_SIZE > limit
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise damaged(
            path,
            f"entry {names[row].as_py()!r} should take {compressed_size[row]} bytes ({size[row]} unpacked) from "
            f"byte {offset[row]}, but the directory begins at byte {limit}",
        )
    columns = [
        names,
        offset.astype(np.int64) + location.shift,
        compressed_size.astype(np.int64),
        size.astype(np.int64),
        *(np.ascontiguousarray(entries[name]) for name in ("crc32", "method", "flags")),
    ]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=_COLUMNS)


def _gather(data: npt.NDArray[np.uint8], positions: _Integers, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the values of ``dtype`` at arbitrary byte ``positions`` of ``data``."""
    windows = np.lib.stride_tricks.sliding_window_view(data, dtype.itemsize)
    return windows[positions].view(dtype)[:, 0]


def _decode_names(raw_names: list[bytes], flags: _Integers) -> pa.Array:
    if b"".join(raw_names).isascii():  # both encodings agree on ASCII: no name has to be decoded by itself
        return pa.array(raw_names, pa.binary()).cast(pa.string())
    return pa.array(map(decode_name, raw_names, flags.tolist()), pa.string())


def _widen(
    data: npt.NDArray[np.uint8], starts: _Integers, stops: _Integers, values: dict[str, npt.NDArray[np.uint64]]
) -> int | None:
    """Replace the numbers that do not fit into 32 bits by those of the ZIP64 field (4.5.3).

    Args:
        data: A block of the directory.
        starts: Where the entries' extra fields begin in it.
        stops: Where they end.
        values: Columns in the order in which the field holds them; they are changed in place. The field holds only the
            numbers that the entry itself cannot hold.

    Returns:
        The first row whose field is missing or short, or None.
    """
    in_field = [column == _IN_ZIP64_FIELD_32 for column in values.values()]
    rows = np.flatnonzero(np.logical_or.reduce(in_field))
    if not rows.size:
        return None
    cursors, ends = _find_zip64_fields(data, starts[rows], stops[rows])
    for column, is_in_field in zip(values.values(), in_field, strict=True):
        wide = is_in_field[rows]
        short = np.flatnonzero(wide & (cursors + 8 > ends))
        if short.size:
            return int(rows[short[0]])
        column[rows[wide]] = _gather(data, cursors[wide], np.dtype("<u8"))
        cursors += 8 * wide
    return None


def _find_zip64_fields(data: npt.NDArray[np.uint8], starts: _Integers, stops: _Integers) -> tuple[_Integers, _Integers]:
    """Return where the content of each row's ZIP64 field begins and ends; the range is empty if there is none."""
    cursors, ends = starts.copy(), starts.copy()
    rows = np.flatnonzero(cursors + _EXTRA_FIELD.itemsize <= stops)
    while rows.size:  # one iteration a field, for all rows at once; most entries have one or two
        fields = _gather(data, cursors[rows], _EXTRA_FIELD)
        cursors[rows] += _EXTRA_FIELD.itemsize
        next_fields = cursors[rows] + fields["length"]
        found = fields["id"] == _ZIP64_FIELD
        ends[rows[found]] = np.minimum(next_fields, stops[rows])[found]
        rows, next_fields = rows[~found], next_fields[~found]
        cursors[rows] = next_fields
        rows = rows[next_fields + _EXTRA_FIELD.itemsize <= stops[rows]]
    return cursors, ends


def _extents(offsets: npt.NDArray[np.int64], directory_start: int) -> npt.NDArray[np.int64]:
    """Return the bytes from each local header to the next one at another offset, or to the directory."""
    starts = np.append(np.sort(offsets), directory_start)
    return np.asarray(starts[np.searchsorted(starts, offsets, side="right")] - offsets, np.int64)
