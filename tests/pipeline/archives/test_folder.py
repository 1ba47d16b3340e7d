"""Unpacked archives: the files of a folder tree."""

import os
from pathlib import Path

import pytest

from pipeline.archives import (
    ENTRY_SCHEMA,
    MAX_ENTRY_SIZE,
    EntryFault,
    EntryKind,
    FileRequest,
    join_paths,
    read_batches,
    read_entries,
    read_folder,
)
from pipeline.archives import folder as folder_module
from shards_spec.errors import UsageError
from shards_spec.storage import LocalStore

FILES = {f"train/{i // 3}/{i}.jpg": b"x" * i for i in range(10)} | {"top.jpg": b"top"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(data)
    (tmp_path / "outside.jpg").write_bytes(b"outside")
    return tmp_path


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_files_in_order(root: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(folder_module, "_FILES_AT_ONCE", at_once)
    found = read_folder(LocalStore(root), "set")
    assert found.schema == ENTRY_SCHEMA
    paths = join_paths(found).to_pylist()
    assert paths == sorted(FILES)
    assert found.column("size").to_pylist() == [len(FILES[path]) for path in paths]
    requests = [FileRequest(f"set/{path}", len(FILES[path])) for path in paths]
    assert dict(read_entries(LocalStore(root), requests)) == {i: FILES[path] for i, path in enumerate(paths)}
    everything = read_folder(LocalStore(root))
    assert join_paths(everything).to_pylist() == ["outside.jpg", *(f"set/{path}" for path in paths)]


def test_links_and_pipes_are_told_apart_and_not_followed(root: Path) -> None:
    (root / "set" / "link.jpg").symlink_to(root / "outside.jpg")
    (root / "set" / "folder").symlink_to(root)
    (root / "set" / "nowhere").symlink_to("missing")
    os.mkfifo(root / "set" / "pipe")
    found = read_folder(LocalStore(root), "set")
    kinds = dict(zip(join_paths(found).to_pylist(), found.column("kind").to_pylist(), strict=True))
    special = {path: EntryKind(kind) for path, kind in kinds.items() if path not in FILES}
    links = dict.fromkeys(["link.jpg", "folder", "nowhere"], EntryKind.LINK)
    assert special == {**links, "pipe": EntryKind.OTHER}


def test_names_that_are_not_utf8_are_no_files(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root / "set") + b"/\xff.jpg")).write_bytes(b"x")
    found = read_folder(LocalStore(root), "set")
    kinds = dict(zip(join_paths(found).to_pylist(), found.column("kind").to_pylist(), strict=True))
    assert kinds[r"\xff.jpg"] == EntryKind.OTHER


def test_no_folder_outside_the_store(root: Path) -> None:
    with pytest.raises(UsageError):
        read_folder(LocalStore(root / "set"), "../")


def test_a_missing_folder_is_empty(root: Path) -> None:
    assert read_folder(LocalStore(root), "none").num_rows == 0


def test_files_that_shrank_or_are_too_large(root: Path) -> None:
    with pytest.raises(EOFError):
        list(read_entries(LocalStore(root), [FileRequest("set/top.jpg", 4)]))
    ((_, fault),) = read_entries(LocalStore(root), [FileRequest("set/top.jpg", MAX_ENTRY_SIZE + 1)])
    assert isinstance(fault, EntryFault)


def test_files_that_are_replaced_after_they_were_listed(tmp_path: Path) -> None:
    """Contents of the others stay theirs. A pipe that has as many bytes as the file had is no file either."""
    requests = [FileRequest(f"{number}.jpg", 3) for number in range(4)]
    store, target = LocalStore(tmp_path), tmp_path / "2.jpg"
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(b"%03d" % number)
    (tmp_path / "other.jpg").write_bytes(b"003 and more")

    def read() -> list[bytes | EntryFault]:
        ((positions, contents),) = read_batches(store, requests)
        assert positions == [0, 1, 2, 3]
        return contents

    target.write_bytes(b"002 and more")
    assert read() == [b"000", b"001", b"002", b"003"]
    target.unlink()
    with pytest.raises(FileNotFoundError, match=r"2\.jpg"):
        read()
    os.mkfifo(target)
    reader = os.open(target, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(target, os.O_WRONLY)
    os.write(writer, b"002")
    with pytest.raises(OSError, match="named pipe"):
        read()
    assert os.read(reader, 9) == b"002"
    os.close(reader)
    os.close(writer)
    target.unlink()
    target.mkdir()
    with pytest.raises(IsADirectoryError):
        read()
    target.rmdir()
    target.symlink_to("other.jpg")
    assert read() == [b"000", b"001", b"003", b"003"]
    requests[0] = FileRequest("0.jpg", 0)
    assert read() == [b"", b"001", b"003", b"003"]
