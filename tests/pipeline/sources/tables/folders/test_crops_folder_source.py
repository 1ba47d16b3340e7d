"""Folders of crops do what every kind of source does, and each trap of their demo ends where it should."""

from pathlib import Path
from typing import Any, ClassVar

from pipeline.demo import make_demo
from pipeline.sources.tables import CROPS_FOLDER
from shards_spec.rejects import Note, RejectReason
from tests.pipeline.sources.source_suite import SourceSuite, read_traps
from tests.pipeline.sources.tables.rows.test_crops_table_source import CROP_HARMLESS, CROP_NOTES, CROP_REASONS


class TestCropsFolder(SourceSuite):
    """See ``SourceSuite``."""

    source = CROPS_FOLDER
    given: ClassVar = {"samples_per_shard": 6}
    reasons = {**CROP_REASONS, "name without a person": RejectReason.ROW_FIELDS}  # noqa: RUF012 - of the suite
    notes = {  # noqa: RUF012 - it is a class variable of the suite
        **CROP_NOTES,
        "folder of no split": Note.IMAGE_UNLABELLED,
        "file that is no image": Note.ENTRY_IGNORED,
    }
    harmless = CROP_HARMLESS
    recognised = (("list_train.txt",),)
    refused = (("train.txt",), ("crops.csv",))

    @staticmethod
    def make_demo(folder: Path) -> list[dict[str, Any]]:
        make_demo(folder, source="crops-folder", images=60, traps=True, workers=1)
        return read_traps(folder)
