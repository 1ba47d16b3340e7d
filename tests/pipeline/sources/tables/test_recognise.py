"""Each kind is recognised by the files at the top of SRC, and none is taken for another."""

import re
import shlex
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sources.registry import recognise_source
from pipeline.sources.tables import BOXES_TABLE, COCO, CROPS_FOLDER, CROPS_TABLE
from shards_spec.errors import UsageError
from shards_spec.storage import LocalStore
from tests.pipeline.sources.tables.support import annotation, survey, write_coco, write_images


def test_json_is_told_by_its_first_field(tmp_path: Path) -> None:
    write_coco(tmp_path / "annotations" / "instances_default.json", {1: "a.jpg"}, [annotation(1, 1)])
    (tmp_path / "package.json").write_text('{"name": "images"}')
    assert recognise_source(LocalStore(tmp_path)) == (COCO, "annotations/instances_default.json")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("l.csv", b"file,x,y,w,h\n", BOXES_TABLE),
        ("l.csv", b"\xef\xbb\xbffile;person_id\r\na;1\r\n", CROPS_TABLE),
        ("l.tsv", b"person_id\tfile\n", CROPS_TABLE),
        ("l.jsonl", b'{"file": "a", "x": 1, "y": 2, "w": 3, "h": 4}\n', BOXES_TABLE),
        ("l.ndjson", b'{"file": "a"}', CROPS_TABLE),
    ],
)
def test_a_table_is_told_by_its_columns(tmp_path: Path, name: str, content: bytes, kind: object) -> None:
    (tmp_path / name).write_bytes(content)
    assert recognise_source(LocalStore(tmp_path)) == (kind, name)


def test_a_parquet_table_is_told_by_its_schema(tmp_path: Path) -> None:
    pq.write_table(pa.table({"file": ["a"], "x": [1], "y": [1], "w": [1], "h": [1]}), tmp_path / "l.parquet")
    assert recognise_source(LocalStore(tmp_path)) == (BOXES_TABLE, "l.parquet")


@pytest.mark.parametrize("folder", ["bounding_box_train", "bounding_box_test"])
def test_a_folder_of_crops_is_told_by_its_folders_or_lists(tmp_path: Path, folder: str) -> None:
    write_images(tmp_path, f"{folder}/0002_c1s1_000451_03.jpg")
    assert recognise_source(LocalStore(tmp_path)) == (CROPS_FOLDER, folder)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("l.csv", b"image,person_id\n", "l.csv has no column file"),
        ("l.csv", b"\xff\xfe\0\0", "l.csv has no column file"),
        ("l.parquet", b"PAR1", "l.parquet has no column file"),
        ("l.jsonl", b"[1, 2]", "l.jsonl has no column file"),
        ("l.json", b'{"shapes": [], "images": []}', "no JSON file with images and annotations"),
    ],
)
def test_what_is_something_else_is_said(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=why):
        recognise_source(LocalStore(tmp_path))


def test_labels_that_lie_in_a_zip_with_their_images_are_pointed_to(tmp_path: Path) -> None:
    """CVAT's exports are zips of both."""
    inside = write_images(tmp_path / "inside", "images/default/a.jpg")
    write_coco(inside / "annotations" / "instances_default.json", {1: "a.jpg"}, [annotation(1, 1)])
    source = tmp_path / "source"
    source.mkdir()
    with zipfile.ZipFile(source / "my task.zip", "w") as archive:
        for path in sorted(path for path in inside.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(inside).as_posix())
    with pytest.raises(UsageError) as refused:
        recognise_source(LocalStore(source))
    told = (
        "my task.zip holds annotations/instances_default.json: unpack it beside the zip, in which the images may stay"
    )
    assert told in str(refused.value)
    with pytest.raises(UsageError, match=re.escape(told)):
        survey(COCO, source)
    (command,) = re.findall(r"\((unzip [^)]+)\)", str(refused.value))
    with zipfile.ZipFile(source / shlex.split(command)[1]) as archive:
        archive.extractall(source, [name for name in archive.namelist() if fnmatch(name, shlex.split(command)[2])])
    (row,) = survey(COCO, source).rows.to_pylist()
    assert row["frame"] == "my task/images/default/a.jpg"


def test_a_survey_reads_more_label_files_than_are_looked_into(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg")
    for number in range(25):
        write_coco(tmp_path / "annotations" / f"camera_{number:02}.json", {1: "a.jpg"}, [annotation(number, 1)])
    catalog = survey(COCO, tmp_path)
    assert len(catalog.labels) == 25
    assert catalog.accounts["boxes"].kept == 25
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.sources.tables.converters.MOST_LABEL_FILES", 24)
        with pytest.raises(UsageError, match="25 label files: at most 24 are read: join some"):
            survey(COCO, tmp_path)
