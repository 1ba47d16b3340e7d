"""COCO JSON does what every kind of source does, and each trap of its demo ends where it should."""

from pathlib import Path
from typing import Any, ClassVar

from pipeline.demo import make_demo
from pipeline.sources.tables import COCO
from shards_spec.rejects import Note, RejectReason
from tests.pipeline.sources.source_suite import SourceSuite, read_traps

FRAME_REASONS = {
    "same name in two folders": RejectReason.IMAGE_AMBIGUOUS,
    "box outside the frame": RejectReason.BOX_OUTSIDE,
    "empty box": RejectReason.BOX_EMPTY,
    "NaN in a box": RejectReason.BOX_NOT_FINITE,
    "box without numbers": RejectReason.ROW_FIELDS,
    "truncated frame": RejectReason.IMAGE_UNDECODABLE,
    "missing frame": RejectReason.IMAGE_MISSING,
    "frame of another size": RejectReason.IMAGE_SIZE_DIFFERS,
}
FRAME_NOTES = {
    "box beyond the frame": Note.BOX_CLAMPED,
    "person twice in a frame": Note.PERSON_REPEATED,
    "rotation in EXIF": Note.IMAGE_ORIENTED,
}
FRAME_HARMLESS = frozenset(
    {
        *("id that is a word", "spaces in a name", "name in another script", "PNG frame", "progressive frame"),
        *("grayscale frame", "CMYK frame"),
    }
)


class TestCoco(SourceSuite):
    """See ``SourceSuite``."""

    source = COCO
    given: ClassVar = {"samples_per_shard": 12, "queries": "annotations/queries.csv"}
    reasons = FRAME_REASONS
    notes = {  # noqa: RUF012 - it is a class variable of the suite
        **FRAME_NOTES,
        "frame without boxes": Note.FRAME_WITHOUT_BOXES,
        "crowd": Note.ANNOTATION_IGNORED,
        "another category": Note.ANNOTATION_IGNORED,
    }
    harmless = FRAME_HARMLESS | {"annotations in another order"}
    recognised = ()
    refused = (("train.json",), ("train.csv",), ("Images_2.zip",))

    @staticmethod
    def make_demo(folder: Path) -> list[dict[str, Any]]:
        make_demo(folder, source="coco", images=35, traps=True, workers=1)
        return read_traps(folder)
