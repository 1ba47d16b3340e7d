"""The folder of indexes keeps what is used, and nothing else for ever."""

import errno
import fcntl
import os
import time
from pathlib import Path

import pyarrow.compute as pc
import pytest

from shards_spec.storage import LocalStore
from shards_spec.stream import open_dataset
from shards_spec.stream.cleanup import HELD_FILE
from shards_spec.stream.index_cache import SetIndex, prepare_index
from tests.support.sets import replaced_in_manifest

DAY = 24 * 3600


def prepare(source: Path, folder: Path, seed: int) -> Path:
    """The index of the set, as it would be with this seed."""
    manifest = replaced_in_manifest((source / "dataset.json").read_bytes(), b'"seed": 0', b'"seed": %d' % seed)
    return prepare_index(LocalStore(source), manifest, folder)


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_an_index_that_nobody_opened_for_a_month_goes(stream_folder: Path, tmp_path: Path) -> None:
    unused, in_use, lately = (prepare(stream_folder, tmp_path, seed) for seed in (1, 2, 3))
    index = SetIndex(in_use)
    age(lately / HELD_FILE, 29)
    for folder in (unused, in_use):
        age(folder / HELD_FILE, 31)
    (tmp_path / "notes").mkdir()
    age(tmp_path / "notes", 100)
    new = prepare(stream_folder, tmp_path, 4)
    assert names(tmp_path) == {in_use.name, lately.name, new.name, "notes"}
    assert index.label_values("identity") == SetIndex(new).label_values("identity")
    del index
    age(in_use / HELD_FILE, 31)
    newer = prepare(stream_folder, tmp_path, 5)
    assert names(tmp_path) == {lately.name, new.name, newer.name, "notes"}


def test_opening_an_index_is_using_it(stream_folder: Path, tmp_path: Path) -> None:
    folder = prepare(stream_folder, tmp_path, 1)
    age(folder / HELD_FILE, 31)
    SetIndex(folder)
    prepare(stream_folder, tmp_path, 2)
    assert SetIndex(folder).label_values("identity")


def test_what_a_killed_writer_left_goes_after_a_day(stream_folder: Path, tmp_path: Path) -> None:
    index = prepare(stream_folder, tmp_path, 1)
    left = [tmp_path / f"{'0' * 32}.abcd1234", tmp_path / f"{'1' * 32}.gone", tmp_path / f"{'2' * 32}.efgh5678"]
    for folder in left:
        folder.mkdir()
        (folder / "rows").write_bytes(b"half")
    selections = [index / f"{'0' * 32}.17.abcd", index / f"{'1' * 32}.18.abcd"]
    for file in selections:
        file.write_bytes(b"half")
    lock = tmp_path / f"{'3' * 32}.lock"
    lock.touch()
    for path in (*left[:2], selections[0], lock):
        age(path, 1.5)
    prepare(stream_folder, tmp_path, 2)
    assert [path.exists() for path in (*left, *selections, lock)] == [False, False, True, False, True, False]


def test_selections_go_as_indexes_do(stream_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataset = open_dataset(stream_folder)
    streams = [dataset.stream(where=pc.field("camera") == camera, by="frame") for camera in (1, 2)]
    (folder,) = (path for path in (tmp_path / "reid-shards").iterdir() if path.is_dir())
    expected = sum(1 for _ in streams[1])
    for path in folder.glob("*.rows"):
        age(path, 31)
    count = len(names(folder))
    del streams[0]
    dataset.stream(where=pc.field("camera") == 3)
    assert len(names(folder)) == count - 2 + 1
    assert sum(1 for _ in streams[0]) == expected
    assert sum(1 for _ in dataset.stream(where=pc.field("camera") == 1, by="frame")) > 0


def test_without_locks_nothing_is_removed(stream_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    first = prepare(stream_folder, tmp_path, 1)
    age(first / HELD_FILE, 31)
    second = prepare(stream_folder, tmp_path, 2)
    assert SetIndex(first).label_values("identity") == SetIndex(second).label_values("identity")
