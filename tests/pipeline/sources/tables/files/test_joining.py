"""Which file a labelled path names: exactly this one, else the only one that ends with it."""

import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.archives.table import split_paths
from pipeline.sources.matching import Paths
from pipeline.sources.tables import CROPS_TABLE
from pipeline.sources.tables.files.joining import AMBIGUOUS, MISSING, join_paths, plain_paths
from shards_spec.errors import UsageError
from shards_spec.manifest import Decision
from shards_spec.rejects import Note, RejectReason
from shards_spec.storage import open_store
from tests.pipeline.sources.tables.support import picture, survey, write_images
from tests.support.notes import note_counts

PARTS = st.sampled_from(["a", "b", "1.jpg", "2.jpg"])
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


def as_paths(paths: Sequence[str]) -> Paths:
    folders, names = split_paths(pa.array(paths, pa.large_string()))
    return Paths(folders.dictionary_encode(), names)


def naive(path: str, files: Sequence[str]) -> int:
    if path in files:
        return files.index(path)
    found = {file for file in files if file.endswith(f"/{path}")}
    return files.index(found.pop()) if len(found) == 1 else AMBIGUOUS if found else MISSING


@given(st.lists(PATHS, min_size=1, max_size=12), st.sets(PATHS, min_size=1, max_size=12))
def test_each_path_names_the_file_that_a_plain_search_finds(files: list[str], lines: set[str]) -> None:
    ordered = sorted(lines)
    joined = join_paths(pa.array(ordered, pa.large_string()), as_paths(files), "")
    assert joined.file.tolist() == [naive(line, files) for line in ordered]
    assert joined.exact == len(lines & {*files})


@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        ("./a/1.jpg", "a/1.jpg"),
        ("a\\b\\1.jpg", "a/b/1.jpg"),
        ("C:\\a\\1.jpg", "a/1.jpg"),
        ("/data/a/1.jpg", "data/a/1.jpg"),
    ],
)
def test_paths_of_other_systems_are_spelled_like_ours(spelled: str, plain: str) -> None:
    assert plain_paths(pa.array([spelled], pa.large_string())).to_pylist() == [plain]


def test_folders_that_all_paths_have_in_common_are_left_out_if_nothing_is_found_otherwise() -> None:
    files = as_paths(["images/x/1.jpg", "images/y/1.jpg", "other/2.jpg"])
    lines = pa.array(["raid/set/x/1.jpg", "raid/set/y/1.jpg", "raid/set/z/3.jpg"], pa.large_string())
    joined = join_paths(lines, files, None)
    assert (joined.file.tolist(), joined.root, joined.exact) == ([0, 1, MISSING], "raid/set/", 0)


def test_folders_that_are_left_out_are_shown_and_can_be_given(tmp_path: Path) -> None:
    """Labels of one set must not be joined with the images of another one in silence."""
    write_images(tmp_path, "test/1.jpg", "test/2.jpg")
    (tmp_path / "crops.csv").write_text("file\n/data/train/1.jpg\n/data/train/2.jpg\n/data/train/3.jpg\n")
    decision = survey(CROPS_TABLE, tmp_path).decisions["paths"]
    assert decision == Decision("shortened", {"paths": 3, "exact": 0, "ends": 2, "left_out": "data/train/"})
    with pytest.raises(UsageError, match="no image is left; 3 were rejected"):
        survey(CROPS_TABLE, tmp_path, labelled_root="none")
    with pytest.raises(UsageError, match="--labelled-root /raid: no labelled path begins so, such as data/train/1"):
        survey(CROPS_TABLE, tmp_path, labelled_root="/raid")
    given = survey(CROPS_TABLE, tmp_path, labelled_root="/data/train/")
    assert given.rows["image"].to_pylist() == ["test/1.jpg", "test/2.jpg"]
    assert given.decisions["paths"] == Decision("shortened", {"given": True})


def test_images_lie_in_folders_zips_and_tars_at_once(tmp_path: Path) -> None:
    write_images(tmp_path, "loose/a.jpg", "top.jpg")
    with zipfile.ZipFile(tmp_path / "night.zip", "w") as archive:
        archive.writestr("cam1/b.jpg", picture())
        archive.writestr("notes.txt", "nothing")
    (tmp_path / "more").mkdir()
    with tarfile.open(tmp_path / "more" / "day.tar", "w") as tar:
        tar.add(tmp_path / "top.jpg", "cam2/c.jpg")
        link = tarfile.TarInfo("cam2/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    (tmp_path / "crops.csv").write_text(
        "file\nloose/a.jpg\ntop.jpg\nnight/cam1/b.jpg\ncam2/c.jpg\ncam2/link.jpg\n../../etc/passwd\n"
    )
    catalog = survey(CROPS_TABLE, tmp_path)
    converter = CROPS_TABLE.load()
    rows = {row.name: row.where for row in converter.rows(catalog.rows)}
    assert rows == {
        "loose/a.jpg": "loose:loose/a.jpg",
        "top.jpg": "*:top.jpg",
        "night/cam1/b.jpg": "night.zip:cam1/b.jpg",
        "more/day/cam2/c.jpg": "more/day.tar:cam2/c.jpg",
    }
    assert [(reject.name, reject.reason) for reject in sorted(catalog.rejects, key=lambda one: str(one.name))] == [
        ("../../etc/passwd", RejectReason.IMAGE_MISSING),
        ("more/day/cam2/link.jpg", RejectReason.IMAGE_UNSUPPORTED),
    ]
    assert [archive.file for archive in catalog.archives] == ["*", "loose", "more/day.tar", "night.zip"]


def test_a_bucket_is_as_good_as_a_folder() -> None:
    store = open_store("memory://tables")
    store.put("images/a.jpg", picture())
    store.put("crops.csv", b"file,person_id\na.jpg,3\n")
    (row,) = CROPS_TABLE.survey(store, CROPS_TABLE.make_options({})).rows.to_pylist()
    assert (row["image"], row["person_id"]) == ("images/a.jpg", "3")


def test_a_second_file_of_a_path_is_noted(tmp_path: Path) -> None:
    write_images(tmp_path, "night/a.jpg")
    with zipfile.ZipFile(tmp_path / "night.zip", "w") as archive:
        archive.writestr("a.jpg", picture((32, 32)))
    (tmp_path / "crops.csv").write_text("file\nnight/a.jpg\n")
    catalog = survey(CROPS_TABLE, tmp_path)
    assert [row.where for row in CROPS_TABLE.load().rows(catalog.rows)] == ["night:night/a.jpg"]
    assert note_counts(catalog.notes) == {Note.IMAGE_UNLABELLED: 1}
