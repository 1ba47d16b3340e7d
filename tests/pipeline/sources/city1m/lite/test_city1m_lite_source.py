"""City1M-Lite does what every kind of source does, and each trap of its demo ends where it should."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.compute as pc

from pipeline.demo import make_demo
from pipeline.report.page import make_report
from pipeline.report.render import render
from pipeline.sources.base import Source
from pipeline.sources.city1m import CITY1M_LITE
from shards_spec import open_dataset
from shards_spec.rejects import Note, RejectReason
from shards_spec.storage import LocalStore
from shards_spec.stream.export import write_wids
from tests.pipeline.sources.source_suite import Converted, SourceSuite, read_traps
from tests.support.notes import note_counts


class TestCity1MLite(SourceSuite):
    source: ClassVar[Source] = CITY1M_LITE
    given: ClassVar[Mapping[str, Any]] = {"samples_per_shard": 4}
    reasons: ClassVar[Mapping[str, RejectReason]] = {
        "wrong number of fields": RejectReason.LINE_FIELDS,
        "member without a crop": RejectReason.IMAGE_MISSING,
        "frame without the crop of a member": RejectReason.IMAGE_MISSING,
        "crop in two zips": RejectReason.IMAGE_REPEATED,
        "unsupported compression": RejectReason.IMAGE_UNSUPPORTED,
        "symbolic link": RejectReason.IMAGE_UNSUPPORTED,
        "wrong CRC": RejectReason.IMAGE_DAMAGED,
        "empty image": RejectReason.IMAGE_UNDECODABLE,
        "text named JPEG": RejectReason.IMAGE_UNDECODABLE,
        "truncated JPEG": RejectReason.IMAGE_UNDECODABLE,
    }
    notes: ClassVar[Mapping[str, Note]] = {
        "crop of nobody": Note.IMAGE_UNLABELLED,
        "person id beyond all": Note.IMAGE_UNLABELLED,
        "group without labels": Note.IMAGE_UNLABELLED,
        "crop of a frame without label": Note.IMAGE_UNLABELLED,
        "junk file": Note.ENTRY_IGNORED,
        "PNG named JPEG": Note.IMAGE_REENCODED,
        "rotation in EXIF": Note.IMAGE_ORIENTED,
        "group id with fewer digits": Note.GROUP_RESPELLED,
        "box that is no number": Note.BOX_UNKNOWN,
        "labelled differently": Note.LABELS_DIFFER,
        "repeated line": Note.REPEATED_LINE,
        "blank line": Note.BLANK_LINE,
        "byte order mark": Note.BYTE_ORDER_MARK,
        "carriage returns": Note.CARRIAGE_RETURN,
    }
    harmless: ClassVar[frozenset[str]] = frozenset(
        {
            "progressive JPEG",
            "grayscale JPEG",
            "person id with more digits",
            "extension in capitals",
            "folder below the group's",
            "crop named after its frame",
            "crop in its frame's folder",
            "zip without its folder of crops",
            "other spelling of the folder of crops",
        }
    )
    recognised: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("Image_2_crop.zip",),
        ("Images_3_crop.zip", "train_part1.txt"),
        ("image_2_CROP (1).ZIP",),
    )
    refused: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("train_part1.txt",),
        ("Images_2.zip", "train_part1.txt"),
        ("Image_crop.zip",),
        ("Image_2_crop",),
    )

    @staticmethod
    def make_demo(folder: Path) -> list[dict[str, Any]]:
        make_demo(folder, source="city1m-lite", images=60, traps=True, workers=1)
        return read_traps(folder)

    def test_the_counts_are_those_of_the_traps(self, converted: Converted) -> None:
        counts = note_counts(converted.manifest.notes)
        assert {note: counts[note] for note in (Note.IMAGE_UNLABELLED, Note.BOX_UNKNOWN, Note.GROUP_RESPELLED)} == {
            Note.IMAGE_UNLABELLED: 4,
            Note.BOX_UNKNOWN: 1,
            Note.GROUP_RESPELLED: 1,
        }
        reasons = sorted(reject.reason for reject in converted.rejects)
        planted = [trap["trap"] for trap in converted.traps]
        assert reasons == sorted(self.reasons[trap] for trap in planted if trap in self.reasons)

    def test_readers_cards_reports_and_lists_take_the_set(self, converted: Converted, tmp_path: Path) -> None:
        dataset = open_dataset(str(converted.out))
        train = dataset.stream(protocol=1, split="train", seed=0)
        batch = next(iter(train.identity_batches(identities=2, per_identity=2).batched(4)))
        assert len(set(batch["label"])) == 2
        framed = list(dataset.stream(protocol=1, split="train", where=pc.field("camera").is_valid()))
        assert all(sample["json"]["frame"] for sample in framed)
        assert {path.name for path in write_wids(dataset, tmp_path / "lists")} >= {"wids-p1-train.json"}
        page = render("report", report=make_report(LocalStore(converted.out), images=True))
        assert "group_respelled" in page
        card = (converted.out / "README.md").read_text()
        assert '- name: "frame"' in card
        assert f"{converted.manifest.totals.samples:,}" in card
        croissant = json.loads((converted.out / "croissant.json").read_bytes())
        assert {"camera", "box_x", "frame"} <= set(re.findall(r'"column": "(\w+)"', json.dumps(croissant)))
