"""A folder that says that it is a demo, and those that do not."""

from pathlib import Path

import pytest

from pipeline.demo.folder import publish
from pipeline.sources.demo_marker import is_demo
from shards_spec.storage import LocalStore


def test_what_a_demo_leaves_marks_its_folder(tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    work.mkdir()
    publish(work, out, source="any", seed=0, counts={}, traps={}, planted=[], rejected=0)
    assert is_demo(LocalStore(out))


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b"{}", b'{"made_by": "me", "source": "x"}', b"[" * 10**5, b"\xff"]
)
def test_other_folders_are_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "demo.json").write_bytes(content)
    assert not is_demo(LocalStore(tmp_path))


def test_a_large_file_or_a_folder_of_that_name_marks_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "demo.json"
    marker.write_bytes(b" " * (2**20 + 1))
    assert not is_demo(LocalStore(tmp_path))
    marker.unlink()
    marker.mkdir()
    assert not is_demo(LocalStore(tmp_path))
