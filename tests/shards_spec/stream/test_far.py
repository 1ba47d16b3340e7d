"""Reading ahead over a network: what is read with what, in which order, and how much is in memory."""

import functools
import gc
import threading
from collections.abc import Iterator
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.stream import far
from shards_spec.stream.chunks import Wanted
from shards_spec.stream.far import FarReader
from shards_spec.stream.index_format import index_row
from shards_spec.stream.order import Int64
from shards_spec.stream.ranges import Range

SIZE = 6144
"""Of a sample's place in its shard."""
SHARD_SAMPLES = 100


class Network:
    """Shards whose bytes follow from their place, and what was read of them."""

    def __init__(self) -> None:
        self.read: list[Range] = []
        self.lock = threading.Lock()

    def read_into(self, one: Range, buffer: memoryview) -> None:
        with self.lock:
            self.read.append(one)
        buffer[:] = content(one.shard)[one.start : one.stop]

    def read_chunks(self, chunks: list[Int64]) -> Iterator[list[tuple[bytes, bytes]]]:
        reader = FarReader(self.read_into, str, least=2, most=8)
        try:
            for chunk in reader.read(map(wanted, chunks)):
                jpgs, jsons = chunk.files("jpg"), chunk.files("json")
                found = []
                for place in range(len(chunk.wanted.rows)):
                    assert not list(chunk.failures(range(place, place + 1)))
                    found.append((next(jpgs), next(jsons)))
                yield found
        finally:
            reader.close()


@functools.cache
def content(shard: int) -> bytes:
    return np.random.default_rng(shard).bytes(SHARD_SAMPLES * SIZE)


def wanted(rows: Int64) -> Wanted:
    records = np.zeros(len(rows), index_row(("jpg", "json"), ("identity",)))
    places = rows % SHARD_SAMPLES * SIZE
    records["jpg_offset"], records["jpg_size"] = places + 512, 4000
    records["json_offset"], records["json_size"] = places + 5120, 300
    return Wanted(rows, records, rows // SHARD_SAMPLES)


def expected(rows: Int64) -> list[tuple[bytes, bytes]]:
    files = []
    for row in rows.tolist():
        shard, start = content(row // SHARD_SAMPLES), row % SHARD_SAMPLES * SIZE
        files.append((shard[start + 512 : start + 4512], shard[start + 5120 : start + 5420]))
    return files


@given(
    chunks=st.lists(st.lists(st.integers(0, 399), min_size=1, max_size=60), min_size=1, max_size=12),
    ahead=st.sampled_from([1, 100_000, 10_000_000]),
    known=st.sampled_from([1, 300_000, 10_000_000]),
)
def test_each_chunk_has_its_samples_in_order(chunks: list[list[int]], ahead: int, known: int) -> None:
    rows = [np.asarray(chunk) for chunk in chunks]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(far, "READ_AHEAD_BYTES", ahead)
        patch.setattr(far, "KNOWN_BYTES", known)
        assert list(Network().read_chunks(rows)) == [expected(chunk) for chunk in rows]


def test_what_comes_soon_is_read_with_what_lies_beside_it() -> None:
    """Four chunks that take every fourth sample of each shard are read as whole shards, once."""
    chunks = [np.arange(start, 400, 4) for start in (2, 0, 3, 1)]
    network = Network()
    assert [len(chunk) for chunk in network.read_chunks(chunks)] == [100] * 4
    assert len(network.read) == 4
    assert sum(one.stop - one.start for one in network.read) < 400 * SIZE


def test_what_comes_later_than_is_known_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far, "READ_AHEAD_BYTES", 1)
    monkeypatch.setattr(far, "KNOWN_BYTES", 1)
    network = Network()
    assert len(list(network.read_chunks([np.arange(start, 400, 4) for start in (2, 0, 3, 1)]))) == 4
    assert len(network.read) == 400


def test_little_more_is_in_memory_than_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where what lies together is used far apart."""
    monkeypatch.setattr(far, "READ_AHEAD_BYTES", 20 * SIZE)
    monkeypatch.setattr(far, "KNOWN_BYTES", 60 * SIZE)
    chunks = np.array_split(np.random.default_rng(0).permutation(1000), 50)
    most = max(bytes_in_memory() for _ in Network().read_chunks(list(chunks)))
    assert 10 * SIZE < most <= 2 * (60 + 20 + 20) * SIZE


def bytes_in_memory() -> int:
    pieces = (one for one in gc.get_objects() if type(one).__name__ == "_Piece")
    return sum(piece.place.stop - piece.place.start for piece in pieces)


def test_a_read_that_fails_costs_its_own_samples() -> None:
    def read_into(one: Range, buffer: memoryview) -> None:
        if one.shard == 1:
            raise ConnectionAbortedError("broken off")
        Network().read_into(one, buffer)

    reader = FarReader(read_into, str, least=2, most=8)
    rows = np.asarray([5, 105, 205])
    (chunk,) = reader.read([wanted(rows)])
    failed = dict(chunk.failures(range(3)))
    assert [type(error) for error in failed.values()] == [ConnectionAbortedError]
    assert list(failed) == [1]
    files = list(chunk.files("jpg"))
    assert list(map(crc32, files)) == [crc32(one[0]) if place != 1 else 0 for place, one in enumerate(expected(rows))]
    reader.close()


def test_a_wait_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far, "WARN_SECONDS", 0.01)
    over = threading.Event()

    def read_into(one: Range, buffer: memoryview) -> None:
        over.wait(30)
        Network().read_into(one, buffer)

    reader = FarReader(read_into, lambda one: f"s3://bucket/set: shard {one.shard}", least=2, most=8)
    (chunk,) = reader.read([wanted(np.asarray([105]))])

    told: list[object] = []

    def warn(_: str, where: str, *rest: object) -> None:
        told.append((where, *rest))
        over.set()

    monkeypatch.setattr(far.logger, "warning", warn)
    assert not list(chunk.failures(range(1)))
    assert told[0] == ("s3://bucket/set: shard 1", 0.01)
    reader.close()
