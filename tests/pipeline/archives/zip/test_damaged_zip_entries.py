"""Whatever is wrong with an entry: a fault of its own, and no other entry's."""

import shutil
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zlib_ng import zlib_ng

from pipeline.archives import MAX_ENTRY_SIZE, ArchiveError, EntryFault, ReadCounters, ZipRequest, read_entries
from shards_spec.rejects import RejectReason
from shards_spec.storage import LocalStore
from tests.support.archives import ENTRIES, RecordingStore, one_fault, patch, read_all, requests_of, write_zip


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_passing_read_error_loses_nothing(tmp_path: Path, method: int) -> None:
    write_zip(tmp_path / "a.zip", ENTRIES, method)
    requests = requests_of(tmp_path)

    def flip(number: int, data: bytes) -> bytes:
        return bytes(byte ^ 0xFF for byte in data) if number == 1 else data

    store = RecordingStore(tmp_path, flip)
    counters = ReadCounters()
    assert [data for _, data in read_entries(store, requests, counters)] == list(ENTRIES.values())
    assert store.reads[1:] == [("a.zip", request.offset, request.offset + request.extent) for request in requests]
    assert counters.requests == 1 + len(requests)
    assert counters.bytes_used == sum(request.compressed_size for request in requests)


def test_every_bit_of_an_entry_is_checked(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        write_zip(tmp_path / "a.zip", {"a.jpg": b"frame, frame, frame", "b.jpg": b"other"}, method)
        request = requests_of(tmp_path)[0]
        original = (tmp_path / "a.zip").read_bytes()
        data_at = request.offset + 30 + len(request.name)
        for at in range(data_at, data_at + request.compressed_size):
            for bit in range(8):
                patch(tmp_path / "a.zip", at, bytes([original[at] ^ 1 << bit]))
                assert one_fault(tmp_path, request).reason == RejectReason.IMAGE_DAMAGED
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
    assert fault.reason == RejectReason.IMAGE_DAMAGED
    assert match in fault.detail
    found = read_all(tmp_path, requests_of(tmp_path))
    assert (found[0], found[1]) == (fault, b"other")


def make_request(folder: Path, packed: bytes, size: int, crc32: int, method: int) -> ZipRequest:
    """A file that holds one entry, and a request for it that says what it is told to."""
    header = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, method, 0, 0, 0, 0, 0, 1, 0) + b"a"
    (folder / "a.zip").write_bytes(header + packed)
    return ZipRequest("a.zip", "a", 0, len(header + packed), len(packed), size, crc32, method)


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
        assert fault.reason == RejectReason.IMAGE_DAMAGED
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
    assert (fault.reason, limits) == (RejectReason.IMAGE_DAMAGED, [1001, 1001])
    fault = one_fault(tmp_path, make_request(tmp_path, bomb, 500 << 20, 0, 8))
    assert (fault.reason, len(limits)) == (RejectReason.IMAGE_TOO_LARGE, 2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": MAX_ENTRY_SIZE + 1}, RejectReason.IMAGE_TOO_LARGE),
        ({"compressed_size": MAX_ENTRY_SIZE + 1}, RejectReason.IMAGE_TOO_LARGE),
        ({"size": (1 << 63) - 1}, RejectReason.IMAGE_TOO_LARGE),
        ({"method": 14}, RejectReason.IMAGE_UNSUPPORTED),
        ({"extent": 29}, RejectReason.IMAGE_DAMAGED),
        ({"extent": 0}, RejectReason.IMAGE_DAMAGED),
        ({"compressed_size": 400}, RejectReason.IMAGE_DAMAGED),
        ({"compressed_size": 300, "extent": 329}, RejectReason.IMAGE_DAMAGED),
    ],
)
def test_refused_without_reading(tmp_path: Path, changes: dict[str, Any], reason: RejectReason) -> None:
    write_zip(tmp_path / "a.zip", ENTRIES, zipfile.ZIP_STORED)
    request = requests_of(tmp_path)[0]
    store = RecordingStore(tmp_path)
    counters = ReadCounters()
    ((_, fault),) = read_entries(store, [request._replace(**changes)], counters)
    assert isinstance(fault, EntryFault)
    assert fault.reason == reason
    assert store.reads == []
    assert counters.requests == 0


def test_refused_entries_keep_their_place(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", ENTRIES)
    requests = requests_of(tmp_path)
    for position in (0, 7, 8, 19):
        requests[position] = requests[position]._replace(size=MAX_ENTRY_SIZE + 1)
    found = list(read_entries(LocalStore(tmp_path), requests))
    assert [position for position, _ in found] == list(range(20))
    assert [position for position, data in found if isinstance(data, EntryFault)] == [0, 7, 8, 19]
    last = requests[18]
    found = list(read_entries(LocalStore(tmp_path), [last, last._replace(size=MAX_ENTRY_SIZE + 1)]))
    assert [isinstance(data, EntryFault) for _, data in found] == [False, True]


def test_largest_entry_is_read(tmp_path: Path) -> None:
    data = bytes(MAX_ENTRY_SIZE)
    request = make_request(tmp_path, deflate(data), len(data), zlib.crc32(data), 8)
    assert read_all(tmp_path, [request]) == {0: data}


def test_overlapping_entries_are_faults(tmp_path: Path) -> None:
    """A zip bomb whose entries share their data: each local header lies in the data of the one before."""
    write_zip(tmp_path / "a.zip", {"a": bytes(range(200)), "b": b"b" * 50}, zipfile.ZIP_STORED)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    directory_at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02"))
    struct.pack_into("<LL", data, directory_at + 20, 250, 250)
    (tmp_path / "a.zip").write_bytes(data)
    found = read_all(tmp_path, requests_of(tmp_path))
    assert isinstance(found[0], EntryFault)
    assert "on another one begins" in found[0].detail
    assert found[1] == b"b" * 50


def test_encrypted_entries_do_not_pass(tmp_path: Path) -> None:
    if shutil.which("zip") is None:
        pytest.skip("needs Info-ZIP's zip")
    (tmp_path / "f.jpg").write_bytes(b"frame" * 50)
    subprocess.run(["zip", "-q", "-0", "-P", "secret", "a.zip", "f.jpg"], cwd=tmp_path, check=True)
    assert one_fault(tmp_path, requests_of(tmp_path)[0]).reason == RejectReason.IMAGE_DAMAGED


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
    for position, entry in read_all(tmp_path, requests).items():
        if isinstance(entry, bytes):
            assert len(entry) == requests[position].size
            assert zlib.crc32(entry) == requests[position].crc32
