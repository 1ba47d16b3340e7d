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
