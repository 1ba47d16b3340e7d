"""Links, named pipes and the like in a set."""

import os
import shutil
from pathlib import Path

import pytest

from shards_spec.verify import Fault, verify


@pytest.fixture
def out(set_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(set_folder, tmp_path / "set"))


def test_files_that_are_links_are_noted_and_read(out: Path, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and ".work" not in path.parts]
    for number, path in enumerate(files):
        path.rename(tmp_path / f"blobs/{number}")
        path.symlink_to(tmp_path / f"blobs/{number}")
    verdict = verify(str(out), workers=1)
    assert verdict.faults == []
    (note,) = verdict.notes
    assert note.startswith(f"{len(files)} files are symbolic links, such as ")


def test_a_cell_that_is_a_link_is_noted_and_read(out: Path, tmp_path: Path) -> None:
    cell = next(path.parent for path in out.glob("*/*.tar"))
    cell.rename(tmp_path / "elsewhere")
    cell.symlink_to(tmp_path / "elsewhere")
    verdict = verify(str(out), workers=1)
    assert verdict.faults == []
    assert [note.partition(":")[0] for note in verdict.notes] == [f"{cell.name} is a symbolic link"]


def test_a_sound_set_has_no_notes(out: Path) -> None:
    assert verify(str(out), workers=1).notes == []


def test_a_link_that_leads_nowhere_is_a_missing_file(out: Path) -> None:
    shard = next(out.glob("*/*.tar"))
    shard.unlink()
    shard.symlink_to("gone.tar")
    assert verify(str(out), workers=1).faults == [Fault(shard.relative_to(out).as_posix(), "is missing")]


def test_a_pipe_in_place_of_a_file_is_a_fault(out: Path) -> None:
    for path in (next(out.glob("*/*.tar")), next(out.glob("*/index.parquet"))):
        path.unlink()
        os.mkfifo(path)
        (fault,) = (fault for fault in verify(str(out), workers=1).faults if fault.file == str(path.relative_to(out)))
        assert "is a named pipe, not a regular file" in fault.what


def test_strangers_are_found_whatever_they_are(out: Path, tmp_path: Path) -> None:
    os.mkfifo(out / "pipe")
    (out / "folder").symlink_to(tmp_path)
    (out / "link").symlink_to("dataset.json")
    (out / "nowhere").symlink_to("gone")
    assert verify(str(out), workers=1).faults == [
        Fault("folder", "is not of this set, and a symbolic link to a folder"),
        Fault("link", "is not of this set, and a symbolic link"),
        Fault("nowhere", "is not of this set, and a symbolic link that leads nowhere"),
        Fault("pipe", "is not of this set, and a named pipe"),
    ]
