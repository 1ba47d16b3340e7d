"""The suite that every store passes."""

import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.errors import UsageError
from shards_spec.storage import (
    FileInfo,
    FileTooLargeError,
    Kind,
    LocalStore,
    ObjectStore,
    Store,
    StoreBusyError,
    open_store,
)
from shards_spec.storage.base import check_path, check_paths
from shards_spec.storage.object import PART_BYTES


@pytest.fixture(params=["folder", "memory", "s3", "az"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place of each kind; opening it again is what another process would do."""
    if request.param == "s3":
        return f"s3://{request.getfixturevalue('bucket')}/sets/my set"
    if request.param == "az":
        return f"az://{request.getfixturevalue('container')}/sets/my set"
    return {"folder": str(tmp_path / "store"), "memory": f"memory://{tmp_path}".replace("///", "//")}[request.param]


def open_to_hold(url: str) -> Store:
    """The store, with a lease, if it has one, that shows quickly whether its holder lives."""
    return ObjectStore(url, lease_seconds=4.0) if "://" in url else open_store(url)


def test_what_was_put_is_read(url: str) -> None:
    open_store(url).put("a/b.bin", b"0123456789")
    store = open_store(url)
    assert store.read_whole("a/b.bin") == b"0123456789"
    assert store.size("a/b.bin") == 10
    assert store.read("a/b.bin", 3, 6) == b"345"
    assert store.read("a/b.bin", 3, 3) == b""
    store.prefetch("a/b.bin", 3, 6)
    buffer = bytearray(b"-----")
    store.read_into("a/b.bin", 3, memoryview(buffer)[1:4])
    assert buffer == b"-345-"
    store.read_into("a/b.bin", 3, memoryview(bytearray()))


def test_a_file_that_cannot_be_what_its_name_says_is_not_read_whole(url: str) -> None:
    store = open_store(url)
    store.put("a", b"0123456789")
    assert store.read_whole("a", 10) == b"0123456789"
    with pytest.raises(FileTooLargeError, match=r"/a.* is 10 bytes, but such a file has at most 9"):
        store.read_whole("a", 9)


def test_a_sparse_file_of_terabytes_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.truncate(2**42)
    with pytest.raises(FileTooLargeError):
        open_store(str(tmp_path)).read_whole("a")


def test_put_replaces(url: str) -> None:
    store = open_store(url)
    store.put("a", b"first")
    store.put("a", b"2")
    assert store.read_whole("a") == b"2"


def test_reading_past_the_end_is_an_error_not_fewer_bytes(url: str) -> None:
    store = open_store(url)
    store.put("a", b"0123456789")
    store.prefetch("a", 5, 11)  # says nothing
    store.put("b", b"012")
    assert store.read_files(["b", "a", "b", "a"], [3, 10, 2, 0]) == [b"012", b"0123456789", b"01", b""]
    for read in (
        lambda: store.read("a", 5, 11),
        lambda: store.read_into("a", 5, memoryview(bytearray(6))),
        lambda: store.read_files(["b", "a"], [3, 11]),
    ):
        with pytest.raises(EOFError, match="10"):
            read()


def test_a_missing_file_is_said_to_be_missing(url: str) -> None:
    store = open_store(url)
    store.prefetch("a", 0, 1)  # says nothing
    for read in (
        lambda: store.size("a"),
        lambda: store.read("a", 0, 1),
        lambda: store.read_into("a", 0, memoryview(bytearray(1))),
        lambda: store.read_whole("a"),
        lambda: store.read_files(["a"], [1]),
    ):
        with pytest.raises(FileNotFoundError):
            read()
    store.delete("a")


def test_a_written_file_appears_when_the_block_ends(url: str) -> None:
    store = open_store(url)
    with store.open_write("folder/a") as file:
        file.write(b"01234")
        file.write(b"56789")
        assert [info.path for info in open_store(url).list("folder")] == []
    assert list(store.list()) == [FileInfo("folder/a", 10)]


def test_a_write_that_fails_leaves_nothing_and_replaces_nothing(url: str) -> None:
    store = open_store(url)
    store.put("a", b"old")
    for path in ("a", "new"):
        with pytest.raises(ZeroDivisionError), store.open_write(path) as file:
            file.write(b"half")
            raise ZeroDivisionError
    assert list(store.list()) == [FileInfo("a", 3)]
    assert store.read_whole("a") == b"old"


def test_a_large_file_is_written_and_read_whole(url: str) -> None:
    store = open_store(url)
    data = random.Random(0).randbytes(2 * PART_BYTES + 12345)
    with store.open_write("large") as file:
        for start in range(0, len(data), 1_000_003):
            file.write(data[start : start + 1_000_003])
    assert store.size("large") == len(data)
    assert store.read_whole("large") == data
    assert store.read("large", PART_BYTES - 5, PART_BYTES + 5) == data[PART_BYTES - 5 : PART_BYTES + 5]


def test_arrow_writes_to_a_store(url: str) -> None:
    table = pa.table({"key": ["a", "b"]})
    with open_store(url).open_write("table.parquet") as file:
        pq.write_table(table, file)
    assert pq.read_table(pa.BufferReader(open_store(url).read_whole("table.parquet"))).equals(table)


def test_a_large_write_that_fails_leaves_nothing(url: str) -> None:
    store = open_store(url)
    with pytest.raises(ZeroDivisionError), store.open_write("large") as file:
        file.write(bytes(3 * PART_BYTES))
        raise ZeroDivisionError
    assert list(store.list()) == []
    assert store.sweep() == 0


@pytest.mark.parametrize("name", ["Images 2 (1).zip", "a#b", "50%25", "ü[x]*", "a~b+c&d=e", "q?x=1"])
def test_names_are_kept_as_they_are(url: str, name: str) -> None:
    store = open_store(url)
    store.put(f"folder/{name}", b"x")
    assert [info.path for info in store.list("folder")] == [f"folder/{name}"]
    assert store.read_whole(f"folder/{name}") == b"x"


def test_a_store_travels_between_processes(url: str) -> None:
    open_store(url).put("a", b"x")
    again = pickle.loads(pickle.dumps(open_store(url)))
    assert again.url == open_store(url).url
    assert again.read_whole("a") == b"x"


def test_create_makes_a_file_only_once(url: str) -> None:
    store = open_store(url)
    assert store.create("a/b", b"first")
    assert not open_store(url).create("a/b", b"second")
    assert store.read_whole("a/b") == b"first"
    assert [info.path for info in store.list()] == ["a/b"]


def test_list_is_sorted_and_below_the_folder(url: str) -> None:
    store = open_store(url)
    for path in ("b/2", "b/1", "b-x/0", "a", "b/c/d", "b0/0"):
        store.put(path, b"x")
    assert [info.path for info in store.list()] == ["a", "b-x/0", "b/1", "b/2", "b/c/d", "b0/0"]
    assert [info.path for info in store.list("b")] == ["b/1", "b/2", "b/c/d"]
    assert list(store.list("missing")) == []


def test_the_top_is_listed_without_what_lies_below_folders(url: str) -> None:
    store = open_store(url)
    assert list(store.list_top()) == []
    for path in ("b/2", "c", "b-x/0", "a", "d.zip/e"):
        store.put(path, b"x" * len(path))
    assert list(store.list_top()) == [FileInfo("a", 1), FileInfo("c", 1)]
    assert list(store.list_top("b")) == [FileInfo("b/2", 3)]
    assert list(store.list_top("missing")) == []


def test_a_file_that_is_written_anew_has_another_version(url: str) -> None:
    store = open_store(url)
    store.put("a/b", b"first")
    version = store.version("a/b")
    assert open_store(url).version("a/b") == version
    time.sleep(0.01)  # a file system's clock may tick only once in some milliseconds
    store.put("a/b", b"other")
    assert store.version("a/b") != version


def test_folders_are_listed_one_level_at_a_time(url: str) -> None:
    store = open_store(url)
    assert list(store.folders()) == []
    for path in ("x/b/c/2", "x/b.d/1", "x/a", "x/b/e"):
        store.put(path, b"x")
    assert "x" in store.folders()
    assert list(store.folders("x")) == ["x/b", "x/b.d"]
    assert list(store.folders("x/b")) == ["x/b/c"]
    assert list(store.folders("x/b/c")) == list(store.folders("missing")) == []


def test_a_folder_below_the_top_need_not_be_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a disk's lost+found."""
    for file in ("a", "lost+found/b"):
        LocalStore(tmp_path).put(file, b"x")
    open_any = os.open

    def strict(path: str, *arguments: int) -> int:
        if Path(path).name == "lost+found":
            raise PermissionError(13, "Permission denied", path)
        return open_any(path, *arguments)

    monkeypatch.setattr(os, "open", strict)
    with pytest.raises(PermissionError):
        list(LocalStore(tmp_path).list())
    assert list(LocalStore(tmp_path).list_top()) == [FileInfo("a", 1)]


def test_delete_removes(url: str) -> None:
    store = open_store(url)
    store.put("a", b"x")
    store.delete("a")
    assert list(store.list()) == []


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../a", "a/../../b", "a//b", "./a", "a\\b", "a\0"])
def test_no_path_leads_out(url: str, path: str) -> None:
    store = open_store(url)
    for use in (store.size, store.read_whole, store.delete, lambda p: store.put(p, b"x")):
        with pytest.raises(UsageError, match="not a path inside"):
            use(path)
    with pytest.raises(UsageError, match="not a path inside"):
        store.read_files([path, "b"], [1, 1])


@given(st.lists(st.text("./\\a\n\0", max_size=6), max_size=4))
def test_of_many_paths_none_leads_out(paths: list[str]) -> None:
    def is_refused(check: Callable[[], object]) -> bool:
        try:
            check()
        except UsageError:
            return True
        return False

    assert is_refused(lambda: check_paths(paths)) == is_refused(lambda: [check_path(path) for path in paths])


@pytest.mark.parametrize("size", [4, 3 * PART_BYTES])
def test_sweep_removes_what_a_killed_writer_left(url: str, size: int) -> None:
    if url.startswith("memory:"):
        pytest.skip("is gone with the process that writes to it")
    store = open_store(url)
    store.put("kept", b"x")
    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=_write_and_die, args=(url, size))
    writer.start()
    writer.join()
    assert writer.exitcode == 9
    # What is smaller than a part is not sent to an object store before it is whole; Azure drops parts by itself.
    is_left = "://" not in url or (url.startswith("s3:") and size >= PART_BYTES)
    assert store.sweep() == is_left
    assert list(store.list()) == [FileInfo("kept", 1)]
    assert store.sweep() == 0


def _write_and_die(url: str, size: int) -> None:
    with open_store(url).open_write("half") as file:
        file.write(bytes(size))
        file.write(b"more")
        os._exit(9)


def test_one_process_holds_a_store_at_a_time(url: str) -> None:
    first, second = open_to_hold(url).hold("first"), open_to_hold(url).hold("second")
    with first, pytest.raises(StoreBusyError, match="first"), second:
        pass
    with open_to_hold(url).hold("second"):
        pass


def test_who_holds_a_store_is_known(url: str) -> None:
    assert open_store(url).holder() is None
    with open_store(url).hold("process 1 on a machine"):
        assert open_store(url).holder() == "process 1 on a machine"
    assert open_store(url).holder() is None


def test_a_hold_ends_with_its_process(tmp_path: Path) -> None:
    program = (
        "import sys, subprocess\nfrom shards_spec.storage import LocalStore\n"
        "hold = LocalStore(sys.argv[1]).hold('dead'); hold.__enter__()\n"
        "subprocess.Popen(['sleep', '30'], stdout=subprocess.DEVNULL)\n"  # a child must not keep it
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(StoreBusyError, match="dead"), LocalStore(tmp_path).hold("me"):
            pass
        process.kill()
    with LocalStore(tmp_path).hold("me"):
        pass


def test_urls_that_are_not_taken_are_refused() -> None:
    with pytest.raises(UsageError, match="ftp:// is not taken, only folders and s3://, gs://"):
        open_store("ftp://host/set")
    with pytest.raises(UsageError, match="empty"):
        open_store("")


def test_file_urls_are_folders(tmp_path: Path) -> None:
    open_store(f"file://{tmp_path}").put("a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """Opening a named pipe waits for a writer, and /dev/zero has no end."""
    store = LocalStore(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    for path, kind in (
        ("pipe", "a named pipe"),
        ("link", "a named pipe"),
        ("zero", "a device"),
        ("folder", "irectory"),
    ):
        store.prefetch(path, 0, 1)  # says nothing
        for read in (
            lambda: store.size(path),  # noqa: B023
            lambda: store.read(path, 0, 1),  # noqa: B023
            lambda: store.read_into(path, 0, memoryview(bytearray(1))),  # noqa: B023
            lambda: store.read_whole(path),  # noqa: B023
            lambda: store.read_files([path], [1]),  # noqa: B023
        ):
            with pytest.raises(OSError, match=kind) as caught:
                read()
            assert caught.value.filename == str(tmp_path / path)


def test_a_lock_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".work").mkdir()
    os.mkfifo(tmp_path / ".work/lock")
    with pytest.raises(OSError, match="named pipe"):
        LocalStore(tmp_path).holder()


def test_a_folder_lists_what_is_no_regular_file_as_what_it_is(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    store.put("a", b"0123")
    store.put("b/c", b"01")
    store.delete("b/c")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/d").write_bytes(b"012")
    os.mkfifo(tmp_path / "store/pipe")
    for name, target in (
        ("folder", "../outside"),
        ("link", "../outside/d"),
        ("nowhere", "missing"),
        ("round", "round"),
        ("below", "a/x"),
        ("zero", "/dev/zero"),
    ):
        (tmp_path / "store" / name).symlink_to(target)
    top = [
        FileInfo("a", 4),
        FileInfo("below", 0, Kind.BROKEN_LINK),
        FileInfo("link", 3, Kind.LINK),
        FileInfo("nowhere", 0, Kind.BROKEN_LINK),
        FileInfo("pipe", 0, Kind.PIPE),
        FileInfo("round", 0, Kind.BROKEN_LINK),
        FileInfo("zero", 0, Kind.DEVICE),
    ]
    assert list(store.list_top()) == top
    linked = FileInfo("folder", 0, Kind.FOLDER_LINK)
    assert list(store.list()) == sorted([*top, linked], key=lambda info: info.path)
