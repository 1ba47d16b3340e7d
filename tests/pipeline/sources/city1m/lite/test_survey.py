"""Which crops of City1M-Lite are joined with which labels, in sources of a few files."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.sources.catalog import Catalog
from pipeline.sources.city1m import CITY1M, CITY1M_LITE
from pipeline.sources.registry import recognise_source
from shards_spec.errors import UsageError
from shards_spec.rejects import Note, RejectReason
from shards_spec.storage import LocalStore
from tests.support.notes import note_counts
from tests.support.source import Member, frame_name, label_line, write_zip


def members(*persons: int) -> list[Member]:
    """Members who stand upright, so that the order of the box numbers is clear."""
    return [(person, (100.0 * person, 50.0, 40.0, 90.0), 2.0 + person) for person in persons]


def write(folder: Path, labels: dict[str, list[str]], crops: list[str]) -> Path:
    """Write label files, by split, and crops as plain files; what is in them does not matter to a survey."""
    folder.mkdir(exist_ok=True)
    for split, lines in labels.items():
        (folder / f"{split}_part1.txt").write_text("".join(f"{line}\n" for line in lines))
    for crop in crops:
        (folder / crop).parent.mkdir(parents=True, exist_ok=True)
        (folder / crop).write_bytes(b"crop")
    return folder


def survey(folder: Path) -> Catalog:
    return CITY1M_LITE.survey(LocalStore(folder), CITY1M_LITE.make_options({}))


def rows(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """The rows of a catalog by their images."""
    return {row["image"]: row for row in catalog.rows.to_pylist()}


A, B, C = frame_name(1, 2), frame_name(1, 2, 2, 2, "night"), frame_name(2, 2)


def test_crops_of_a_group_are_in_all_splits_of_its_frames_and_those_of_a_frame_in_its_own(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "source",
        {
            "query": [label_line(A, members(0, 1))],
            "gallery": [label_line(B, members(0, 1))],
            "train": [label_line(C, members(0, 1))],
        },
        [
            *("Image_2_crop/0000001/0.jpg", "Image_2_crop/0000001/1.jpg"),
            *(f"Image_2_crop/0000001/{B}/0.jpg", f"Image_2_crop/0000001/{B}_1.jpg"),
            *("Image_2_crop/0000002/0.jpg", "Image_2_crop/0000002/1.jpg"),
        ],
    )
    catalog = survey(folder)
    found = rows(catalog)
    assert {image: row["cell"] for image, row in found.items()} == {
        "Image_2_crop/0000001/0.jpg": "p1-gallery-query",
        "Image_2_crop/0000001/1.jpg": "p1-gallery-query",
        f"Image_2_crop/0000001/{B}/0.jpg": "p1-gallery",
        f"Image_2_crop/0000001/{B}_1.jpg": "p1-gallery",
        "Image_2_crop/0000002/0.jpg": "p1-train",
        "Image_2_crop/0000002/1.jpg": "p1-train",
    }
    whole, framed = found["Image_2_crop/0000001/1.jpg"], found[f"Image_2_crop/0000001/{B}_1.jpg"]
    assert (whole["frames"], whole["members"], whole["frame"], whole["camera"], whole["box"]) == (2, 2, None, None, [])
    assert (framed["frames"], framed["frame"], framed["camera"], framed["time"]) == (2, B, 2, "night")
    assert (framed["box"], framed["depth"]) == ([100.0, 50.0, 40.0, 90.0], 3.0)
    assert catalog.rejects == []
    assert note_counts(catalog.notes) == {Note.FRAME_WITHOUT_CROP: 1, Note.GROUP_SPLITS_DIFFER: 1}


def test_a_member_without_any_crop_or_without_that_of_a_frame_is_a_reject(tmp_path: Path) -> None:
    lines = [label_line(A, members(0, 1)), label_line(C, members(0, 1))]
    folder = write(tmp_path / "source", {"train": lines}, [f"Image_2_crop/{A}/0.jpg", "Image_2_crop/0000002/1.jpg"])
    catalog = survey(folder)
    assert [(reject.reason, reject.where, reject.name, reject.person_id) for reject in catalog.rejects] == [
        (RejectReason.IMAGE_MISSING, "train_part1.txt:1", A, 1),
        (RejectReason.IMAGE_MISSING, "train_part1.txt:2", "0000002", 0),
    ]
    assert catalog.accounts["crops"].total == 4


def test_a_folder_means_the_group_of_its_number_if_there_is_only_one(tmp_path: Path) -> None:
    other = C.replace("0000002", "02")
    folder = write(
        tmp_path / "source",
        {"train": [label_line(frame, members(0)) for frame in (A, C, other)]},
        ["Image_2_crop/1/0.jpg", "Image_2_crop/2/0.jpg", "Image_2_crop/02/0.jpg", "Image_2_crop/0000002/0.jpg"],
    )
    catalog = survey(folder)
    assert {image: row["group"] for image, row in rows(catalog).items()} == {
        "Image_2_crop/1/0.jpg": "0000001",
        "Image_2_crop/02/0.jpg": "02",
        "Image_2_crop/0000002/0.jpg": "0000002",
    }
    assert catalog.notes[Note.IMAGE_UNLABELLED].count == 1
    assert catalog.notes[Note.GROUP_RESPELLED].count == 1


def test_images_of_one_path_are_taken_once_however_their_folder_is_spelled(tmp_path: Path) -> None:
    folder = write(tmp_path / "source", {"train": [label_line(A, members(0))]}, ["Images_2_crop/0000001/0.jpg"])
    write_zip(folder / "Image_2_crop.zip", {"0000001/0.jpg": b"crop", "0000001/00.jpg": b"another path"})
    catalog = survey(folder)
    assert sorted(rows(catalog)) == ["Image_2_crop/0000001/0.jpg", "Image_2_crop/0000001/00.jpg"]
    (reject,) = catalog.rejects
    assert (reject.reason, reject.where) == (RejectReason.IMAGE_REPEATED, "Images_2_crop:0000001/0.jpg")
    assert reject.detail == "Image_2_crop.zip:0000001/0.jpg has the same path and is taken"


def test_a_zip_that_was_unpacked_into_a_folder_of_its_name_holds_the_same_crops(tmp_path: Path) -> None:
    crop = "Image_2_crop/0000001/0.jpg"
    folder = write(tmp_path / "source", {"train": [label_line(A, members(0))]}, [f"Image_2_crop/{crop}"])
    catalog = survey(folder)
    (row,) = catalog.rows.to_pylist()
    assert (row["image"], row["archive"], row["entry"]) == (crop, "Image_2_crop", crop)
    assert catalog.rejects == []
    write(folder, {}, [crop])
    assert [reject.reason for reject in survey(folder).rejects] == [RejectReason.IMAGE_REPEATED]


def test_a_crop_whose_name_is_not_utf8_is_a_reject_that_says_so(tmp_path: Path) -> None:
    crops = ["Image_2_crop/0000001/0.jpg", "Image_2_crop/0000001/\udcff/0.jpg"]
    catalog = survey(write(tmp_path / "source", {"train": [label_line(A, members(0))]}, crops))
    assert [(reject.where, reject.detail) for reject in catalog.rejects] == [
        (r"Image_2_crop:0000001/\xff/0.jpg", "it is no plain file, or its name is not UTF-8")
    ]


def test_a_crop_is_kept_whatever_its_labels_say_of_boxes(tmp_path: Path) -> None:
    """The person is labelled twice in one frame, without a number in another, and differently in a third."""
    frames = [frame_name(1, 2, index=index) for index in (1, 2, 3)]
    lines = [
        label_line(frames[0], [*members(0, 1), *members(1)]),
        label_line(frames[1], members(0)) + " 1,nan,1,1,1,1",
        label_line(frames[2], members(0, 1)),
        label_line(frames[2], members(0)) + " 1,7,7,7,77,7",
    ]
    crops = ["Image_2_crop/0000001/1.jpg", *(f"Image_2_crop/{frame}/1.jpg" for frame in frames)]
    zeros = ["Image_2_crop/0000001/0.jpg", *(f"Image_2_crop/{frame}/0.jpg" for frame in frames)]
    catalog = survey(write(tmp_path / "source", {"train": lines}, [*crops, *zeros]))
    found = rows(catalog)
    assert [(found[crop]["frames"], found[crop]["box"]) for crop in crops] == [(3, [])] * 4
    assert [bool(found[crop]["box"]) for crop in zeros] == [False, True, True, False]
    assert catalog.rejects == []
    assert (catalog.notes[Note.BOX_UNKNOWN].count, catalog.notes[Note.LABELS_DIFFER].count) == (4, 1)


def test_sizes_without_crops_are_gaps(tmp_path: Path) -> None:
    lines = [label_line(A, members(0)), label_line(frame_name(9, 5), members(0, 1, 2, 3, 4))]
    folder = write(tmp_path / "source", {"train": lines}, ["Image_2_crop/0000001/0.jpg", "below/Image_5_crop.zip"])
    assert [gap for gap in survey(folder).gaps if "crop" in gap] == [
        (
            "none of the 1 labelled groups of 5 has a crop: Image_5_crop seems to be missing; below/Image_5_crop.zip "
            "is there: move it to the others"
        )
    ]


def test_a_folder_of_both_forms_is_refused_until_the_source_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "source", {"train": [label_line(A, members(0))]}, ["Image_2_crop/0000001/0.jpg"])
    assert recognise_source(LocalStore(folder)) == (CITY1M_LITE, "Image_2_crop")
    write_zip(folder / "Images_2.zip", {f"Images_2/{A}.jpg": b"frame"})
    with pytest.raises(UsageError) as refused:
        recognise_source(LocalStore(folder))
    assert "City1M-Full because of Images_2.zip (--source city1m)" in str(refused.value)
    assert "City1M-Lite because of Image_2_crop (--source city1m-lite)" in str(refused.value)
    assert survey(folder).rows.num_rows == 1
    full = CITY1M.survey(LocalStore(folder), CITY1M.make_options({}))
    assert full.rows["name"].to_pylist() == [A]


@pytest.mark.parametrize(
    ("labels", "crops", "message"),
    [
        ({"train": [label_line(A, members(0))]}, [], "neither a folder such as Image_2_crop"),
        ({"train": [label_line(A, members(0))]}, ["Image_2_crop/0000009/0.jpg"], "no crop of a labelled member"),
        ({}, ["Image_2_crop/0000001/0.jpg"], "no label file such as"),
        ({"train": [label_line(A, members(0)), label_line(A.replace("pCount2", "pCount3"), members(0))]},
         ["Image_2_crop/0000001/0.jpg"], "two member counts"),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_is_refused(
    tmp_path: Path, labels: dict[str, list[str]], crops: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        survey(write(tmp_path / "source", labels, [*crops, "notes.md"]))
