"""Reading COCO JSON: what is taken, what is refused, and what must be said."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.sources.tables import COCO
from shards_spec.errors import UsageError
from shards_spec.rejects import Note, RejectReason
from tests.pipeline.sources.tables.support import annotation, ask_duckdb, survey, write_coco, write_images
from tests.support.notes import note_counts
from tests.support.processes import environment


def test_counts_are_those_that_duckdb_gets_from_the_same_json(tmp_path: Path) -> None:
    names = {number: f"cam{number % 3}/{number}.jpg" for number in range(12)}
    write_images(tmp_path, *names.values())
    for split, numbers in (("train", range(40)), ("test", range(40, 70))):
        boxes = [annotation(number, number % 12, number % 7 - 1 or None) for number in numbers]
        write_coco(tmp_path / "annotations" / f"instances_{split}.json", names, boxes)
    catalog = survey(COCO, tmp_path)
    told = ask_duckdb(
        f"""
        with files as (select filename, unnest(annotations) a from read_json('{tmp_path}/annotations/*.json',
            filename = true, columns = {{annotations: 'struct(id int, image_id int, person_id int)[]'}}))
        select count(*), count(distinct (a.image_id, filename)),
            count(distinct a.person_id) filter (a.person_id >= 0),
            count(*) filter (a.person_id is null or a.person_id < 0) from files
        """
    )
    rows = catalog.rows.to_pylist()
    kinds = [kind for row in rows for kind in row["id_kind"]]
    persons = {person for row in rows for person in row["person_id"]} - {None}
    assert told == (catalog.accounts["boxes"].kept, len(rows), len(persons), kinds.count("unlabelled"))
    assert {row["cell"] for row in rows} == {"p1-train", "p1-test"}


def test_annotations_are_joined_by_image_id_whatever_its_type_and_their_order(tmp_path: Path) -> None:
    write_images(tmp_path, "images/a.jpg", "images/b.jpg")
    images = {"x": "a.jpg", 7: "b.jpg"}
    write_coco(tmp_path / "labels.json", images, [annotation(2, 7, "z"), annotation(1, "x", 3), annotation(3, 7, 4.0)])
    rows = {row["frame"]: row for row in survey(COCO, tmp_path).rows.to_pylist()}
    assert {name: (row["box_id"], row["person_id"]) for name, row in rows.items()} == {
        "images/a.jpg": (["1"], ["3"]),
        "images/b.jpg": (["2", "3"], ["z", "4"]),
    }


def test_what_an_annotation_lacks_costs_it_alone(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg")
    bad = [
        annotation(2, 1, bbox=[1, 2, 3]),
        annotation(3, 99),
        {"id": 4, "image_id": 1, "bbox": ["x", 1, 2, 3]},
        {"id": 5, "image_id": 1},
        annotation(6, 1, bbox=[1, 2, float("nan"), 4]),
        annotation(7, 1, bbox=[1, 2, 0, 4]),
    ]
    write_coco(tmp_path / "labels.json", {1: "a.jpg"}, [annotation(1, 1), *bad])
    catalog = survey(COCO, tmp_path)
    assert sorted(reject.where for reject in catalog.rejects) == [f"labels.json:{row}" for row in range(2, 8)]
    assert [reject.reason for reject in sorted(catalog.rejects, key=lambda reject: reject.where)] == [
        *[RejectReason.ROW_FIELDS] * 4,
        RejectReason.BOX_NOT_FINITE,
        RejectReason.BOX_EMPTY,
    ]
    assert catalog.accounts["boxes"].total == 7


def test_masks_and_crowds_and_images_without_boxes_are_noted(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    mask = {"segmentation": {"size": [1, 1], "counts": "x"}}
    boxes = [annotation(1, 1), annotation(2, 1, **mask), annotation(3, 1, iscrowd=1, **mask)]
    write_coco(tmp_path / "labels.json", {1: "a.jpg", 2: "b.jpg"}, boxes)
    assert note_counts(survey(COCO, tmp_path).notes) == {
        Note.ANNOTATION_IGNORED: 1,
        Note.FRAME_WITHOUT_BOXES: 1,
        Note.IMAGE_UNLABELLED: 1,
        Note.MASK_ENCODED: 2,
        Note.PERSON_REPEATED: 1,
    }


@pytest.mark.parametrize(
    ("annotations", "options", "message"),
    [
        ([{**annotation(1, 1, None), "track_id": 4}], {}, r"1 have track_id.*--person-field track_id"),
        ([annotation(1, 1, category_id=8), annotation(2, 1, category_id=9)], {}, r"8 \(1 boxes\), 9 .*--category NAME"),
        ([annotation(1, 1)], {"person_field": "image_id"}, "--person-field image_id: .* give the one that does"),
        (
            [annotation(1, 1)],
            {"person_field": "attributes."},
            r"--person-field attributes\.: .* give the one that does",
        ),
        ([annotation(1, 1)], {"category": "car"}, "--category car: the categories are person"),
        ([annotation(1, 1)], {"layout": "msmt17"}, "--layout: this source is a COCO JSON, which has no such option"),
        ([annotation(1, 1)], {"split": ("train=b.json",)}, r"has neither a label file nor a split .*labels\.json, all"),
        ([], {}, "the labels name nothing that can be converted"),
        ([annotation(1, 1, bbox=[1, 2, 0, 0])], {}, r"no box is left; 1 were rejected, such as labels\.json:1"),
    ],
)
def test_what_is_not_clear_is_refused_with_what_to_say(
    tmp_path: Path, annotations: list[dict[str, Any]], options: dict[str, Any], message: str
) -> None:
    write_images(tmp_path, "a.jpg")
    write_coco(tmp_path / "labels.json", {1: "a.jpg"}, annotations)
    with pytest.raises(UsageError, match=message):
        survey(COCO, tmp_path, **options)


def test_a_field_in_attributes_can_name_the_person(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg")
    boxes = [annotation(1, 1, None, attributes={"who": "anna", "occluded": False}), annotation(2, 1, None)]
    write_coco(tmp_path / "labels.json", {1: "a.jpg"}, boxes)
    (row,) = survey(COCO, tmp_path, person_field="attributes.who").rows.to_pylist()
    assert (row["person_id"], row["id_kind"]) == (["anna", None], ["labelled", "unlabelled"])
    (row,) = survey(COCO, tmp_path, person_field="none").rows.to_pylist()
    assert row["id_kind"] == ["unlabelled", "unlabelled"]


def test_frames_of_other_sizes_than_labelled_are_refused_where_most_are(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg")
    listed = [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}]
    write_coco(tmp_path / "labels.json", {}, [annotation(1, 1)], images=listed)
    with pytest.raises(UsageError, match=r"of 1 frames .* 1 have another size .*a\.jpg is 64x48, but labelled as 640x"):
        survey(COCO, tmp_path)


@pytest.mark.parametrize("content", [b"{}", b"[]", b'{"images": 3, "annotations": []}', b'{"images": [', b"\xff\xfe{"])
def test_what_is_no_coco_json_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    write_images(tmp_path, "a.jpg")
    (tmp_path / "labels.json").write_bytes(b'{"images": ' + content)
    with pytest.raises(UsageError, match=r"labels\.json is no COCO detection JSON"):
        survey(COCO, tmp_path)


MEASURE = """
import resource, sys
from pathlib import Path
from pipeline.sources.tables.coco.file import read_coco
from shards_spec.storage import FileInfo, LocalStore
path = Path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = read_coco(LocalStore(path.parent), FileInfo(path.name, path.stat().st_size), 0, "auto")
print(found.annotations, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_reading_takes_no_more_memory_than_three_times_the_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    write_coco(path, {1: "a.jpg"}, [annotation(1, 1)])
    one = json.dumps(annotation(1, 1, segmentation=[[1, 2, 3, 4, 5, 6, 7, 8]], area=5453))
    path.write_text(path.read_text().replace('"annotations": [', '"annotations": [' + f"{one}, " * 100_000))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path], env=environment(), capture_output=True, text=True, check=True
    )
    annotations, grown = map(int, done.stdout.split())
    assert annotations == 100_001
    assert grown < 3 * path.stat().st_size + 40 * 2**20
