"""How archives are read: few large requests, little in memory, threads that end, errors that are raised."""

import contextlib
import random
import threading
import zipfile
from pathlib import Path
from typing import Self

import pytest

from pipeline.archives import MAX_BLOCK_SIZE, MAX_GAP, FileRequest, ReadCounters, read_batches, read_entries
from shards_spec.storage import LocalStore
from tests.support.archives import ENTRIES, RecordingStore, requests_of, write_zip


def background_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_adjacent_entries_take_few_requests(tmp_path: Path) -> None:
    entries = {f"{i}.jpg": random.Random(i).randbytes(20_000) for i in range(1000)}
    write_zip(tmp_path / "a.zip", entries, zipfile.ZIP_STORED)
    requests = requests_of(tmp_path)
    random.Random(0).shuffle(requests)
    store = RecordingStore(tmp_path)
    counters = ReadCounters()
    for position, data in read_entries(store, requests, counters):
        assert data == entries[requests[position].name]
    assert len(store.reads) == counters.requests == 3
    assert all(stop - start <= MAX_BLOCK_SIZE for _, start, stop in store.reads)
    assert counters.bytes_used == 20_000_000
    assert counters.bytes_read == sum(request.extent for request in requests)
    assert counters.seconds_waiting > 0


def test_small_entries_are_handed_out_together_and_large_ones_two_at_a_time(tmp_path: Path) -> None:
    sizes = [1000] * 300 + [300_000] * 5 + [0]
    for number, size in enumerate(sizes):
        (tmp_path / f"{number:03}").write_bytes(number.to_bytes(2) * (size // 2))
    requests = [FileRequest(f"{number:03}", size) for number, size in enumerate(sizes)]
    batches = list(read_batches(LocalStore(tmp_path), requests))
    assert [len(positions) for positions, _ in batches] == [263, 38, 2, 2, 1]
    found = [entry for batch in batches for entry in zip(*batch, strict=True)]
    assert found == [(number, number.to_bytes(2) * (size // 2)) for number, size in enumerate(sizes)]


@pytest.mark.parametrize(("gap", "reads"), [(MAX_GAP, 1), (MAX_GAP + 1, 2)])
def test_gaps_are_read_only_where_small(tmp_path: Path, gap: int, reads: int) -> None:
    write_zip(tmp_path / "a.zip", {"a": b"a", "gap": bytes(gap - 33), "b": b"b"}, zipfile.ZIP_STORED)
    first, _, last = requests_of(tmp_path)
    assert last.offset - first.offset - first.extent == gap
    store = RecordingStore(tmp_path)
    assert list(read_entries(store, [first, last])) == [(0, b"a"), (1, b"b")]
    assert len(store.reads) == reads


def test_an_entry_larger_than_a_block(tmp_path: Path) -> None:
    entries = {"a": b"a", "large": bytes(MAX_BLOCK_SIZE + 1), "b": b"b"}
    write_zip(tmp_path / "a.zip", entries, zipfile.ZIP_STORED)
    store = RecordingStore(tmp_path)
    requests = requests_of(tmp_path)
    assert [data for _, data in read_entries(store, requests)] == list(entries.values())
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
    assert [len(data) for _, data in read_entries(store, requests_of(tmp_path)) if isinstance(data, bytes)]
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
    with contextlib.closing(read_entries(store, requests_of(tmp_path))) as entries:
        next(entries)
        assert second_read.wait(10)
        assert not store.expected


def test_the_next_block_of_a_folders_is_expected(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {f"{i}": bytes(MAX_BLOCK_SIZE - 100) for i in range(4)}, zipfile.ZIP_STORED)
    store = RecordingStore(tmp_path)
    for number, _ in enumerate(read_entries(store, requests_of(tmp_path)), 1):
        assert len(store.reads) == number
        assert len(store.expected) == min(number + 1, 4)
    assert store.expected == store.reads


def test_ending_early_stops_the_threads(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {f"{i}": bytes(MAX_BLOCK_SIZE - 100) for i in range(5)}, zipfile.ZIP_STORED)
    store = RecordingStore(tmp_path, reads_at_once=2)
    requests = requests_of(tmp_path)
    entries = read_entries(store, requests)
    next(entries)
    assert background_threads()
    entries.close()
    assert not background_threads()
    entries = read_entries(store, requests)
    next(entries)
    with pytest.raises(ZeroDivisionError):
        entries.throw(ZeroDivisionError)
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

    entries = read_entries(RecordingStore(tmp_path, fail, reads_at_once), requests_of(tmp_path))
    for _ in range(number - 1):
        next(entries)  # what was read before the error is not lost
    with pytest.raises(type(error), match=str(error)):
        next(entries)
    assert not background_threads()


def test_errors_of_the_second_read_are_raised(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", ENTRIES)

    def fail(number: int, data: bytes) -> bytes:
        if number == 2:
            raise OSError("gone")
        return bytes(len(data))

    with pytest.raises(OSError, match="gone"):
        list(read_entries(RecordingStore(tmp_path, fail), requests_of(tmp_path)))


def test_archive_cut_after_its_directory_was_read(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", ENTRIES)
    requests = requests_of(tmp_path)
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:500])
    with pytest.raises(EOFError):
        list(read_entries(LocalStore(tmp_path), requests))
