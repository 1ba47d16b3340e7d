"""Splits, persons, cameras and queries: what labels say of them, and what options make of it."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.sources.catalog import Catalog
from pipeline.sources.tables import BOXES_TABLE, COCO, CROPS_FOLDER, CROPS_TABLE
from pipeline.sources.tables.labels.splits import split_of_file
from pipeline.sources.tables.options import TableOptions
from shards_spec.errors import UsageError
from shards_spec.rejects import Note, RejectReason
from tests.pipeline.sources.tables.support import annotation, survey, write_coco, write_images
from tests.support.notes import note_counts


def crops(folder: Path, rows: str, **options: Any) -> Catalog:
    """Survey a table of crops with these rows; an image lies there for each."""
    header, *lines = rows.split()
    names = [line.partition(",")[0] for line in lines]
    write_images(folder, *names)
    (folder / "crops.csv").write_text("\n".join([header, *lines]) + "\n")
    return survey(CROPS_TABLE, folder, **options)


def column(catalog: Catalog, name: str) -> dict[str, Any]:
    return dict(zip(catalog.rows["image"].to_pylist(), catalog.rows[name].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("annotations/instances_train2017.json", "train"),
        ("train_pid.json", "train"),
        ("PRW-val.csv", "val"),
        ("trainval.parquet", "train"),
        ("gallery.v2.jsonl", "gallery"),
        ("instances_default.json", None),
        ("training_notes.csv", None),
        ("test_query.csv", None),
    ],
)
def test_the_name_of_a_label_file_tells_its_split_by_a_word(name: str, split: str | None) -> None:
    assert split_of_file(name) == split


def test_splits_come_from_the_column_and_can_be_renamed(tmp_path: Path) -> None:
    rows = "file,split\na.jpg,train\nb.jpg,val\nc.jpg,Test\nd.jpg,\n"
    with pytest.raises(UsageError, match=r"'Test' cannot be the name of a split.* such as --split test=Test"):
        crops(tmp_path, rows)
    catalog = crops(tmp_path, rows, split=("gallery=Test", "train=val"))
    assert column(catalog, "cell") == {"a.jpg": "p1-train", "b.jpg": "p1-train", "c.jpg": "p1-gallery"}
    assert catalog.notes[Note.SAMPLE_WITHOUT_SPLIT].count == 1
    assert catalog.protocols == {"p1": {"gallery": ["p1-gallery"], "train": ["p1-train"]}}


def test_one_file_without_a_word_is_all_and_several_need_one_each(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg")
    write_coco(tmp_path / "instances_default.json", {1: "a.jpg"}, [annotation(1, 1)])
    assert set(survey(COCO, tmp_path).cell_splits) == {"p1-all"}
    assert set(survey(COCO, tmp_path, split=("train=instances_default.json",)).cell_splits) == {"p1-train"}
    write_coco(tmp_path / "train.json", {1: "a.jpg"}, [annotation(2, 1)])
    with pytest.raises(
        UsageError, match=r"instances_default.json: nothing says of which split .*train\.json \(train\)"
    ):
        survey(COCO, tmp_path)
    assert set(survey(COCO, tmp_path, split=("test=train.json",)).cell_splits) == {"p1-test"}


def test_a_frame_whose_boxes_are_in_several_splits_is_a_row_in_each_cell(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg")
    write_coco(tmp_path / "query.json", {1: "a.jpg"}, [annotation(1, 1)])
    write_coco(tmp_path / "gallery.json", {8: "a.jpg"}, [annotation(1, 8), annotation(2, 8, 2)])
    catalog = survey(COCO, tmp_path)
    rows = {row["cell"]: (row["frame"], row["box_id"]) for row in catalog.rows.to_pylist()}
    assert rows == {"p1-gallery-query": ("a.jpg", ["1"]), "p1-gallery": ("a.jpg", ["2"])}
    assert {name: account.kept for name, account in catalog.accounts.items()} == {"boxes": 2, "frames": 2}


def test_ids_that_repeat_in_a_frame_give_way_to_numbers(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg")
    boxes = [annotation(5, 1, 1), {**annotation(6, 1, 2), "id": 5}, annotation(7, 2, 3)]
    write_coco(tmp_path / "labels.json", {1: "a.jpg", 2: "b.jpg"}, boxes)
    assert survey(COCO, tmp_path).rows["box_id"].to_pylist() == [["0", "1"], ["7"]]


def test_negative_ids_and_gaps_are_unlabelled_and_zero_is_a_person(tmp_path: Path) -> None:
    rows = "file,person_id\na.jpg,0\nb.jpg,-1\nc.jpg,\nd.jpg,5555\n"
    assert column(crops(tmp_path, rows), "person_id") == {"a.jpg": "0", "b.jpg": None, "c.jpg": None, "d.jpg": "5555"}
    assert column(crops(tmp_path, rows, unlabelled="5555,-7"), "id_kind") == {
        "a.jpg": "labelled",
        "b.jpg": "labelled",
        "c.jpg": "unlabelled",
        "d.jpg": "unlabelled",
    }


def test_a_column_says_which_ids_are_distractors_and_junk(tmp_path: Path) -> None:
    catalog = crops(tmp_path, "file,person_id,id_kind\na.jpg,-1,junk\nb.jpg,0,distractor\nc.jpg,,labelled\nd.jpg,1,x\n")
    assert column(catalog, "id_kind") == {"a.jpg": "junk", "b.jpg": "distractor", "c.jpg": "unlabelled"}
    assert column(catalog, "group") == {"a.jpg": None, "b.jpg": None, "c.jpg": None}
    (lost,) = catalog.rejects
    assert (lost.reason, lost.detail) == (
        RejectReason.ROW_FIELDS,
        "id_kind is 'x': it can be labelled, unlabelled, distractor or junk",
    )


@pytest.mark.parametrize(
    ("rows", "options", "choice"),
    [
        ("file,person_id,split\na.jpg,1,train\nb.jpg,1,test\n", {}, "by_split"),
        ("file,person_id,split\na.jpg,1,train\nb.jpg,1,test\n", {"ids": "shared"}, "shared"),
        ("file,person_id\na.jpg,1\nb.jpg,1\n", {}, "shared"),
    ],
)
def test_where_ids_count_is_decided_and_can_be_said(
    tmp_path: Path, rows: str, options: dict[str, Any], choice: str
) -> None:
    assert crops(tmp_path, rows, **options).decisions["ids"].choice == choice


def test_cameras_keep_their_numbers_or_are_numbered_by_their_sorted_names(tmp_path: Path) -> None:
    catalog = crops(tmp_path, "file,camera\na.jpg,7\nb.jpg,\n")
    assert (column(catalog, "camera"), catalog.decisions["cameras"].choice) == ({"a.jpg": 7, "b.jpg": None}, "numbers")
    catalog = crops(tmp_path, "file,camera\na.jpg,yard\nb.jpg,gate\nc.jpg,10\n")
    assert column(catalog, "camera") == {"a.jpg": 2, "b.jpg": 1, "c.jpg": 0}
    assert catalog.decisions["cameras"].evidence == {"cameras": 3, "names": ["10", "gate", "yard"]}


def test_paths_say_what_labels_do_not(tmp_path: Path) -> None:
    rows = "file,camera\n0007_c2_train.jpg,\n0008_c3_test.jpg,9\n"
    pattern = r"(?P<person_id>\d+)_c(?P<camera>\d)_(?P<split>[a-z]+)"
    catalog = crops(tmp_path, rows, pattern=pattern)
    found = catalog.rows.select(["cell", "person_id", "camera"]).to_pylist()
    assert found == [
        {"cell": "p1-train", "person_id": "7", "camera": 2},
        {"cell": "p1-test", "person_id": "8", "camera": 9},
    ]
    with pytest.raises(UsageError, match=r"is found in none of the paths, such as 0007_c2_train\.jpg"):
        crops(tmp_path, rows, pattern=r"(?P<camera>x)")


def test_queries_are_in_their_own_split_as_well(tmp_path: Path) -> None:
    write_images(tmp_path, "frames/a.jpg", "frames/b.jpg")
    write_coco(tmp_path / "test.json", {1: "a.jpg", 2: "b.jpg"}, [annotation(n, 1 + n % 2, n) for n in range(6)])
    (tmp_path / "queries.csv").write_text("file,x,y,w,h\na.jpg,2.4,3,9.5,20.9\n")
    given = {"queries": "queries.csv", "split": ("gallery=test",)}
    catalog = survey(COCO, tmp_path, **given)
    rows = {(row["cell"], row["frame"]): row["box_id"] for row in catalog.rows.to_pylist()}
    assert rows == {
        ("p1-gallery-query", "frames/a.jpg"): ["2"],
        ("p1-gallery", "frames/a.jpg"): ["0", "4"],
        ("p1-gallery", "frames/b.jpg"): ["1", "3", "5"],
    }
    assert [file.file for file in catalog.labels] == ["test.json", "queries.csv"]
    with pytest.raises(UsageError, match="there is no split gallery among query, test: say --split gallery=OLD"):
        survey(COCO, tmp_path, queries="queries.csv")
    (tmp_path / "queries.csv").write_text("file,box_id\nb.jpg,5\nb.jpg,0\nz.jpg,1\n")
    with pytest.raises(
        UsageError, match=r"2 of 3 rows name no labelled box .*queries\.csv:2 \(b\.jpg\), queries\.csv:3"
    ):
        survey(COCO, tmp_path, **given)
    with pytest.raises(UsageError, match=r"--queries gone\.csv: there is no such file"):
        survey(COCO, tmp_path, queries="gone.csv")


def test_boxes_of_a_frame_with_two_groups_are_lost(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "labels.csv").write_text(
        "file,x,y,w,h,group_id\na.jpg,30,20,9,9,g\na.jpg,31,20,9,9,h\nb.jpg,30,20,9,9,g\nb.jpg,31,20,9,9,g\n"
    )
    catalog = survey(BOXES_TABLE, tmp_path)
    assert [reject.reason for reject in catalog.rejects] == [RejectReason.LABEL_CONFLICT] * 2
    assert catalog.rows["group_id"].to_pylist() == ["g"]


def test_msmt17_is_read_by_its_lists(tmp_path: Path) -> None:
    name = "0000_000_01_0303morning_0015_0.jpg"
    write_images(tmp_path, *(f"mask_{part}_v2/000{number}/{name}" for part in ("train", "test") for number in (0, 1)))
    for list_, lines in {
        "list_train.txt": f"0000/{name} 0\nnothing\n",
        "list_val.txt": f"0001/{name} 1\n",
        "list_query.txt": f"0000/{name} 0\n",
        "list_gallery.txt": f"0001/{name} 1\n0009/{name} 9\n",
    }.items():
        (tmp_path / list_).write_text(lines)
    catalog = survey(CROPS_FOLDER, tmp_path)
    found = catalog.rows.select(["cell", "person_id", "camera"]).to_pylist()
    assert sorted((row["cell"], row["person_id"], row["camera"]) for row in found) == [
        ("p1-gallery", "1", 1),
        ("p1-query", "0", 1),
        ("p1-train", "0", 1),
        ("p1-train", "1", 1),
    ]
    assert sorted(str(reject.reason) for reject in catalog.rejects) == ["image_missing", "row_fields"]
    assert catalog.decisions["layout"].choice == "msmt17"


def test_any_folder_is_read_by_a_pattern(tmp_path: Path) -> None:
    write_images(tmp_path, "yard/anna/1.jpg", "gate/anna/2.jpg", "odd.jpg")
    options = {"layout": "pattern", "pattern": r"^(?P<camera>[^/]+)/(?P<person_id>[^/]+)/"}
    catalog = survey(CROPS_FOLDER, tmp_path, **options)
    assert column(catalog, "person_id") == {"gate/anna/2.jpg": "anna", "yard/anna/1.jpg": "anna"}
    assert note_counts(catalog.notes) == {Note.IMAGE_UNLABELLED: 1}
    with pytest.raises(
        UsageError, match=r"how the folder of crops is laid out is not clear: there are 0 folders .* 0 l"
    ):
        survey(CROPS_FOLDER, tmp_path)
    with pytest.raises(UsageError, match="--layout pattern: give --pattern REGEX as well"):
        survey(CROPS_FOLDER, tmp_path, layout="pattern")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": ("Train=a",)}, "--split Train=a: give NEW=OLD"),
        ({"split": ("train",)}, "--split train: give NEW=OLD"),
        ({"pattern": "("}, r"--pattern \(: is no regular expression"),
        ({"pattern": r"\d"}, "it has no named group: the groups are person_id, camera"),
        ({"pattern": r"(?P<time>\d)"}, "the group time means nothing"),
        ({"unlabelled": "-1,"}, "--unlabelled -1,: give ids with commas"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_the_door(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TableOptions(**options)


def test_a_person_of_thousands_of_digits_is_a_reject(tmp_path: Path) -> None:
    write_images(tmp_path, "train/a.jpg", "train/b.jpg")
    (tmp_path / "list_train.txt").write_text(f"a.jpg {'9' * 5000}\nb.jpg 1\n")
    assert [(reject.where, reject.reason) for reject in survey(CROPS_FOLDER, tmp_path).rejects] == [
        ("list_train.txt:1", RejectReason.ROW_FIELDS)
    ]


def test_a_pattern_that_reads_too_long_a_name_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path, f"{'a' * 200}/{'b' * 200}/1.jpg")
    with pytest.raises(UsageError, match=r"the person_id that it reads from .* has more than 250 characters: let the"):
        survey(CROPS_FOLDER, tmp_path, pattern="(?P<person_id>.*)")
