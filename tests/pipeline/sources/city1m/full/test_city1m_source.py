"""City1M-Full does what every kind of source does, and each trap of its demo ends where it should."""

from pathlib import Path
from typing import Any, ClassVar

from pipeline.demo import make_demo
from pipeline.sources.city1m import CITY1M
from shards_spec.rejects import Note, RejectReason
from tests.pipeline.sources.source_suite import Converted, SourceSuite, read_traps

REASONS = {
    "label without frame": RejectReason.IMAGE_MISSING,
    "not a number": RejectReason.MEMBER_NOT_FINITE,
    "infinite number": RejectReason.MEMBER_NOT_FINITE,
    "empty box": RejectReason.BOX_EMPTY,
    "box wholly outside": RejectReason.BOX_OUTSIDE,
    "person id twice": RejectReason.MEMBER_REPEATED,
    "wrong number of fields": RejectReason.LINE_FIELDS,
    "labelled differently in one file": RejectReason.LABEL_CONFLICT,
    "labelled differently in two protocols": RejectReason.LABEL_CONFLICT,
    "frame in two zips": RejectReason.IMAGE_REPEATED,
    "truncated JPEG": RejectReason.IMAGE_UNDECODABLE,
    "garbage for a JPEG": RejectReason.IMAGE_UNDECODABLE,
    "wrong CRC": RejectReason.IMAGE_DAMAGED,
    "unsupported compression": RejectReason.IMAGE_UNSUPPORTED,
}
NOTES = {
    "byte order mark": Note.BYTE_ORDER_MARK,
    "carriage returns": Note.CARRIAGE_RETURN,
    "blank line": Note.BLANK_LINE,
    "repeated line": Note.REPEATED_LINE,
    "box partly outside": Note.BOX_CLAMPED,
    "frame without label": Note.IMAGE_UNLABELLED,
    "junk member": Note.ENTRY_IGNORED,
    "folder entry": Note.ENTRY_IGNORED,
    "parent folder in name": Note.IMAGE_UNLABELLED,
}
HARMLESS = frozenset({"members in another order", "progressive JPEG", "grayscale JPEG"})


class TestCity1M(SourceSuite):
    """See ``SourceSuite``."""

    source = CITY1M
    given: ClassVar = {"samples_per_shard": 20}
    reasons = REASONS
    notes = NOTES
    harmless = HARMLESS
    recognised = (
        ("Images_2.zip", "train_part1.txt"),
        ("images_10.ZIP",),
        ("query_part2.txt", "notes.md"),
    )
    refused = (("frames.zip",), ("Images_2.zip.part",), ("train.txt", "query.txt"), ("Images_2.tar",))

    @staticmethod
    def make_demo(folder: Path) -> list[dict[str, Any]]:
        make_demo(folder, images=100, traps=True, workers=1)
        return read_traps(folder)

    def test_each_reject_names_its_trap(self, converted: Converted) -> None:
        traps, rejects = converted.traps, converted.rejects
        planted = {(REASONS[trap["trap"]], Path(trap["frame"]).stem) for trap in traps if trap["trap"] in REASONS}
        assert {(reject.reason, reject.name) for reject in rejects} == planted
        for trap in traps:
            if trap["effect"] == "reject" and trap["line"]:
                found = [r.where for r in rejects if r.name == Path(trap["frame"]).stem]
                assert any(where == f"{trap['file']}:{trap['line']}" or ".zip:" in where for where in found) or (
                    REASONS[trap["trap"]] is RejectReason.LABEL_CONFLICT
                )

    def test_notes_count_what_was_planted(self, converted: Converted) -> None:
        notes = converted.manifest.notes
        assert notes[Note.BLANK_LINE].count == 2
        assert notes[Note.BOX_CLAMPED].count == 1
        assert notes[Note.REPEATED_LINE].count == 1

    def test_the_harmless_ones_lose_nothing(self, converted: Converted) -> None:
        harmless = {Path(trap["frame"]).stem for trap in converted.traps if trap["trap"] in HARMLESS}
        assert harmless
        assert not harmless & {reject.name for reject in converted.rejects}

    def test_a_line_that_cannot_be_read_is_counted(self, converted: Converted) -> None:
        manifest = converted.manifest
        assert manifest.totals.accounts["lines"].rejected == manifest.rejects["line_fields"] == 1
        assert manifest.totals.accounts["members"].rejected > 0
