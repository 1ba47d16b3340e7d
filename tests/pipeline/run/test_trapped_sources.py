"""Every surprise that the demo plants ends as the note or the reject that it should, and nothing else is lost."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.demo import make_demo
from shards_spec.manifest import Manifest
from shards_spec.rejects import Note, Reject, RejectReason, decode_rejects
from shards_spec.variants import variant_named
from shards_spec.verify import verify
from tests.support.sets import make_set

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
HARMLESS = {"members in another order", "progressive JPEG", "grayscale JPEG"}

Trapped = tuple[list[dict[str, Any]], Manifest, list[Reject], Path]


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Trapped:
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("set")
    make_demo(source, images=100, traps=True, workers=1)
    manifest = make_set(source, out)
    rejects = decode_rejects((out / "rejects.jsonl").read_bytes())
    return json.loads((source / "traps.json").read_text()), manifest, rejects, out


def test_each_trap_is_known_here(trapped: Trapped) -> None:
    assert {trap["trap"] for trap in trapped[0]} == {*REASONS, *NOTES, *HARMLESS}


def test_each_trap_has_its_reject_and_each_reject_its_trap(trapped: Trapped) -> None:
    traps, _, rejects, _ = trapped
    planted = {(REASONS[trap["trap"]], Path(trap["frame"]).stem) for trap in traps if trap["trap"] in REASONS}
    assert {(reject.reason, reject.name) for reject in rejects} == planted
    for trap in traps:
        if trap["effect"] == "reject" and trap["line"]:
            found = [r.where for r in rejects if r.name == Path(trap["frame"]).stem]
            assert any(where == f"{trap['file']}:{trap['line']}" or ".zip:" in where for where in found) or (
                REASONS[trap["trap"]] is RejectReason.LABEL_CONFLICT
            )


def test_each_trap_has_its_note(trapped: Trapped) -> None:
    traps, manifest, _, _ = trapped
    expected = {NOTES[trap["trap"]] for trap in traps if trap["trap"] in NOTES}
    assert expected <= set(manifest.notes)
    assert manifest.notes[Note.BLANK_LINE] == 2
    assert manifest.notes[Note.BOX_CLAMPED] == 1
    assert manifest.notes[Note.REPEATED_LINE] == 1


def test_the_harmless_ones_lose_nothing(trapped: Trapped) -> None:
    traps, _, rejects, out = trapped
    harmless = {Path(trap["frame"]).stem for trap in traps if trap["trap"] in HARMLESS}
    assert not harmless & {reject.name for reject in rejects}
    written = {path.name for path in out.rglob("*.tar")}
    assert written
    assert verify(str(out), workers=1).faults == []


def test_the_counts_add_up(trapped: Trapped) -> None:
    _, manifest, rejects, _ = trapped
    totals = manifest.totals
    totals.check(variant_named(manifest.variant))
    assert sum(manifest.rejects.values()) == len(rejects)
    assert totals.accounts["lines"].rejected == manifest.rejects["line_fields"] == 1
    assert totals.accounts["members"].rejected == sum(reject.samples for reject in rejects) > 0
