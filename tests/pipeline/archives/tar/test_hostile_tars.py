"""Tars that nobody wrote: a survey of them ends with entries that can be read, or says what is wrong."""

import contextlib
import itertools
import random
import tarfile
import tracemalloc
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.archives import ArchiveError, EntryKind, find_tars, survey_tar
from pipeline.archives.tar import scan
from shards_spec.storage import LocalStore
from tests.support.tars import contents_of, header, make_tar, sign, survey_bytes

FILES = [
    ("train/0001/0.jpg", random.Random(0).randbytes(700)),
    ("train/" + "long/" * 30 + "1.jpg", b"1" * 512),
    ("train/0002/ä.jpg", b"3" * 3),
    ("train/0002/empty.jpg", b""),
]
SEEDS = [make_tar(FILES, form)[:8192] for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]
FIELDS = [0, 124, 135, 148, 156, 157, 257, 263, 345, 482, 500]
"""Offsets in a header that mean something."""


@st.composite
def mutated_tars(draw: st.DrawFn) -> bytes:
    """A tar in which some bytes are others; mostly, the checksum is right again."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        block = 512 * draw(st.integers(0, len(data) // 512 - 1))
        place = block + draw(st.sampled_from(FIELDS) | st.integers(0, 511))
        value = draw(
            st.sampled_from(
                [b"7" * 11, b"\xff" * 12, b"\x80" + b"\xff" * 11, b"L", b"K", b"x", b"g", b"S", b"\0", b"1"]
            )
            | st.binary(min_size=1, max_size=12)
        )
        data[place : place + len(value)] = value
        if draw(st.integers(0, 4)):
            data[block : block + 512] = sign(bytes(data[block : block + 512]))
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data)


@given(data=mutated_tars(), cuts=st.sets(st.integers(1, 8191), max_size=3))
def test_mutated_tars(tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: set[int]) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "a.tar").write_bytes(data)
    store = LocalStore(folder)
    try:
        (stream,) = find_tars(store, ["a.tar"])
        found = survey_tar(store, stream, [(0, len(data))])
    except ArchiveError:
        found = None
    bounds = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    try:
        (stream,) = find_tars(store, ["a.tar"])
        ranges = list(itertools.pairwise(bounds))
        again = survey_tar(store, stream, ranges)
    except ArchiveError:
        assert found is None
        return
    assert found is not None
    assert again.entries.equals(found.entries)
    found.entries.validate(full=True)
    files = [kind == EntryKind.FILE for kind in found.entries.column("kind").to_pylist()]
    assert len(contents_of(folder, found)) == sum(files)
    for row in found.entries.to_pylist():
        assert 0 <= row["offset"] < row["offset"] + row["header_size"] + row["size"] <= len(data)


@given(st.binary(max_size=3000))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "a.tar").write_bytes(data)
    store = LocalStore(folder)
    with contextlib.suppress(ArchiveError):
        (stream,) = find_tars(store, ["a.tar"])
        assert survey_tar(store, stream).entries.num_rows * 512 <= len(data)


def test_a_tar_of_nothing_but_headers_takes_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The most entries that a range can hold, and the most false headers."""
    monkeypatch.setattr(scan, "BUFFER_BYTES", 1 << 20)
    headers = b"".join(header(b"%d.jpg" % index) for index in range(20_000)) + bytes(1024)
    inside = header(b"large.jpg", len(headers)) + headers + bytes(1024)
    for data, entries in ((headers, 20_000), (inside, 1)):
        tracemalloc.start()
        assert survey_bytes(tmp_path, data).entries.num_rows == entries
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 40 << 20


def test_a_header_in_each_entry_costs_no_second_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tar of tars: false headers are passed over in the chain, and each range is scanned once more at most."""
    inner = make_tar([("inner.jpg", b"x")])[:2048]
    files = [(f"{index}.jpg", bytes(512) + inner) for index in range(300)]
    (tmp_path / "a.tar").write_bytes(make_tar(files))
    store = LocalStore(tmp_path)
    (stream,) = find_tars(store, ["a.tar"])
    counted = mock.Mock(wraps=scan.scan_range)
    monkeypatch.setattr("pipeline.archives.tar.survey.scan_range", counted)
    monkeypatch.setattr(scan, "LOOKBACK_BYTES", 0)
    ranges = [(start, min(start + 30_000, stream.size)) for start in range(0, stream.size, 30_000)]
    assert contents_of(tmp_path, survey_tar(store, stream, ranges)) == files
    assert len(ranges) < counted.call_count <= 2 * len(ranges)
