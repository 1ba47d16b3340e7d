"""Tables of crops do what every kind of source does, and each trap of their demo ends where it should."""

from pathlib import Path
from typing import Any, ClassVar

from pipeline.demo import make_demo
from pipeline.sources.tables import CROPS_TABLE
from shards_spec.rejects import Note, RejectReason
from tests.pipeline.sources.source_suite import SourceSuite, read_traps

CROP_REASONS = {
    "truncated crop": RejectReason.IMAGE_UNDECODABLE,
    "empty file": RejectReason.IMAGE_UNDECODABLE,
}
CROP_NOTES = {
    "PNG named JPEG": Note.IMAGE_REENCODED,
    "rotation in EXIF": Note.IMAGE_ORIENTED,
}
CROP_HARMLESS = frozenset({"progressive crop", "grayscale crop", "CMYK crop"})


class TestCropsTable(SourceSuite):
    """See ``SourceSuite``."""

    # From the catalog on, the code is that of folders of crops, whose suite runs these.
    test_killed_and_continued_it_makes_the_same_bytes = None
    test_plan_says_which_kind_it_found = None  # type: ignore[assignment]

    source = CROPS_TABLE
    given: ClassVar = {"samples_per_shard": 6}
    reasons = {  # noqa: RUF012 - it is a class variable of the suite
        **CROP_REASONS,
        "same name in two folders": RejectReason.IMAGE_AMBIGUOUS,
        "missing crop": RejectReason.IMAGE_MISSING,
        "row without a file": RejectReason.ROW_FIELDS,
    }
    notes = {  # noqa: RUF012 - it is a class variable of the suite
        **CROP_NOTES,
        "row that comes twice": Note.REPEATED_LINE,
        "present and unlisted": Note.IMAGE_UNLABELLED,
    }
    harmless = CROP_HARMLESS | {
        *("name in another script, with spaces", "id that is a word", "crop without a person"),
    }
    recognised = ()
    refused = (("crops.csv",), ("sysu_train_set_all_part1.tar",))

    @staticmethod
    def make_demo(folder: Path) -> list[dict[str, Any]]:
        make_demo(folder, source="crops-table", images=60, traps=True, workers=1)
        return read_traps(folder)
