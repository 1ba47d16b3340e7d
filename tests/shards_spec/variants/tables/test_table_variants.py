"""What the variants of labelled frames and crops find wrong with units, rejects and manifests."""

from typing import Any

import msgspec
import pytest

from shards_spec.errors import SpecError
from shards_spec.keys import path_key
from shards_spec.rejects import Reject, RejectReason
from shards_spec.variants.tables import BOXES, IMAGES, BoxSidecar, lost_box_name

FRAME = BoxSidecar(
    spec="1.0", frame="cam1/a.jpg", box_id="7", person_id="5", identity="train-5", id_kind="labelled", camera=1,
    group_id=None, box=(1, 2, 10, 20), frame_size=(100, 50), crop=(0, 0, 12, 24), image_size=(12, 24),
    roi=(1, 2, 10, 20), encoding="lossless", members=2, splits={"p1": ["train"]}, extra={},
)  # fmt: skip


def changed(**change: Any) -> BoxSidecar:
    return msgspec.structs.replace(FRAME, **change)


def test_the_crops_of_a_frame_agree() -> None:
    BOXES.check_unit([FRAME, changed(box_id="8", person_id=None, identity=None, id_kind="unlabelled")])


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ([], "has 1 crops, but its sidecars say 2 members"),
        ([changed()], "two of its crops have the same box_id"),
        ([changed(box_id="8", camera=2)], "differ in frame size, encoding, camera or group"),
        ([changed(box_id="8", encoding="reencoded")], "differ in frame size, encoding, camera or group"),
        ([changed(box_id="8", frame_size=(100, 51))], "differ in frame size, encoding, camera or group"),
    ],
)
def test_crops_of_a_frame_that_contradict_each_other_are_told(others: list[BoxSidecar], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        BOXES.check_unit([FRAME, *others])


def test_keys_are_spelled_after_frame_and_box_or_hashed() -> None:
    assert BOXES.keys(FRAME) == ("cam1_a_b7", path_key("cam1/a.jpg", "7", is_unique=False))


@pytest.mark.parametrize(
    ("reject", "fault"),
    [
        (Reject(RejectReason.BOX_EMPTY, "a.json:1", lost_box_name("cam1/a#1.jpg", "7"), "5", 1, ""), None),
        (Reject(RejectReason.ROW_FIELDS, "a.json:1", None, None, 1, ""), None),
        (Reject(RejectReason.BOX_EMPTY, "a.json:1", None, None, 1, ""), "box_empty without the name of a box"),
        (
            Reject(RejectReason.BOX_EMPTY, "a.json:1", "cam1/a.jpg", None, 1, ""),
            "'cam1/a.jpg' is not the name of a box",
        ),
        (
            Reject(RejectReason.IMAGE_MISSING, "a.json:1", "a.jpg#7", None, 2, ""),
            "of 2 samples, but each reject is of one",
        ),
    ],
)
def test_each_reject_of_boxes_is_of_one_box(reject: Reject, fault: str | None) -> None:
    found = BOXES.reject_fault(reject)
    assert found is None if fault is None else fault in str(found)


def test_a_lost_box_belongs_to_its_frame() -> None:
    assert BOXES.lost_unit(lost_box_name("cam1/a#1.jpg", "7")) == "cam1/a#1.jpg"


def test_each_reject_of_images_is_of_one_image() -> None:
    assert IMAGES.reject_fault(Reject(RejectReason.IMAGE_MISSING, "a.csv:1", "a.jpg", None, 1, "")) is None
    assert IMAGES.reject_fault(Reject(RejectReason.ROW_FIELDS, "a.csv:1", None, None, 1, "")) is None
    assert "each reject is of one image" in str(
        IMAGES.reject_fault(Reject(RejectReason.IMAGE_MISSING, "a.csv:1", "a.jpg", None, 0, ""))
    )
    assert "without the name" in str(
        IMAGES.reject_fault(Reject(RejectReason.IMAGE_MISSING, "a.csv:1", None, None, 1, ""))
    )


@pytest.mark.parametrize("field", ["frame", "box_id", "person_id", "group_id"])
def test_texts_are_bounded_so_that_an_index_can_hold_them(field: str) -> None:
    decoder = msgspec.json.Decoder(BoxSidecar)
    limit = 1000 if field == "frame" else 250
    decoder.decode(msgspec.json.encode(changed(**{field: "x" * limit})))
    for text in ("x" * (limit + 1), "", *(["a#b"] if field == "box_id" else [])):
        with pytest.raises(msgspec.ValidationError):
            decoder.decode(msgspec.json.encode(changed(**{field: text})))
