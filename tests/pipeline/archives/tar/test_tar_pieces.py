"""Archives in several files, tars of their own or pieces of one, and files that are no tar."""

import bz2
import gzip
import lzma
import random
import subprocess
import zipfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.archives import (
    ArchiveError,
    EntryFault,
    EntryRequest,
    FileRequest,
    ReadCounters,
    find_tars,
    natural_key,
    read_batches,
    read_entries,
    survey_tar,
    tar_request,
)
from shards_spec.rejects import RejectReason
from shards_spec.storage import LocalStore
from tests.support.archives import RecordingStore, patch, requests_of
from tests.support.tars import contents_of, make_tar, paths_of, survey

FILES = [(f"train/{i // 4:010d}/{i}.jpg", random.Random(i).randbytes(100 * i)) for i in range(20)]
TAR = make_tar(FILES)


def write_pieces(folder: Path, data: bytes, cuts: list[int]) -> list[str]:
    bounds = [0, *cuts, len(data)]
    names = [f"part{number}.tar" for number in range(1, len(bounds))]
    for name, start, stop in zip(names, bounds[:-1], bounds[1:], strict=True):
        (folder / name).write_bytes(data[start:stop])
    return names


def all_contents(folder: Path, names: list[str]) -> list[tuple[str, bytes]]:
    store = LocalStore(folder)
    streams = find_tars(store, sorted(names, key=natural_key))
    return [file for stream in streams for file in contents_of(folder, survey_tar(store, stream))]


@given(st.sets(st.integers(512, len(TAR) - 12_000), max_size=12))
def test_pieces_of_one_archive_are_read_as_one(tmp_path_factory: pytest.TempPathFactory, cuts: set[int]) -> None:
    folder = tmp_path_factory.mktemp("pieces")
    assert all_contents(folder, write_pieces(folder, TAR, sorted(cuts))) == FILES


def test_pieces_that_begin_with_a_header_are_found_as_well(tmp_path: Path) -> None:
    """A piece that happens to begin with a header cannot be told from a tar of its own, and need not be."""
    offsets = survey_bytes_offsets(tmp_path)
    names = write_pieces(tmp_path, TAR, offsets[3:15:4])
    assert len(find_tars(LocalStore(tmp_path), names)) == 4
    assert all_contents(tmp_path, names) == FILES


def survey_bytes_offsets(folder: Path) -> list[int]:
    (folder / "a.tar").write_bytes(TAR)
    return [int(offset) for offset in survey(folder).entries.column("offset").to_pylist()]


def test_parts_that_are_tars_of_their_own(tmp_path: Path) -> None:
    names = []
    for number in range(1, 12):
        names.append(f"part{number}.tar")
        (tmp_path / names[-1]).write_bytes(make_tar([(f"{number}.jpg", b"x" * number)]))
    assert [len(stream.paths) for stream in find_tars(LocalStore(tmp_path), names)] == [1] * 11
    assert [path for path, _ in all_contents(tmp_path, names)] == [f"{number}.jpg" for number in range(1, 12)]


def test_an_entry_in_three_pieces_is_one_read_of_each(tmp_path: Path) -> None:
    data = make_tar([("a.jpg", b"a" * 5000), ("b.jpg", b"b")])
    write_pieces(tmp_path, data, [600, 3000])
    store = RecordingStore(tmp_path)
    (stream,) = find_tars(store, ["part1.tar", "part2.tar", "part3.tar"])
    found = survey_tar(store, stream)
    requests = [
        tar_request(stream, row["offset"], row["header_size"], row["size"], row["header_crc32"])
        for row in found.entries.to_pylist()
    ]
    store.reads.clear()
    counters = ReadCounters()
    assert dict(read_entries(store, requests, counters)) == {0: b"a" * 5000, 1: b"b"}
    rest = 512 + 5000 - 3000
    assert store.reads == [
        ("part1.tar", 0, 600),
        ("part2.tar", 0, 2400),
        ("part3.tar", 0, rest),
        ("part3.tar", 5632 - 3000, 5632 - 3000 + 513),
    ]
    assert counters.bytes_used == 5001


def test_a_piece_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "part1.tar").write_bytes(TAR)
    (tmp_path / "part2.tar").write_bytes(b"\xff\xd8 a JPEG " * 1000)
    with pytest.raises(
        ArchiveError, match=r"part2.tar is no tar archive, for no header .*ends at byte 33792 of part1.tar"
    ):
        survey(tmp_path, "part1.tar", "part2.tar")


def test_an_empty_piece_is_named(tmp_path: Path) -> None:
    names = write_pieces(tmp_path, TAR, [5000, 9000])
    (tmp_path / names[1]).write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"part2.tar is no tar archive: it is empty"):
        survey(tmp_path, *names)


def test_a_piece_that_is_missing_or_cut_off_is_named(tmp_path: Path) -> None:
    names = write_pieces(tmp_path, TAR, [5000, 9000, 15_000])
    with pytest.raises(ArchiveError, match=r"at byte [0-9]+, (no header|'train/.*cut off)"):
        survey(tmp_path, names[0], names[1], names[3])
    (tmp_path / names[2]).write_bytes((tmp_path / names[2]).read_bytes()[:-512])
    with pytest.raises(ArchiveError, match=r"^part[34].tar: at byte [0-9]+, .*download it again"):
        survey(tmp_path, *names)


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("a.tar.gz", gzip.compress(TAR), r"packed by gzip: unpack it with gunzip < a.tar.gz > a.tar$"),
        ("a b.tgz", gzip.compress(TAR), r"unpack it with gunzip < 'a b.tgz' > 'a b.tar'$"),
        ("a.tar", gzip.compress(TAR), r"with gunzip < a.tar > unpacked && mv unpacked a.tar$"),
        ("a.tar.bz2", bz2.compress(TAR), r"packed by bzip2: unpack it with bunzip2 < a.tar.bz2 > a.tar$"),
        ("a.tar.xz", lzma.compress(TAR), r"packed by xz: unpack it with unxz < a.tar.xz > a.tar$"),
        ("a.tar.zst", b"\x28\xb5\x2f\xfd" + bytes(600), r"packed by zstd: unpack it with unzstd < a.tar.zst > a.tar$"),
        ("a.tar.lz4", b"\x04\x22\x4d\x18" + bytes(600), r"packed by lz4: unpack it with unlz4 < a.tar.lz4 > a.tar$"),
        ("a.tar", b"PK\x03\x04" + bytes(600), "it is a zip archive"),
        ("a.tar", b"<!DOCTYPE html><html>" * 99, "it is a web page"),
        ("a.tar", b"", "is no tar archive: it is empty"),
        ("a.tar", b"\xff\xd8" * 1000, "no header stands at its beginning"),
        ("a.tar", TAR[:300], "no header stands at its beginning"),
    ],
)
def test_files_that_are_no_tar(tmp_path: Path, name: str, data: bytes, match: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ArchiveError, match=match):
        survey(tmp_path, name)


def test_the_command_that_is_told_unpacks(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(gzip.compress(TAR))
    with pytest.raises(ArchiveError) as told:
        survey(tmp_path)
    subprocess.run(str(told.value).partition("unpack it with ")[2], shell=True, cwd=tmp_path, check=True)
    assert contents_of(tmp_path, survey(tmp_path)) == FILES


def test_an_archive_that_changed_stops_the_conversion(tmp_path: Path) -> None:
    """A tar has no checksum of contents: if a header is another one, nothing in the archive can be relied on."""
    (tmp_path / "a.tar").write_bytes(TAR)
    found = survey(tmp_path)
    row = found.entries.slice(5, 1).to_pylist()[0]
    request = tar_request(found.stream, row["offset"], row["header_size"], row["size"], row["header_crc32"])
    for bit in range(8 * 512):
        at = request.offset + bit // 8
        patch(tmp_path / "a.tar", at, bytes([TAR[at] ^ 1 << bit % 8]))
        with pytest.raises(ArchiveError, match=f"a.tar: the header at byte {request.offset} is not the one"):
            list(read_entries(LocalStore(tmp_path), [request]))
        patch(tmp_path / "a.tar", at, TAR[at : at + 1])
    assert list(read_entries(LocalStore(tmp_path), [request])) == [(0, FILES[5][1])]


def test_a_header_that_was_read_wrongly_once_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(TAR)
    found = survey(tmp_path)
    row = found.entries.slice(5, 1).to_pylist()[0]
    request = tar_request(found.stream, row["offset"], row["header_size"], row["size"], row["header_crc32"])
    store = RecordingStore(tmp_path, lambda count, data: bytes(len(data)) if count == 1 else data)
    assert list(read_entries(store, [request])) == [(0, FILES[5][1])]


def test_one_damaged_header_among_entries_that_are_read_together(tmp_path: Path) -> None:
    """Only its entry is read again. An entry that is too large does not keep the others from being read."""
    (tmp_path / "a.tar").write_bytes(TAR)
    found = survey(tmp_path)
    columns = found.entries.select(["offset", "header_size", "size", "header_crc32"]).to_pylist()
    requests = [tar_request(found.stream, *row.values()) for row in columns]
    at = requests[5].offset

    def damage(count: int, data: bytes) -> bytes:
        return data[: at + 1] + bytes([data[at + 1] ^ 1]) + data[at + 2 :] if count == 1 else data

    store, counters = RecordingStore(tmp_path, damage), ReadCounters()
    ((positions, contents),) = read_batches(store, requests, counters)
    assert (positions, contents) == (list(range(len(FILES))), [data for _, data in FILES])
    assert [start for _, start, _ in store.reads] == [0, at]
    assert counters.bytes_used == sum(len(data) for _, data in FILES)
    requests[7] = msgspec.structs.replace(requests[7], size=(64 << 20) + 1)
    ((_, contents),) = read_batches(LocalStore(tmp_path), requests)
    assert isinstance(contents.pop(7), EntryFault)
    assert contents == [data for number, (_, data) in enumerate(FILES) if number != 7]
    patch(tmp_path / "a.tar", at, b"x")
    with pytest.raises(ArchiveError, match=f"a.tar: the header at byte {at} is not the one"):
        list(read_batches(LocalStore(tmp_path), requests))


def test_entries_that_are_too_large(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(TAR)
    found = survey(tmp_path)
    request = tar_request(found.stream, 0, 512, (64 << 20) + 1, 0)
    store = RecordingStore(tmp_path)
    ((_, fault),) = read_entries(store, [request])
    assert isinstance(fault, EntryFault)
    assert (fault.reason, store.reads) == (RejectReason.IMAGE_TOO_LARGE, [])


def test_natural_order() -> None:
    names = ["part10.tar", "part2.tar", "part02.tar", "a", "part1.tar", "part", "", "1", "x/part3.tar"]
    assert sorted(names, key=natural_key) == [
        "", "1", "a", "part", "part1.tar", "part02.tar", "part2.tar", "part10.tar", "x/part3.tar",
    ]  # fmt: skip


def test_zips_tars_and_folders_are_read_alike(tmp_path: Path) -> None:
    """One call for entries of all kinds."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpg", b"zip")
    (tmp_path / "a.tar").write_bytes(make_tar([("b.jpg", b"tar")]))
    (tmp_path / "c.jpg").write_bytes(b"file")
    row = survey(tmp_path).entries.to_pylist()[0]
    request = tar_request(survey(tmp_path).stream, 0, 512, 3, row["header_crc32"])
    requests: list[EntryRequest] = [*requests_of(tmp_path), request, FileRequest("c.jpg", 4), FileRequest("c.jpg", 0)]
    assert dict(read_entries(LocalStore(tmp_path), requests)) == {0: b"zip", 1: b"tar", 2: b"file", 3: b""}
    assert paths_of(survey(tmp_path)) == ["b.jpg"]
