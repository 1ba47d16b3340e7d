"""What a run says of itself at its end."""

import io

import msgspec
import numpy as np
from rich.console import Console

from pipeline.plan import ShardPlan
from pipeline.shard import ShardRecord
from pipeline.tables import print_work
from tests.support.virtual import fake_record

RECORD = msgspec.structs.replace(
    fake_record(ShardPlan("p1-train", 0, np.arange(10), 40), seconds=2.0),
    requests=700,
    bytes_read=3_030_000,
    bytes_used=3_000_000,
)


def printed(*records: ShardRecord) -> str:
    output = io.StringIO()
    print_work(records, Console(file=output, width=200))
    return output.getvalue()


def test_the_cost_of_a_run_is_that_of_its_shards() -> None:
    assert printed(RECORD, RECORD) == (
        "core time in shards: 4.0 s (read 25%, cut 50%, write 25%)\n"
        "read 6.1 MB in 1,400 requests, 1.01 bytes for each byte used\n"
    )


def test_a_run_that_made_nothing_has_nothing_to_say() -> None:
    assert printed() == ""


def test_what_was_read_for_nothing_is_said() -> None:
    assert "700 requests, nothing of it used" in printed(msgspec.structs.replace(RECORD, bytes_used=0))
