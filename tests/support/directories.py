"""Zip archives as bytes to change, and what their directories are taken for."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.archives import ArchiveError, ZipDirectory, read_zip_directory
from shards_spec.storage import LocalStore

NAME = "Images_2/0009501_pCount2_cam1_0000001_day.jpg"
END = struct.Struct("<4s4H2LH")
LOCATOR = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
GIB = 1 << 30


def make_zip(entries: dict[str, bytes], *, method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.comment = comment
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def split_end(data: bytes) -> tuple[bytes, list[Any]]:
    """An archive without comment as what stands before its end record, and that record's fields."""
    return data[: -END.size], list(END.unpack(data[-END.size :]))


def read(tmp_path: Path, data: bytes) -> ZipDirectory:
    (tmp_path / "a.zip").write_bytes(data)
    return read_zip_directory(LocalStore(tmp_path), "a.zip")


def refuse(tmp_path: Path, data: bytes, match: str) -> None:
    with pytest.raises(ArchiveError, match=match) as caught:
        read(tmp_path, data)
    assert str(caught.value).startswith("a.zip: ")


def assert_as_zipfile(found: ZipDirectory, file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
    rows = found.entries.to_pylist()
    assert [row["name"] for row in rows] == [info.orig_filename for info in infos]
    assert [row["offset"] for row in rows] == [info.header_offset for info in infos]
    assert [row["compressed_size"] for row in rows] == [info.compress_size for info in infos]
    assert [row["size"] for row in rows] == [info.file_size for info in infos]
    assert [row["crc32"] for row in rows] == [info.CRC for info in infos]
    assert [row["method"] for row in rows] == [info.compress_type for info in infos]
    assert [row["flags"] for row in rows] == [info.flag_bits for info in infos]
    assert all(row["extent"] >= 30 + row["compressed_size"] for row in rows)
    assert found.size == file.stat().st_size


def zip64_archive(
    fields: bytes, *, size: int = 0xFFFFFFFF, packed: int = 0xFFFFFFFF, offset: int = 0xFFFFFFFF
) -> bytes:
    """One stored entry "a" of 4 bytes whose directory entry has ``fields`` as its extra fields."""
    before, end = split_end(make_zip({"a": b"data"}))
    entry = bytearray(before[end[6] :])
    struct.pack_into("<2L", entry, 20, packed, size)
    struct.pack_into("<H", entry, 30, len(fields))
    struct.pack_into("<L", entry, 42, offset)
    end[5] += len(fields)
    return before[: end[6]] + bytes(entry) + fields + END.pack(*end)


def zip64_end(before: bytes, end: list[Any], **changes: int) -> bytes:
    """``before`` with ZIP64 end records; ``changes`` of their fields."""
    at = len(before)
    record = {"length": 44, "disk": 0, "start_disk": 0, "here": end[3], "entries": end[4], "size": end[5]}
    record |= {"offset": end[6], "at": at, "disks": 1} | changes
    return (
        before
        + END64.pack(b"PK\x06\x06", record["length"], 45, 45, *(list(record.values())[1:7]))
        + LOCATOR.pack(b"PK\x06\x07", 0, record["at"], record["disks"])
        + END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    )
