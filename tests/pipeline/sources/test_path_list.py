"""Lists of images are read line by line, however they are spelled."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.sources import text
from pipeline.sources.matching import Paths
from pipeline.sources.path_list import PathList, read_path_list
from shards_spec.errors import UsageError
from shards_spec.storage import LocalStore


def read(folder: Path, data: bytes) -> tuple[PathList, Paths]:
    (folder / "train.txt").write_bytes(data)
    store = LocalStore(folder)
    (file,) = (info for info in store.list_top() if info.path == "train.txt")
    return read_path_list(store, file)


def texts(paths: Paths) -> list[str]:
    pairs = zip(paths.folders.to_pylist(), paths.names.to_pylist(), strict=True)
    return [folder + name for folder, name in pairs]


def test_paths_are_taken_whatever_stands_around_them(tmp_path: Path) -> None:
    data = "\ufeff0000000001/a.jpg\r\n\r\n./0000000001/b.jpg 12\r\n  0000000002/\u00e9.jpg\t7 8\r\ntop.jpg".encode()
    found, paths = read(tmp_path, data)
    assert texts(paths) == ["0000000001/a.jpg", "0000000001/b.jpg", "0000000002/\u00e9.jpg", "top.jpg"]
    assert paths.folders.to_pylist()[-1] == ""
    assert (found.has_byte_order_mark, found.carriage_returns, found.lines) == (True, 4, 5)
    assert found.blank_lines.tolist() == [2]
    assert found.source.sha256 == hashlib.sha256(data).hexdigest()
    assert [found.where(row) for row in range(4)] == [f"train.txt:{line}" for line in (1, 3, 4, 5)]


@given(st.lists(st.sampled_from(["", "a/b.jpg", "a/c d", "\u00fc/x/y", "z"])), st.integers(1, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_size_of_blocks_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], size: int
) -> None:
    monkeypatch.setattr(text, "BLOCK_SIZE", size)
    found, paths = read(tmp_path, "".join(f"{line}\n" for line in lines).encode())
    numbered = [(number, line.split(" ")[0]) for number, line in enumerate(lines, start=1) if line]
    assert texts(paths) == [path for _, path in numbered]
    assert [found.where(row) for row in range(len(numbered))] == [f"train.txt:{number}" for number, _ in numbered]
    assert found.lines == len(lines)


def test_bytes_that_are_not_utf_8_lose_no_line(tmp_path: Path) -> None:
    assert texts(read(tmp_path, b"a/\xff.jpg\na/b.jpg\n")[1]) == ["a/\\xff.jpg", "a/b.jpg"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a/b.jpg\n\0\0\0", "line 2 holds a NUL"),
        (b"a/b.jpg\n" + b"x" * (text.LINE_LIMIT + 9), "line 2 is longer than"),
        ("a/b.jpg\n".encode("utf-16"), "is no list of images: it is UTF-16"),
        (b"\x1f\x8b\x08", "is no list of images: it is packed by gzip"),
    ],
)
def test_what_is_no_list_is_refused_by_name(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(tmp_path, data)
