"""A tar that is scanned in ranges: each entry once, wherever the cuts are."""

import itertools
import random
import tarfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.archives import (
    Joined,
    Rescan,
    find_tars,
    join_paths,
    join_scans,
    scan_range,
    split_ranges,
    stitch,
    survey_tar,
)
from pipeline.archives.tar import scan
from shards_spec.storage import LocalStore
from tests.support.archives import RecordingStore
from tests.support.tars import contents_of, make_tar, paths_of, survey

INNER = make_tar((f"inner/{i}.jpg", bytes([i]) * 300 * i) for i in range(1, 2))[: 2 * 512 + 1024]
FILES = [
    ("train/0001/0.jpg", random.Random(0).randbytes(100)),
    ("train/0001/empty.jpg", b""),
    ("train/0001/tar.jpg", b"\xff\xd8" + bytes(510) + INNER + b"\xff\xd9"),
    ("train/" + "long/" * 30 + "1.jpg", b"1" * 512),
    ("train/0002/ä.jpg", b"3" * 3),
]


def without_end(tar: bytes) -> bytes:
    """The tar without the zeros that end it, so that another one may follow."""
    zeros = len(tar) - len(tar.rstrip(b"\0"))
    return tar[: len(tar) - zeros // 512 * 512]


@pytest.mark.slow
def test_every_entry_is_found_once_wherever_two_tasks_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tar with headers of all forms, cut at every byte: entries, contents and digest are those of the whole."""
    forms = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
    pieces = [without_end(make_tar(FILES[first::3], form)) for first, form in enumerate(forms)]
    files = [file for first in range(3) for file in FILES[first::3]]
    (tmp_path / "a.tar").write_bytes(b"".join(pieces) + bytes(1024))
    store = LocalStore(tmp_path)
    (stream,) = find_tars(store, ["a.tar"])
    whole = survey_tar(store, stream, [(0, stream.size)])
    assert contents_of(tmp_path, whole) == files
    monkeypatch.setattr(scan, "LOOKBACK_BYTES", 1024)  # else it reaches over this small tar
    rescans = 0
    for cut in range(1, stream.size):
        scans = [scan_range(store, stream, 0, cut), scan_range(store, stream, cut, stream.size)]
        joined = stitch(stream, [found.chain for found in scans])
        if isinstance(joined, Rescan):
            assert joined.range_index == 1
            rescans += 1
            scans[1] = scan_range(store, stream, cut, stream.size, joined.first)
            joined = stitch(stream, [found.chain for found in scans])
        assert isinstance(joined, Joined)
        found = join_scans(stream, scans, joined)
        assert (found.sha256, found.entries.num_rows, found.joined.end) == (
            whole.sha256,
            len(files),
            whole.joined.end,
        ), cut
    assert len(INNER) / 2 < rescans < 2 * len(INNER)  # the cuts inside the embedded tar


@given(data=st.data())
def test_any_ranges_and_buffers_give_the_same(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("tar")
    contents = st.binary(max_size=1500) | st.just(INNER) | st.integers(0, len(INNER)).map(lambda stop: INNER[:stop])
    names = st.from_regex(r"[a-zä]{1,9}/[a-z]{1,200}\.jpg", fullmatch=True)
    files = data.draw(st.lists(st.tuples(names, contents), max_size=6))
    form = data.draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    (folder / "a.tar").write_bytes(make_tar(files, form))
    size = (folder / "a.tar").stat().st_size
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, size - 1), max_size=12))), size]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "BUFFER_BYTES", 512 * data.draw(st.integers(1, 40)))
        patch.setattr(scan, "LOOKBACK_BYTES", 512 * data.draw(st.integers(0, 8)))
        found = survey(folder, ranges=list(itertools.pairwise(cuts)))
        whole = survey(folder)
    assert contents_of(folder, found) == files
    assert found.entries.equals(whole.entries)
    assert found.sha256 == whole.sha256


def test_a_range_inside_a_large_entry_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a range that the search entered by a header, buffers inside an entry are skipped."""
    monkeypatch.setattr(scan, "BUFFER_BYTES", 1 << 20)
    files = [("a.jpg", b"a"), ("large.bin", bytes(20 << 20)), ("b.jpg", b"b")]
    (tmp_path / "a.tar").write_bytes(make_tar(files))
    store = LocalStore(tmp_path)
    (stream,) = find_tars(store, ["a.tar"])
    with mock.patch.object(store, "read_into", wraps=store.read_into) as read_into:
        found = survey_tar(store, stream)
    assert paths_of(found) == ["a.jpg", "large.bin", "b.jpg"]
    assert sum(len(call.args[2]) for call in read_into.call_args_list) <= 3 * scan.BUFFER_BYTES


def test_a_bucket_is_read_ahead_in_threads(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(make_tar(FILES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "BUFFER_BYTES", 1024)
        store = RecordingStore(tmp_path, reads_at_once=4)
        (stream,) = find_tars(store, ["a.tar"])
        found = survey_tar(store, stream, [(0, 4000), (4000, stream.size)])
    assert contents_of(tmp_path, found) == FILES


def test_what_the_end_hides_is_told(tmp_path: Path) -> None:
    """Archivers stop at the zeros, and so does the survey; what follows is no entry, but it is named."""
    tar = make_tar([("a.jpg", b"a")])
    (tmp_path / "a.tar").write_bytes(tar + make_tar([("b.jpg", b"b")]))
    for ranges in (None, [(0, 700), (700, len(tar)), (len(tar), 2 * len(tar))]):
        found = survey(tmp_path, ranges=ranges)
        assert paths_of(found) == ["a.jpg"]
        assert (found.joined.end, found.joined.trailing) == (1024, len(tar))
    (tmp_path / "a.tar").write_bytes(tar + bytes(3000) + b"x" + bytes(99))
    assert survey(tmp_path).joined.trailing == len(tar) + 3000
    (tmp_path / "a.tar").write_bytes(tar + bytes(3000))
    assert survey(tmp_path).joined.trailing is None
    (tmp_path / "a.tar").write_bytes(tar[:1024])
    assert survey(tmp_path).joined[2:] == (None, None)


def test_an_empty_tar(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(make_tar([]))
    found = survey(tmp_path)
    assert (found.entries.num_rows, found.joined.end) == (0, 0)
    assert join_paths(found.entries).to_pylist() == []


def test_ranges_cover_the_archive(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(make_tar(FILES))
    (stream,) = find_tars(LocalStore(tmp_path), ["a.tar"])
    ranges = split_ranges(stream, 1000)
    assert [start for start, _ in ranges] == list(range(0, stream.size, 1000))
    assert ranges[-1][1] == stream.size
    assert survey(tmp_path, ranges=ranges).sha256 == survey(tmp_path).sha256
