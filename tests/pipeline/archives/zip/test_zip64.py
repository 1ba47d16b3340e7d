"""Archives over 4 GiB or over 65,535 entries: the fields and records for what 32 and 16 bits cannot say."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from pipeline.archives import read_zip_directory
from shards_spec.storage import LocalStore
from tests.support.directories import (
    END,
    GIB,
    LOCATOR,
    NAME,
    assert_as_zipfile,
    make_zip,
    read,
    refuse,
    split_end,
    zip64_archive,
    zip64_end,
)


def test_zip64_fields_of_small_entries(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, archive.open(NAME, "w", force_zip64=True) as entry:
        entry.write(b"frame")
    found = read(tmp_path, file.getvalue())
    assert found.entries.column("size").to_pylist() == [5]


@pytest.mark.parametrize("prefix", [b"", b"stub"])
def test_sparse_archive_over_four_gib(tmp_path: Path, prefix: bytes) -> None:
    file = tmp_path / "a.zip"
    with file.open("w+b") as raw:
        with zipfile.ZipFile(raw, "w") as archive:
            archive.writestr("near.jpg", b"near")
            archive.start_dir = 5 * GIB
            archive.writestr("far.jpg", b"far" * 9)
            archive.writestr("farther.jpg", b"farther" * 9)
        end = raw.tell()
    if prefix:
        # What is put before the archive shifts everything: written here as a second file with a hole.
        whole = tmp_path / "b.zip"
        with file.open("rb") as source, whole.open("wb") as target:
            target.write(prefix + source.read(100))
            source.seek(5 * GIB)
            target.seek(5 * GIB + len(prefix))
            target.write(source.read())
        whole.replace(file)
    found = read_zip_directory(LocalStore(tmp_path), "a.zip")
    assert found.size == end + len(prefix)
    offsets = [len(prefix) + offset for offset in (0, 5 * GIB, 5 * GIB + 30 + 7 + 27)]
    assert found.entries.column("offset").to_pylist() == offsets
    assert found.entries.column("extent").to_pylist()[:2] == [5 * GIB, 64]
    if not prefix:
        assert_as_zipfile(found, file)


TIMES = struct.pack("<HHBL", 0x5455, 5, 1, 0)


@pytest.mark.parametrize("around", [(b"", b""), (TIMES, b""), (TIMES * 3, TIMES), (b"", b"\x01\x00\x00")])
def test_zip64_field_among_others(tmp_path: Path, around: tuple[bytes, bytes]) -> None:
    before, after = around
    every = struct.pack("<HHQQQ", 1, 24, 4, 4, 0)
    only_packed = struct.pack("<HHQ", 1, 8, 4)
    for data in (zip64_archive(before + every + after), zip64_archive(before + only_packed + after, size=4, offset=0)):
        (row,) = read(tmp_path, data).entries.to_pylist()
        assert (row["size"], row["compressed_size"], row["offset"], row["extent"]) == (4, 4, 0, 35)


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        TIMES,
        struct.pack("<HH", 1, 0),
        struct.pack("<HHQ", 1, 8, 4),  # one number where three are needed
        struct.pack("<HHQQ", 1, 24, 4, 4),  # longer than the extra fields
        struct.pack("<HH", 0x5455, 0xFFFF) + struct.pack("<HHQQQ", 1, 24, 4, 4, 0),
    ],
)
def test_zip64_field_missing_or_short(tmp_path: Path, fields: bytes) -> None:
    refuse(tmp_path, zip64_archive(fields), "ZIP64 field for entry 'a' is missing or short.*download it again")


def test_zip64_end_records(tmp_path: Path) -> None:
    before, end = split_end(make_zip({"a": b"data", "b": b"more"}))
    data = zip64_end(before, end)
    for prefix in (b"", b"stub" * 5):
        assert read(tmp_path, prefix + data).entries.num_rows == 2
    commented = data[:-2] + struct.pack("<H", 0xFFFF) + b"x" * 0xFFFF
    assert read(tmp_path, commented).entries.num_rows == 2


def test_zip64_end_record_with_an_extension(tmp_path: Path) -> None:
    before, end = split_end(make_zip({"a": b"data", "b": b"more"}))
    data = zip64_end(before, end, length=44 + 100)
    locator_at = len(data) - LOCATOR.size - END.size
    assert read(tmp_path, data[:locator_at] + bytes(100) + data[locator_at:]).entries.num_rows == 2


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"at": 1}, None),  # found right before its locator
        ({"at": 1 << 63}, None),
        ({"length": 45}, "no ZIP64 end record"),
        ({"disks": 2}, "split over 2 files"),
        ({"disk": 2}, "split over 3 files"),
        ({"here": 1}, "counts 1 entries in this file, but 2 in all"),
        ({"here": 1 << 63, "entries": 1 << 63}, f"counts {1 << 63}"),
        ({"here": 2 + (1 << 16), "entries": 2 + (1 << 16)}, "counts 65538"),
        ({"size": (1 << 64) - 1}, "should take 18446744073709551615 bytes"),
        ({"offset": (1 << 64) - 1}, "bytes are missing"),
    ],
)
def test_zip64_end_records_that_contradict_the_file(tmp_path: Path, changes: dict[str, int], match: str | None) -> None:
    before, end = split_end(make_zip({"a": b"data", "b": b"more"}))
    data = zip64_end(before, end, **changes)
    if match is None:
        assert read(tmp_path, data).entries.num_rows == 2
    else:
        refuse(tmp_path, data, match)
