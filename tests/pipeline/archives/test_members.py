import contextlib
import io
import random
import shutil
import struct
import subprocess
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zlib_ng import zlib_ng

from pipeline.archives import (
    MAX_BLOCK_SIZE,
    MAX_GAP,
    MAX_MEMBER_SIZE,
    ArchiveError,
    MemberFault,
    MemberRequest,
    ReadCounters,
    read_members,
    read_zip_directory,
)
from shards_spec.rejects import RejectReason
from shards_spec.storage import LocalStore

GIB = 1 << 30
MEMBERS = {f"Images_2/{i:07d}_pCount2_cam1_0000001_day.jpg": random.Random(i).randbytes(300 + i) for i in range(20)}


class RecordingStore(LocalStore):
    """A folder that keeps account of what is read, and may change what a read gives."""

    def __init__(
        self, root: Path, change: Callable[[int, bytes], bytes] = lambda _, data: data, reads_at_once: int = 1
    ) -> None:
        super().__init__(root)
        self.reads: list[tuple[str, int, int]] = []
        self.expected: list[tuple[str, int, int]] = []
        self.change = change
        self.reads_at_once = reads_at_once

    def expect(self, path: str, start: int, stop: int) -> None:
        self.expected.append((path, start, stop))

    def read(self, path: str, start: int, stop: int) -> bytes:
        self.reads.append((path, start, stop))
        return self.change(len(self.reads), super().read(path, start, stop))


def write_zip(file: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def requests_of(folder: Path, path: str = "a.zip") -> list[MemberRequest]:
    rows = read_zip_directory(LocalStore(folder), path).members.drop_columns("flags").to_pylist()
    return [MemberRequest(path, **row) for row in rows]


def read_all(folder: Path, requests: list[MemberRequest]) -> dict[int, bytes | MemberFault]:
    found = list(read_members(LocalStore(folder), requests))
    assert len(found) == len(requests)
    return dict(found)


def one_fault(folder: Path, request: MemberRequest) -> MemberFault:
    fault = read_all(folder, [request])[0]
    assert isinstance(fault, MemberFault)
    assert fault.detail
    return fault


def patch(file: Path, offset: int, data: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(data)


def background_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_bytes_come_in_physical_order(tmp_path: Path, method: int) -> None:
    write_zip(tmp_path / "a.zip", MEMBERS, method)
    write_zip(tmp_path / "b.zip", dict(reversed(MEMBERS.items())), method)
    requests = requests_of(tmp_path, "b.zip") + requests_of(tmp_path)
    random.Random(1).shuffle(requests)
    found = list(read_members(LocalStore(tmp_path), requests))
    order = [position for position, _ in found]
    assert order == sorted(range(40), key=lambda position: (requests[position].archive, requests[position].offset))
    for position, data in found:
        assert data == MEMBERS[requests[position].name]
    assert not background_threads()


def test_nothing_asked_for(tmp_path: Path) -> None:
    assert list(read_members(LocalStore(tmp_path), [])) == []


def test_a_member_asked_for_twice(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", MEMBERS)
    request = requests_of(tmp_path)[3]
    assert list(read_all(tmp_path, [request, request]).values()) == [MEMBERS[request.name]] * 2


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_repeated_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpg", b"first")
        archive.writestr("a.jpg", b"second")
    assert read_all(tmp_path, requests_of(tmp_path)) == {0: b"first", 1: b"second"}


def test_empty_members_and_odd_names(tmp_path: Path) -> None:
    members = {"empty.jpg": b"", "Ünïcode/人.jpg": b"1", "folder/": b"", "x" * 0xFFFF: b"long"}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        write_zip(tmp_path / "a.zip", members, method)
        assert list(read_all(tmp_path, requests_of(tmp_path)).values()) == list(members.values())


def test_name_whose_flag_stands_only_in_the_directory(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {"é.jpg": b"data"})
    patch(tmp_path / "a.zip", 6, b"\0\0")
    assert read_all(tmp_path, requests_of(tmp_path)) == {0: b"data"}


class Pipe(io.RawIOBase):
    """Collects what is written and cannot seek."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.data += data
        return len(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_data_descriptors_and_prefix(tmp_path: Path, method: int) -> None:
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", method) as archive:
        for name, data in MEMBERS.items():
            archive.writestr(name, data)
    for prefix in (b"", b"#!/bin/sh\n"):
        (tmp_path / "a.zip").write_bytes(prefix + pipe.data)
        assert list(read_all(tmp_path, requests_of(tmp_path)).values()) == list(MEMBERS.values())


def test_zip64_local_headers(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in MEMBERS.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(data)
    assert list(read_all(tmp_path, requests_of(tmp_path)).values()) == list(MEMBERS.values())


def test_members_over_four_gib_apart(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("near.jpg", b"near")
        archive.start_dir = 5 * GIB
        archive.writestr("far.jpg", b"far")
    counters = ReadCounters()
    store = RecordingStore(tmp_path)
    assert list(read_members(store, requests_of(tmp_path), counters)) == [(0, b"near"), (1, b"far")]
    # The first member's extent is 5 GiB; no more is read of it than its header may take.
    assert store.reads == [("a.zip", 0, 4 + 30 + 2 * 0xFFFF), ("a.zip", 5 * GIB, 5 * GIB + 30 + 7 + 3)]
    assert counters.bytes_read == sum(stop - start for _, start, stop in store.reads)
    assert counters.bytes_used == 7


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs Info-ZIP's zip")
@pytest.mark.parametrize("arguments", ["-q -0 a.zip", "-q -9 a.zip", "-q -fz a.zip", "-q - | cat > a.zip;:"])
def test_archives_of_info_zip(tmp_path: Path, arguments: str) -> None:
    for i in range(5):
        (tmp_path / f"{i}.jpg").write_bytes(bytes(range(256)) * i)
    options, _, rest = arguments.rpartition(" - ")
    command = f"zip {options} - *.jpg {rest}" if options else f"zip {arguments} *.jpg"
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    for position, data in read_all(tmp_path, requests := requests_of(tmp_path)).items():
        assert data == (tmp_path / requests[position].name).read_bytes()
    assert len(requests) == 5


def test_adjacent_members_take_few_requests(tmp_path: Path) -> None:
    members = {f"{i}.jpg": random.Random(i).randbytes(20_000) for i in range(1000)}
    write_zip(tmp_path / "a.zip", members, zipfile.ZIP_STORED)
    requests = requests_of(tmp_path)
    random.Random(0).shuffle(requests)
    store = RecordingStore(tmp_path)
    counters = ReadCounters()
    for position, data in read_members(store, requests, counters):
        assert data == members[requests[position].name]
    assert len(store.reads) == counters.requests == 3
    assert all(stop - start <= MAX_BLOCK_SIZE for _, start, stop in store.reads)
    assert counters.bytes_used == 20_000_000
    assert counters.bytes_read == sum(request.extent for request in requests)
    assert counters.seconds_waiting > 0


@pytest.mark.parametrize(("gap", "reads"), [(MAX_GAP, 1), (MAX_GAP + 1, 2)])
def test_gaps_are_read_only_where_small(tmp_path: Path, gap: int, reads: int) -> None:
    write_zip(tmp_path / "a.zip", {"a": b"a", "gap": bytes(gap - 33), "b": b"b"}, zipfile.ZIP_STORED)
    first, _, last = requests_of(tmp_path)
    assert last.offset - first.offset - first.extent == gap
    store = RecordingStore(tmp_path)
    assert list(read_members(store, [first, last])) == [(0, b"a"), (1, b"b")]
    assert len(store.reads) == reads


def test_a_member_larger_than_a_block(tmp_path: Path) -> None:
    members = {"a": b"a", "large": bytes(MAX_BLOCK_SIZE + 1), "b": b"b"}
    write_zip(tmp_path / "a.zip", members, zipfile.ZIP_STORED)
    store = RecordingStore(tmp_path)
    requests = requests_of(tmp_path)
    assert [data for _, data in read_members(store, requests)] == list(members.values())
    assert store.reads == [("a.zip", request.offset, request.offset + request.extent) for request in requests]


class LiveBytes(bytes):
    """Bytes that count how many of their kind are in memory."""

    live = 0

    def __new__(cls, data: bytes) -> Self:
        cls.live += 1
        return super().__new__(cls, data)

    def __del__(self) -> None:
        LiveBytes.live -= 1


@pytest.mark.parametrize(("reads_at_once", "most"), [(1, 0), (2, 2)])
def test_few_blocks_are_in_memory(tmp_path: Path, reads_at_once: int, most: int) -> None:
    """Beside the one that is read: none of a folder's; over a network one that is worked on, and one that waits."""
    write_zip(tmp_path / "a.zip", {f"{i}": bytes(MAX_BLOCK_SIZE // 2 - 100) for i in range(14)}, zipfile.ZIP_STORED)
    at_reads = []

    def note_live(_: int, data: bytes) -> bytes:
        at_reads.append(LiveBytes.live)
        return LiveBytes(data)

    store = RecordingStore(tmp_path, note_live, reads_at_once)
    assert [len(data) for _, data in read_members(store, requests_of(tmp_path)) if isinstance(data, bytes)]
    assert len(at_reads) == 7
    assert max(at_reads) <= most
    assert LiveBytes.live == 0


def test_the_next_block_is_read_ahead_over_a_network(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {f"{i}": bytes(MAX_BLOCK_SIZE - 100) for i in range(4)}, zipfile.ZIP_STORED)
    second_read = threading.Event()

    def note_second(number: int, data: bytes) -> bytes:
        if number == 2:
            second_read.set()
        return data

    store = RecordingStore(tmp_path, note_second, reads_at_once=2)
    with contextlib.closing(read_members(store, requests_of(tmp_path))) as members:
        next(members)
        assert second_read.wait(10)
        assert not store.expected


def test_the_next_block_of_a_folders_is_expected(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {f"{i}": bytes(MAX_BLOCK_SIZE - 100) for i in range(4)}, zipfile.ZIP_STORED)
    store = RecordingStore(tmp_path)
    for number, _ in enumerate(read_members(store, requests_of(tmp_path)), 1):
        assert len(store.reads) == number
        assert len(store.expected) == min(number + 1, 4)
    assert store.expected == store.reads


def test_ending_early_stops_the_threads(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {f"{i}": bytes(MAX_BLOCK_SIZE - 100) for i in range(5)}, zipfile.ZIP_STORED)
    store = RecordingStore(tmp_path, reads_at_once=2)
    requests = requests_of(tmp_path)
    members = read_members(store, requests)
    next(members)
    assert background_threads()
    members.close()
    assert not background_threads()
    members = read_members(store, requests)
    next(members)
    with pytest.raises(ZeroDivisionError):
        members.throw(ZeroDivisionError)
    assert not background_threads()


@pytest.mark.parametrize("error", [OSError("gone"), EOFError("short")])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("reads_at_once", [1, 2])
def test_the_stores_errors_are_raised(tmp_path: Path, error: Exception, number: int, reads_at_once: int) -> None:
    write_zip(tmp_path / "a.zip", {f"{i}": bytes(MAX_BLOCK_SIZE - 100) for i in range(3)}, zipfile.ZIP_STORED)

    def fail(this: int, data: bytes) -> bytes:
        if this == number:
            raise error
        return data

    members = read_members(RecordingStore(tmp_path, fail, reads_at_once), requests_of(tmp_path))
    for _ in range(number - 1):
        next(members)  # what was read before the error is not lost
    with pytest.raises(type(error), match=str(error)):
        next(members)
    assert not background_threads()


def test_errors_of_the_second_read_are_raised(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", MEMBERS)

    def fail(number: int, data: bytes) -> bytes:
        if number == 2:
            raise OSError("gone")
        return bytes(len(data))

    with pytest.raises(OSError, match="gone"):
        list(read_members(RecordingStore(tmp_path, fail), requests_of(tmp_path)))


def test_archive_cut_after_its_directory_was_read(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", MEMBERS)
    requests = requests_of(tmp_path)
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:500])
    with pytest.raises(EOFError):
        list(read_members(LocalStore(tmp_path), requests))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_passing_read_error_loses_nothing(tmp_path: Path, method: int) -> None:
    write_zip(tmp_path / "a.zip", MEMBERS, method)
    requests = requests_of(tmp_path)

    def flip(number: int, data: bytes) -> bytes:
        return bytes(byte ^ 0xFF for byte in data) if number == 1 else data

    store = RecordingStore(tmp_path, flip)
    counters = ReadCounters()
    assert [data for _, data in read_members(store, requests, counters)] == list(MEMBERS.values())
    assert store.reads[1:] == [("a.zip", request.offset, request.offset + request.extent) for request in requests]
    assert counters.requests == 1 + len(requests)
    assert counters.bytes_used == sum(request.compressed_size for request in requests)


def test_every_bit_of_a_member_is_checked(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        write_zip(tmp_path / "a.zip", {"a.jpg": b"frame, frame, frame", "b.jpg": b"other"}, method)
        request = requests_of(tmp_path)[0]
        original = (tmp_path / "a.zip").read_bytes()
        data_at = request.offset + 30 + len(request.name)
        for at in range(data_at, data_at + request.compressed_size):
            for bit in range(8):
                patch(tmp_path / "a.zip", at, bytes([original[at] ^ 1 << bit]))
                assert one_fault(tmp_path, request).reason == RejectReason.FRAME_DAMAGED
            patch(tmp_path / "a.zip", at, original[at : at + 1])
        assert read_all(tmp_path, [request]) == {0: b"frame, frame, frame"}


@pytest.mark.parametrize(
    ("at", "data", "match"),
    [
        (0, b"PK\x01\x02", "no local header at byte 0, but 504b0102"),
        (8, b"\x00", "says method 0, but the directory 8"),
        (26, b"\x04", "is that of 'a.jp'"),
        (26, b"\xff\xff", "header takes 65565 bytes"),
        (28, b"\xff\xff", "header takes 65570 bytes"),
        (28, b"\x01", "header takes 36 bytes and its data"),
        (30, b"b", "is that of 'b.jpg'"),
        (35, b"\xff", "cannot be inflated"),
    ],
)
def test_local_headers_and_data_that_do_not_fit(tmp_path: Path, at: int, data: bytes, match: str) -> None:
    write_zip(tmp_path / "a.zip", {"a.jpg": b"frame, frame, frame", "b.jpg": b"other"})
    request = requests_of(tmp_path)[0]
    patch(tmp_path / "a.zip", at, data)
    fault = one_fault(tmp_path, request)
    assert fault.reason == RejectReason.FRAME_DAMAGED
    assert match in fault.detail
    found = read_all(tmp_path, requests_of(tmp_path))
    assert (found[0], found[1]) == (fault, b"other")


def make_request(folder: Path, packed: bytes, size: int, crc32: int, method: int) -> MemberRequest:
    """A file that holds one member, and a request for it that says what it is told to."""
    header = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, method, 0, 0, 0, 0, 0, 1, 0) + b"a"
    (folder / "a.zip").write_bytes(header + packed)
    return MemberRequest("a.zip", "a", 0, len(header + packed), len(packed), size, crc32, method)


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def test_sizes_and_crc_that_do_not_fit(tmp_path: Path) -> None:
    data = b"frame" * 10
    crc32 = zlib.crc32(data)
    packed = deflate(data)
    assert read_all(tmp_path, [make_request(tmp_path, packed, 50, crc32, 8)]) == {0: data}
    for request_parts, match in [
        ((packed, 49, crc32, 8), "inflates to more than the 49 bytes"),
        ((packed, 0, crc32, 8), "inflates to more than the 0 bytes"),
        ((packed, 51, crc32, 8), "holds 50 bytes, but the directory says 51"),
        ((packed, 50, 1, 8), f"CRC-32 is {crc32:08x}, but the directory says 00000001"),
        ((packed[:-1], 50, crc32, 8), "data ends early"),
        ((b"", 50, crc32, 8), "data ends early: 0 bytes inflate to 0 of 50"),
        ((packed + b"xyz", 50, crc32, 8), "goes on for 3 bytes after its end"),
        ((data, 49, crc32, 0), "holds 50 bytes, but the directory says 49"),
        ((data, 50, 1, 0), "CRC-32"),
    ]:
        fault = one_fault(tmp_path, make_request(tmp_path, *request_parts))
        assert fault.reason == RejectReason.FRAME_DAMAGED
        assert match in fault.detail


def test_bombs_are_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = deflate(bytes(500 << 20))
    limits = []
    real = zlib_ng.decompressobj

    class Inflater:
        def __init__(self, wbits: int) -> None:
            self.real = real(wbits)

        def decompress(self, data: memoryview, limit: int) -> bytes:
            limits.append(limit)
            return self.real.decompress(data, limit)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    monkeypatch.setattr(zlib_ng, "decompressobj", Inflater)
    fault = one_fault(tmp_path, make_request(tmp_path, bomb, 1000, 0, 8))
    assert (fault.reason, limits) == (RejectReason.FRAME_DAMAGED, [1001, 1001])
    fault = one_fault(tmp_path, make_request(tmp_path, bomb, 500 << 20, 0, 8))
    assert (fault.reason, len(limits)) == (RejectReason.FRAME_TOO_LARGE, 2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": MAX_MEMBER_SIZE + 1}, RejectReason.FRAME_TOO_LARGE),
        ({"compressed_size": MAX_MEMBER_SIZE + 1}, RejectReason.FRAME_TOO_LARGE),
        ({"size": (1 << 63) - 1}, RejectReason.FRAME_TOO_LARGE),
        ({"method": 14}, RejectReason.FRAME_UNSUPPORTED),
        ({"extent": 29}, RejectReason.FRAME_DAMAGED),
        ({"extent": 0}, RejectReason.FRAME_DAMAGED),
        ({"compressed_size": 400}, RejectReason.FRAME_DAMAGED),
        ({"compressed_size": 300, "extent": 329}, RejectReason.FRAME_DAMAGED),
    ],
)
def test_refused_without_reading(tmp_path: Path, changes: dict[str, Any], reason: RejectReason) -> None:
    write_zip(tmp_path / "a.zip", MEMBERS, zipfile.ZIP_STORED)
    request = requests_of(tmp_path)[0]
    store = RecordingStore(tmp_path)
    counters = ReadCounters()
    ((_, fault),) = read_members(store, [request._replace(**changes)], counters)
    assert isinstance(fault, MemberFault)
    assert fault.reason == reason
    assert store.reads == []
    assert counters.requests == 0


def test_refused_members_keep_their_place(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", MEMBERS)
    requests = requests_of(tmp_path)
    for position in (0, 7, 8, 19):
        requests[position] = requests[position]._replace(size=MAX_MEMBER_SIZE + 1)
    found = list(read_members(LocalStore(tmp_path), requests))
    assert [position for position, _ in found] == list(range(20))
    assert [position for position, data in found if isinstance(data, MemberFault)] == [0, 7, 8, 19]
    last = requests[18]
    found = list(read_members(LocalStore(tmp_path), [last, last._replace(size=MAX_MEMBER_SIZE + 1)]))
    assert [isinstance(data, MemberFault) for _, data in found] == [False, True]


def test_largest_member_is_read(tmp_path: Path) -> None:
    data = bytes(MAX_MEMBER_SIZE)
    request = make_request(tmp_path, deflate(data), len(data), zlib.crc32(data), 8)
    assert read_all(tmp_path, [request]) == {0: data}


def test_overlapping_members_are_faults(tmp_path: Path) -> None:
    """A zip bomb whose members share their data: each local header lies in the data of the one before."""
    write_zip(tmp_path / "a.zip", {"a": bytes(range(200)), "b": b"b" * 50}, zipfile.ZIP_STORED)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    directory_at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02"))
    struct.pack_into("<LL", data, directory_at + 20, 250, 250)
    (tmp_path / "a.zip").write_bytes(data)
    found = read_all(tmp_path, requests_of(tmp_path))
    assert isinstance(found[0], MemberFault)
    assert "on another one begins" in found[0].detail
    assert found[1] == b"b" * 50


def test_encrypted_members_do_not_pass(tmp_path: Path) -> None:
    if shutil.which("zip") is None:
        pytest.skip("needs Info-ZIP's zip")
    (tmp_path / "f.jpg").write_bytes(b"frame" * 50)
    subprocess.run(["zip", "-q", "-0", "-P", "secret", "a.zip", "f.jpg"], cwd=tmp_path, check=True)
    assert one_fault(tmp_path, requests_of(tmp_path)[0]).reason == RejectReason.FRAME_DAMAGED


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_members_in_any_order_are_those_of_zipfile(tmp_path: Path, data: st.DataObject) -> None:
    archives = ["a.zip", "b.zip"]
    for path in archives:
        pipe = data.draw(st.booleans())
        target: Any = Pipe() if pipe else io.BytesIO()
        names = st.text(st.characters(codec="utf-8", exclude_characters="\0/\\"), min_size=1, max_size=8)
        members = data.draw(st.dictionaries(names, st.binary(max_size=2000), max_size=8))
        with zipfile.ZipFile(target, "w") as archive:
            for name, content in members.items():
                method = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
                archive.writestr(zipfile.ZipInfo(name), content, method)
        prefix = data.draw(st.binary(max_size=50))
        (tmp_path / path).write_bytes(prefix + (target.data if pipe else target.getvalue()))
    every = [request for path in archives for request in requests_of(tmp_path, path)]
    requests = data.draw(st.permutations(every))[: data.draw(st.integers(0, len(every)))]
    found = read_all(tmp_path, requests)
    with contextlib.ExitStack() as stack:
        opened = {path: stack.enter_context(zipfile.ZipFile(tmp_path / path)) for path in archives}
        for position, request in enumerate(requests):
            assert found[position] == opened[request.archive].read(request.name)


@pytest.fixture(scope="module")
def small_archives(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("small")
    archives = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        write_zip(folder / "a.zip", {"a.jpg": b"frame" * 20, "é.jpg": b"", "c": bytes(range(99))}, method)
        archives.append((folder / "a.zip").read_bytes())
    return archives


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_archives_give_faults_or_checked_bytes(
    tmp_path: Path, small_archives: list[bytes], data: st.DataObject
) -> None:
    mutated = bytearray(data.draw(st.sampled_from(small_archives)))
    positions = st.integers(0, len(mutated) - 1)
    for position, value in data.draw(st.lists(st.tuples(positions, st.integers(0, 255)), min_size=1, max_size=8)):
        mutated[position] = value
    (tmp_path / "a.zip").write_bytes(mutated)
    try:
        requests = requests_of(tmp_path)
    except ArchiveError:
        return
    for position, member in read_all(tmp_path, requests).items():
        if isinstance(member, bytes):
            assert len(member) == requests[position].size
            assert zlib.crc32(member) == requests[position].crc32
