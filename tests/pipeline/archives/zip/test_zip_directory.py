"""Directories of archives that others wrote, that are cut, damaged or made up."""

import contextlib
import hashlib
import io
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.archives import ArchiveError, read_zip_directory, support_fault, unsupported_entries
from pipeline.archives.zip import directory
from shards_spec.errors import UsageError
from shards_spec.storage import LocalStore
from tests.support.directories import (
    END,
    END64,
    NAME,
    assert_as_zipfile,
    make_zip,
    read,
    refuse,
    split_end,
    zip64_archive,
    zip64_end,
)


def test_columns_sizes_and_digest(tmp_path: Path) -> None:
    data = make_zip({NAME: b"frame" * 100, "Images_2/": b"", "b.jpg": b""}, method=zipfile.ZIP_DEFLATED)
    found = read(tmp_path, data)
    assert found.entries.schema == pa.schema(
        [
            pa.field("name", pa.string(), nullable=False),
            pa.field("offset", pa.int64(), nullable=False),
            pa.field("extent", pa.int64(), nullable=False),
            pa.field("compressed_size", pa.int64(), nullable=False),
            pa.field("size", pa.int64(), nullable=False),
            pa.field("crc32", pa.uint32(), nullable=False),
            pa.field("method", pa.uint16(), nullable=False),
            pa.field("flags", pa.uint16(), nullable=False),
        ]
    )
    found.entries.validate(full=True)
    assert_as_zipfile(found, tmp_path / "a.zip")
    before, end = split_end(data)
    assert found.sha256 == hashlib.sha256(before[end[6] :]).hexdigest()
    assert found.entries.column("extent").to_pylist()[-1] == end[6] - found.entries.column("offset").to_pylist()[-1]
    assert sum(found.entries.column("extent").to_pylist()) == end[6]


def test_empty_archive_has_no_rows(tmp_path: Path) -> None:
    found = read(tmp_path, make_zip({}))
    assert found.entries.num_rows == 0
    assert found.entries.column_names[2] == "extent"
    assert unsupported_entries(found.entries) == []


@pytest.mark.parametrize("data", [b"", b"PK", b"not an archive" * 10_000])
def test_not_an_archive(tmp_path: Path, data: bytes) -> None:
    refuse(tmp_path, data, f"{len(data)} bytes, no directory at its end.*download it again")


def test_missing_file_is_the_stores_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_zip_directory(LocalStore(tmp_path), "a.zip")


def test_archive_error_is_a_usage_error() -> None:
    assert issubclass(ArchiveError, UsageError)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("prefix", [b"", b"#!/bin/sh\nPK\x05\x06" * 9])
@pytest.mark.parametrize("comment", [b"", b"PK\x05\x06 is in here", b"x" * 0xFFFF])
def test_methods_prefixes_and_comments(tmp_path: Path, method: int, prefix: bytes, comment: bytes) -> None:
    entries = {f"{i}.jpg": bytes([i]) * i * 50 for i in range(20)}
    data = make_zip(entries, method=method, comment=comment)
    found = read(tmp_path, prefix + data)
    plain = read_zip_directory(LocalStore(tmp_path), "a.zip") if not prefix else read(tmp_path, data)
    assert found.entries.column("name").to_pylist() == list(entries)
    shifted = [offset + len(prefix) for offset in plain.entries.column("offset").to_pylist()]
    assert found.entries.column("offset").to_pylist() == shifted
    assert found.entries.drop_columns("offset").equals(plain.entries.drop_columns("offset"))


def test_names_in_both_encodings(tmp_path: Path) -> None:
    names = {"Ünïcode/人.jpg": b"1", "plain.jpg": b"2"}
    assert read(tmp_path, make_zip(names)).entries.column("name").to_pylist() == list(names)
    # Without the flag, the same bytes are code page 437.
    data = make_zip({"aé": b""})
    raw = "aé".encode()
    unflagged = data.replace(b"\x14\x00\x00\x08", b"\x14\x00\x00\x00")
    assert read(tmp_path, unflagged).entries.column("name").to_pylist() == [raw.decode("cp437")]
    assert_as_zipfile(read(tmp_path, unflagged), tmp_path / "a.zip")
    broken = data.replace(raw, b"a\xff\xfe")
    (name,) = read(tmp_path, broken).entries.column("name").to_pylist()
    assert name == r"a\xff\xfe"


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_repeated_names_are_kept(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for data in (b"first", b"second"):
            archive.writestr(NAME, data)
    assert read(tmp_path, file.getvalue()).entries.column("name").to_pylist() == [NAME, NAME]


def test_two_entries_for_one_local_header_have_the_same_extent(tmp_path: Path) -> None:
    before, end = split_end(make_zip({"a": b"data", "b": b"more"}))
    first = before[end[6] : end[6] + 47]
    end[3] = end[4] = 3
    end[5] += len(first)
    found = read(tmp_path, before + first + END.pack(*end))
    assert found.entries.column("extent").to_pylist() == [35, 35, 35]


def test_more_entries_than_fit_into_sixteen_bits(tmp_path: Path) -> None:
    count = 70_000
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for i in range(count):
            archive.writestr(zipfile.ZipInfo(f"{i}.jpg"), b"")
    found = read_zip_directory(LocalStore(tmp_path), "a.zip")
    assert found.entries.num_rows == count
    assert found.entries.column("name").to_pylist() == [f"{i}.jpg" for i in range(count)]
    # macOS's writer makes the same directory, counts modulo 65,536, and leaves the ZIP64 records out.
    data = (tmp_path / "a.zip").read_bytes()
    _, _, _, _, _, _, _, entries, length, offset = END64.unpack_from(data, len(data) - 98)
    assert entries == count
    end = END.pack(b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, length, offset, 0)
    assert read(tmp_path, data[:-98] + end).entries.equals(found.entries)


def test_blocks_do_not_change_what_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {f"{'x' * (i * 7 % 300)}{i}.jpg": bytes(i) for i in range(200)}
    data = make_zip(entries)
    whole = read(tmp_path, data)
    for block_size in (1, 45, 46, 47, 500, 4096):
        monkeypatch.setattr(directory, "BLOCK_SIZE", block_size)
        found = read(tmp_path, data)
        assert found.entries.equals(whole.entries)
        assert found.sha256 == whole.sha256


@pytest.mark.parametrize(
    ("size", "packed", "offset"),
    [
        (4, 4, 36),  # in the directory
        (4, 1 << 40, 0),
        (4, (1 << 64) - 1, 0),
        (4, 4, (1 << 64) - 1),
        (4, (1 << 64) - 20, 30),  # the sum overflows
        (1 << 63, 4, 0),
        (4, 6, 0),  # one byte into the directory
    ],
)
def test_entries_outside_the_archive(tmp_path: Path, size: int, packed: int, offset: int) -> None:
    data = zip64_archive(struct.pack("<HHQQQ", 1, 24, size, packed, offset))
    refuse(tmp_path, data, f"entry 'a' should take {packed} bytes.*byte {offset}, but the directory begins at byte 35")


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        (1, 3, "split over 4 files: join them first"),
        (2, 1, "split over 2 files"),
        (3, 0, "counts 0 entries in this file, but 2 in all"),
        (5, 0xFFFFFFFF, "should take 4294967295 bytes, but only"),
        (5, 10, "no directory entry stands|ends inside the entry"),
        (5, 0, "holds 0 entries, but its end record counts 2"),
        (6, 0xFFFFFFFF, "bytes are missing before its directory"),
        (6, 0, "entry 'a' should take"),
    ],
)
def test_end_record_that_contradicts_the_file(tmp_path: Path, field: int, value: int, match: str) -> None:
    before, end = split_end(make_zip({"a": b"data", "b": b"more"}))
    end[field] = value
    refuse(tmp_path, before + END.pack(*end), match)


def test_entry_counts_must_agree(tmp_path: Path) -> None:
    before, end = split_end(make_zip({"a": b"data", "b": b"more"}))
    end[3] = end[4] = 60_000
    refuse(tmp_path, before + END.pack(*end), "holds 2 entries, but its end record counts 60000")


def test_entry_in_another_part(tmp_path: Path) -> None:
    before, end = split_end(make_zip({"a": b"data"}))
    data = bytearray(before + END.pack(*end))
    struct.pack_into("<H", data, end[6] + 34, 7)
    refuse(tmp_path, bytes(data), "entry 'a' lies in part 7 of a split archive")


def test_cut_off_anywhere(tmp_path: Path) -> None:
    inner = make_zip({"inner.jpg": b"frame" * 10})
    data = make_zip({"a.jpg": b"frame" * 10, "inner.zip": inner, "b.jpg": b"frame" * 10}, comment=b"a comment")
    for length in range(len(data)):
        if data[:length].endswith(inner):
            continue  # nothing tells such a piece from data put before an archive
        refuse(tmp_path, data[:length], rf"truncated, or is no zip archive \({length} bytes.*: download it again")


def test_bytes_missing_in_the_middle(tmp_path: Path) -> None:
    data = make_zip({"a.jpg": b"frame" * 10, "b.jpg": b"frame" * 10})
    refuse(tmp_path, data[:40] + data[45:], "5 bytes are missing before its directory")


def test_something_after_the_archive(tmp_path: Path) -> None:
    refuse(tmp_path, make_zip({"a": b"data"}) + b"\n", "no directory at its end")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_archives_raise_archive_errors_only(tmp_path: Path, data: st.DataObject) -> None:
    before, end = split_end(make_zip({"a.jpg": b"frame", "é.jpg": b"", "c": b"x" * 99}))
    original = zip64_end(before, end) if data.draw(st.booleans()) else before + END.pack(*end)
    mutated = bytearray(original)
    values = st.sampled_from([0, 1, 0x7F, 0x80, 0xFE, 0xFF]) | st.integers(0, 255)
    for position, value in data.draw(st.lists(st.tuples(st.integers(end[6], len(mutated) - 1), values), max_size=8)):
        mutated[position] = value
    try:
        found = read(tmp_path, bytes(mutated))
    except ArchiveError:
        return
    found.entries.validate(full=True)
    for row in found.entries.to_pylist():
        assert 0 <= row["offset"] <= row["offset"] + row["extent"] <= found.size
        assert row["extent"] > 0
        assert 0 <= row["compressed_size"] <= found.size
    unsupported_entries(found.entries)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400))
def test_arbitrary_directories_raise_archive_errors_only(tmp_path: Path, data: bytes) -> None:
    entry = b"PK\x01\x02" + data
    end = END.pack(b"PK\x05\x06", 0, 0, 1, 1, len(entry), 500, 0)
    with contextlib.suppress(ArchiveError):
        read(tmp_path, bytes(500) + entry + end)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 1, 2]), st.integers(0, 30), st.binary(max_size=3) | st.just(bytes(24))),
        max_size=4,
    )
)
def test_arbitrary_extra_fields_raise_archive_errors_only(tmp_path: Path, fields: list[tuple[int, int, bytes]]) -> None:
    data = zip64_archive(b"".join(struct.pack("<HH", *field[:2]) + field[2] for field in fields))
    try:
        found = read(tmp_path, data)
    except ArchiveError:
        return
    assert found.entries.column("offset").to_pylist() == [0]


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs Info-ZIP's zip")
@pytest.mark.parametrize("arguments", [["-9"], ["-0"], ["-fz"], ["-P", "secret"]])
def test_archives_of_info_zip(tmp_path: Path, arguments: list[str]) -> None:
    folder = tmp_path / "Images_2"
    folder.mkdir()
    for i in range(10):
        (folder / f"{i}.jpg").write_bytes(bytes(range(i)) * 100)
    subprocess.run(["zip", "-q", "-r", *arguments, "a.zip", "Images_2"], cwd=tmp_path, check=True)
    found = read_zip_directory(LocalStore(tmp_path), "a.zip")
    assert_as_zipfile(found, tmp_path / "a.zip")
    encrypted = {row for row, why in unsupported_entries(found.entries) if "encrypted" in why}
    assert bool(encrypted) == ("-P" in arguments)


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs Info-ZIP's zip")
def test_info_zip_to_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "f.jpg").write_bytes(b"frame" * 50)
    result = subprocess.run("zip -q - f.jpg | cat", shell=True, cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    found = read(tmp_path, result.stdout)
    assert_as_zipfile(found, tmp_path / "a.zip")
    assert found.entries.column("flags").to_pylist()[0] & 8


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs Info-ZIP's zip")
def test_parts_of_a_split_archive(tmp_path: Path) -> None:
    (tmp_path / "f.jpg").write_bytes(bytes(200_000))
    subprocess.run(["zip", "-q", "-0", "-s", "64k", "a.zip", "f.jpg"], cwd=tmp_path, check=True)
    store = LocalStore(tmp_path)
    with pytest.raises(ArchiveError, match="split over 4 files: join them first"):
        read_zip_directory(store, "a.zip")
    with pytest.raises(ArchiveError, match="no directory at its end"):
        read_zip_directory(store, "a.z01")


@pytest.mark.parametrize(
    ("method", "flags", "name", "why"),
    [
        (0, 0, NAME, None),
        (8, 0x808, "Images_2/", None),
        (8, 0, "a..b/..c/d..", None),
        (8, 0, "", None),
        (8, 1, NAME, "is encrypted: flags 0x0001"),
        (8, 0x41, NAME, "is encrypted"),
        (8, 0x40, NAME, "strong encryption"),
        (8, 0x20, NAME, "patched data"),
        (8, 0x2000, NAME, "directory as well"),
        (14, 0, NAME, "method 14"),
        (65535, 0, NAME, "method 65535"),
        (0, 0, "/etc/passwd", "is absolute"),
        (0, 0, "C:/frame.jpg", "drive letter"),
        (0, 0, "Images_2\\frame.jpg", "backslash"),
        (0, 0, "frame.jpg\0.exe", "NUL"),
        (0, 0, "..", "leaves the archive"),
        (0, 0, "Images_2/../../frame.jpg", "leaves the archive"),
        (0, 0, "Images_2/..", "leaves the archive"),
        (0, 0, "../\n", "leaves the archive"),
        (0, 0, "..\n", None),
        (0, 0, "a\n/b", None),
    ],
)
def test_entries_that_are_not_taken(method: int, flags: int, name: str, why: str | None) -> None:
    found = support_fault(method, flags, name)
    assert (found is None) == (why is None)
    assert (why or "") in (found or "")


PIECES = st.sampled_from(["a", "..", ".", "/", "\\", "\0", ":", "C", "\n", "é", "人"])


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 8, 8, 12]),
            st.sampled_from([0, 0, 8, 0x800]) | st.integers(0, 0xFFFF),
            st.lists(PIECES, max_size=6).map("".join),
        ),
        max_size=20,
    )
)
def test_columns_and_single_entries_are_judged_alike(rows: list[tuple[int, int, str]]) -> None:
    table = pa.table(
        {
            "method": pa.array([method for method, _, _ in rows], pa.uint16()),
            "flags": pa.array([flags for _, flags, _ in rows], pa.uint16()),
            "name": pa.array([name for _, _, name in rows], pa.string()),
        }
    )
    expected = [(i, why) for i, row in enumerate(rows) if (why := support_fault(*row)) is not None]
    assert unsupported_entries(table) == expected


def test_path_tricks_through_an_archive(tmp_path: Path) -> None:
    found = read(tmp_path, make_zip({"ok.jpg": b"", "../up.jpg": b"", "/abs.jpg": b"", "C:x.jpg": b"", "n_l": b""}))
    assert [row for row, _ in unsupported_entries(found.entries)] == [1, 2, 3]
