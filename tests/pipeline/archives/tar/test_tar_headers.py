"""Headers that archivers seldom write, and those that nobody should."""

import struct
import subprocess
from pathlib import Path

import pytest

from pipeline.archives import ArchiveError, EntryKind, join_paths
from pipeline.archives.tar import scan
from pipeline.archives.tar.scan import MAX_EXTENSION_BYTES
from tests.support.tars import content, contents_of, extended, header, make_tar, paths_of, record, sign, survey_bytes

END = bytes(1024)
PLAIN = header(b"last.jpg", 4) + content(b"last")


def base_256(value: int) -> bytes:
    return (value % (1 << 95) | 1 << 95).to_bytes(12)


def refuse(folder: Path, data: bytes, match: str) -> None:
    with pytest.raises(ArchiveError, match=match):
        survey_bytes(folder, data)


@pytest.mark.parametrize(
    "size",
    [
        b"00000000004\0",
        b"00000000004 ",
        b"          4\0",
        b"          4 ",
        b"4\0" + bytes(10),
        b"000000000004",
        base_256(4),
    ],
)
def test_sizes_as_archivers_write_them(tmp_path: Path, size: bytes) -> None:
    data = header(b"a.jpg", size) + content(b"abcd") + PLAIN + END
    assert contents_of(tmp_path, survey_bytes(tmp_path, data)) == [("a.jpg", b"abcd"), ("last.jpg", b"last")]


@pytest.mark.parametrize("size", [b"-0000000004\0", b"0000000000x\0", b"9" * 12, base_256(-4), base_256(1 << 90)])
def test_sizes_that_make_no_sense(tmp_path: Path, size: bytes) -> None:
    refuse(tmp_path, PLAIN + header(b"a.jpg", size) + content(b"abcd"), r"at byte 1024, its header's size is b'")


@pytest.mark.parametrize("size", [7, (1 << 36) - 1, base_256(1 << 62)])
def test_entries_that_are_cut_off_are_named_with_the_byte(tmp_path: Path, size: int | bytes) -> None:
    data = PLAIN + header(b"a.jpg", size) + b"abcdef"
    refuse(tmp_path, data, r"^a.tar: at byte 1024, 'a.jpg' takes [0-9]+ bytes, but the archive is cut off at byte 1542")
    refuse(tmp_path, PLAIN + header()[:100], "at byte 1024, the header is cut off: the archive ends at byte 1124")
    refuse(tmp_path, PLAIN + extended(record("path", "b"))[:600], "at byte 1024, the header is cut off")
    refuse(tmp_path, PLAIN + header(b"L", 3000, b"L"), "at byte 1024, the header is cut off")


def test_only_the_padding_may_be_missing(tmp_path: Path) -> None:
    found = survey_bytes(tmp_path, PLAIN + header(b"a.jpg", 3) + b"abc")
    assert contents_of(tmp_path, found) == [("last.jpg", b"last"), ("a.jpg", b"abc")]
    assert found.joined.end is None


def test_signed_checksums_and_headers_without_magic(tmp_path: Path) -> None:
    block = header("ä.jpg".encode(), 2, magic=b"")
    signed = sum(struct.unpack("512b", block[:148] + b" " * 8 + block[156:]))
    old = block[:148] + b"%06o\0 " % signed + block[156:]
    for first in (old, block):
        found = survey_bytes(tmp_path, first + content(b"ab") + PLAIN + END)
        assert contents_of(tmp_path, found) == [("ä.jpg", b"ab"), ("last.jpg", b"last")]


def test_long_names_of_each_form(tmp_path: Path) -> None:
    long = "folder/" * 30
    parts = {
        long + "gnu.jpg": header(b"././@LongLink", len(long) + 8, b"L") + content(long.encode() + b"gnu.jpg\0") + PLAIN,
        long + "pax.jpg": extended(record("path", long + "pax.jpg") + record("mtime", "1.5")) + PLAIN,
        "both.jpg": extended(record("path", "both.jpg")) + header(b"L", 5, b"L") + content(b"gnu.j") + PLAIN,
        "last one.jpg": extended(record("path", "first")) + extended(record("path", "last one.jpg")) + PLAIN,
        "target": header(b"K", 3, b"K") + content(b"abc") + header(b"target", 0, b"2"),
        "last.jpg": extended(record("mtime", "1.5") + record("comment", "path=x"), b"g") + PLAIN,
        "solaris.jpg": extended(record("path", "solaris.jpg"), b"X") + PLAIN,
        "p" * 155 + "/" + "n" * 100: sign(
            (header(b"n" * 100, 4)[:345] + b"p" * 155).ljust(512, b"\0"),
        )
        + content(b"last"),
    }
    found = survey_bytes(tmp_path, b"".join(parts.values()) + END)
    assert paths_of(found) == list(parts)
    assert [data for _, data in contents_of(tmp_path, found)] == [b"last"] * 7
    listing = subprocess.run(["tar", "-tf", "a.tar"], cwd=tmp_path, capture_output=True, check=True)
    assert listing.stdout.decode().splitlines() == list(parts)


def test_sizes_from_extended_headers(tmp_path: Path) -> None:
    data = extended(record("size", "6")) + header(b"a.jpg", 0) + content(b"abcdef") + PLAIN + END
    assert contents_of(tmp_path, survey_bytes(tmp_path, data)) == [("a.jpg", b"abcdef"), ("last.jpg", b"last")]
    data = extended(record("size", "6")) + header(b"folder", 0, b"5") + PLAIN + END
    assert paths_of(survey_bytes(tmp_path, data)) == ["folder", "last.jpg"]
    refuse(
        tmp_path, extended(record("size", "9" * 19)) + PLAIN, "takes 9999999999999999999 bytes, but the archive is cut"
    )
    refuse(tmp_path, extended(record("size", "-1")) + PLAIN, "a size that is no number: b'-1'")


@pytest.mark.parametrize(
    "records",
    [
        b"path=x\n",
        b"9 path=x\n extra",
        b"99 path=x\n",
        b"0 path=x\n",
        b"9path=x\n",
        b"9 path=xy",
        b"8 path=\n\0\0",
        b"1" * 5000 + b" path=x\n",
        b"5 size=",
        b"7 =path=\n",
        "\u0667 path=\n".encode(),
    ],
)
def test_extended_headers_that_make_no_sense(tmp_path: Path, records: bytes) -> None:
    refuse(tmp_path, PLAIN + extended(records) + PLAIN + END, "at byte 1024, an extended header there has a record")


def test_global_headers_must_not_name_all_entries(tmp_path: Path) -> None:
    refuse(tmp_path, extended(record("path", "a"), b"g") + PLAIN + END, "a global header there sets path for all")
    refuse(tmp_path, extended(record("size", "1"), b"g") + PLAIN + END, "a global header there sets size for all")


def test_extension_headers_without_an_entry(tmp_path: Path) -> None:
    pax = extended(record("path", "a"))
    refuse(tmp_path, PLAIN + pax + END, "the archive ends behind an extension header")
    refuse(tmp_path, PLAIN + pax, "the archive ends behind an extension header")


def test_extension_headers_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long names that follow each other, and one that is long: no more is kept than its limit."""
    name = header(b"L", 500, b"L") + content(b"n" * 500)
    refuse(
        tmp_path, PLAIN + name * 2000 + PLAIN + END, f"headers before 'L' take more than {MAX_EXTENSION_BYTES} bytes"
    )
    refuse(tmp_path, PLAIN + header(b"L", MAX_EXTENSION_BYTES, b"L") + bytes(MAX_EXTENSION_BYTES), "take more than")
    sparse = bytearray(header(b"s", 0, b"S"))
    sparse[482] = 1
    more = bytes(504) + b"\1" + bytes(7)
    refuse(tmp_path, sign(bytes(sparse)) + more * 3000, "headers before 's' take more than")
    monkeypatch.setattr(scan, "MAX_EXTENSION_BYTES", 1500)
    refuse(tmp_path, name * 2 + PLAIN + END, "take more than 1500 bytes")


def test_kinds(tmp_path: Path) -> None:
    types = b"0\x007123456SDMVZ"
    data = b"".join(header(b"%d" % index, 0, bytes([kind])) for index, kind in enumerate(types))
    data += header(b"old folder/", 0)
    kinds = survey_bytes(tmp_path, data + END).entries.column("kind").to_pylist()
    file, folder, link, sparse, other = EntryKind
    assert kinds == [file] * 3 + [link] * 2 + [other] * 2 + [folder, other, sparse, folder] + [other] * 3 + [folder]


def test_the_sizes_of_links_and_folders_count_nothing(tmp_path: Path) -> None:
    data = b"".join(header(bytes([kind]), 5000, bytes([kind])) for kind in b"123456") + PLAIN + END
    found = survey_bytes(tmp_path, data)
    assert found.entries.column("size").to_pylist() == [0] * 6 + [4]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    odd = header(b"\xff\xfe/a.jpg", 1) + content(b"a")
    assert contents_of(tmp_path, survey_bytes(tmp_path, odd + PLAIN + END))[0] == (r"\xff\xfe/a.jpg", b"a")


def test_absolute_paths_keep_their_slash(tmp_path: Path) -> None:
    names = ["/", "/a", "a", "a/b", "./a", "a//b", "../a"]
    found = survey_bytes(tmp_path, make_tar((name, b"") for name in names))
    assert join_paths(found.entries).to_pylist() == names
    assert found.entries.column("name").to_pylist() == ["", "a", "a", "b", "a", "b", "a"]
