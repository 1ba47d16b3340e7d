"""Entries of archives that others wrote: the bytes that zipfile and unzip give."""

import contextlib
import io
import random
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.archives import ReadCounters, read_entries
from shards_spec.storage import LocalStore
from tests.support.archives import ENTRIES, GIB, RecordingStore, patch, read_all, requests_of, write_zip


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_bytes_come_in_physical_order(tmp_path: Path, method: int) -> None:
    write_zip(tmp_path / "a.zip", ENTRIES, method)
    write_zip(tmp_path / "b.zip", dict(reversed(ENTRIES.items())), method)
    requests = requests_of(tmp_path, "b.zip") + requests_of(tmp_path)
    random.Random(1).shuffle(requests)
    found = list(read_entries(LocalStore(tmp_path), requests))
    order = [position for position, _ in found]
    assert order == sorted(range(40), key=lambda position: (requests[position].archive, requests[position].offset))
    for position, data in found:
        assert data == ENTRIES[requests[position].name]


def test_nothing_asked_for(tmp_path: Path) -> None:
    assert list(read_entries(LocalStore(tmp_path), [])) == []


def test_an_entry_asked_for_twice(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", ENTRIES)
    request = requests_of(tmp_path)[3]
    assert list(read_all(tmp_path, [request, request]).values()) == [ENTRIES[request.name]] * 2


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_repeated_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpg", b"first")
        archive.writestr("a.jpg", b"second")
    assert read_all(tmp_path, requests_of(tmp_path)) == {0: b"first", 1: b"second"}


def test_empty_entries_and_odd_names(tmp_path: Path) -> None:
    entries = {"empty.jpg": b"", "Ünïcode/人.jpg": b"1", "folder/": b"", "x" * 0xFFFF: b"long"}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        write_zip(tmp_path / "a.zip", entries, method)
        assert list(read_all(tmp_path, requests_of(tmp_path)).values()) == list(entries.values())


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
        for name, data in ENTRIES.items():
            archive.writestr(name, data)
    for prefix in (b"", b"#!/bin/sh\n"):
        (tmp_path / "a.zip").write_bytes(prefix + pipe.data)
        assert list(read_all(tmp_path, requests_of(tmp_path)).values()) == list(ENTRIES.values())


def test_zip64_local_headers(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in ENTRIES.items():
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(data)
    assert list(read_all(tmp_path, requests_of(tmp_path)).values()) == list(ENTRIES.values())


def test_entries_over_four_gib_apart(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("near.jpg", b"near")
        archive.start_dir = 5 * GIB
        archive.writestr("far.jpg", b"far")
    counters = ReadCounters()
    store = RecordingStore(tmp_path)
    assert list(read_entries(store, requests_of(tmp_path), counters)) == [(0, b"near"), (1, b"far")]
    # The first entry's extent is 5 GiB; no more is read of it than its header may take.
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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_entries_in_any_order_are_those_of_zipfile(tmp_path: Path, data: st.DataObject) -> None:
    archives = ["a.zip", "b.zip"]
    for path in archives:
        pipe = data.draw(st.booleans())
        target: Any = Pipe() if pipe else io.BytesIO()
        names = st.text(st.characters(codec="utf-8", exclude_characters="\0/\\"), min_size=1, max_size=8)
        entries = data.draw(st.dictionaries(names, st.binary(max_size=2000), max_size=8))
        with zipfile.ZipFile(target, "w") as archive:
            for name, content in entries.items():
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
