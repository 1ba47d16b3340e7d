"""Tables of boxes do what every kind of source does, and each trap of their demo ends where it should."""

from pathlib import Path
from typing import Any, ClassVar

from pipeline.demo import make_demo
from pipeline.sources.tables import BOXES_TABLE
from shards_spec.rejects import Note
from tests.pipeline.sources.source_suite import SourceSuite, read_traps
from tests.pipeline.sources.tables.coco.test_coco_source import FRAME_HARMLESS, FRAME_NOTES, FRAME_REASONS


class TestBoxesTable(SourceSuite):
    """See ``SourceSuite``."""

    # From the catalog on, the code is that of COCO JSON, whose suite runs these.
    test_killed_and_continued_it_makes_the_same_bytes = None
    test_plan_says_which_kind_it_found = None  # type: ignore[assignment]

    source = BOXES_TABLE
    given: ClassVar = {"samples_per_shard": 12}
    reasons = FRAME_REASONS
    notes = {**FRAME_NOTES, "row that comes twice": Note.REPEATED_LINE}  # noqa: RUF012 - a variable of the class
    harmless = FRAME_HARMLESS | {"frame without boxes"}  # a table cannot name it
    recognised = ()
    refused = (("train.csv",), ("crops.parquet",), ("train.json",))

    @staticmethod
    def make_demo(folder: Path) -> list[dict[str, Any]]:
        make_demo(folder, source="boxes-table", images=35, traps=True, workers=1)
        return read_traps(folder)
