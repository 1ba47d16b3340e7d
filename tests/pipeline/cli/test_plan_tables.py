"""What is printed of plans and runs."""

import io
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console

from pipeline.cli.conversion import ConversionDisplay
from pipeline.cli.plan_tables import print_decisions, print_failures, print_plan, print_work
from pipeline.cluster.scheduler import Event, Failure, Retry
from pipeline.plan import ShardPlan
from pipeline.run.events import ShardsBegun
from pipeline.shards.record import ShardRecord
from pipeline.sources.city1m.labels.decisions import MemberIds, decide_box_order, decide_identity_scope
from shards_spec.manifest import Decision
from shards_spec.text import spell_bytes
from tests.support.sets import plan_source
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


def decisions_printed(**decisions: Decision) -> list[str]:
    output = io.StringIO()
    print_decisions("city1m", decisions, Console(file=output, width=400))
    return output.getvalue().splitlines()


def test_evidence_is_said_in_sentences() -> None:
    boxes = np.array([[10.0, 20.0, 30.0, 90.0], [50.0, 20.0, 25.0, 70.0]])
    members = MemberIds(np.array([0, 1], np.int32), np.array([0, 0], np.int32), np.array([2, 2], np.int32))
    asked_order, order, asked_scope, scope = decisions_printed(
        box_order=decide_box_order("auto", boxes, np.array([True, True]), (320, 180)),
        identity_scope=decide_identity_scope("auto", members),
    )
    assert asked_order == (
        "In which order do the four numbers of a labelled box stand? xywh. Left, top, width, height."
    )
    assert order == (
        "  Of 2 boxes in frames of 320 x 180 pixels (as read from a frame), 0 leave the frame or are wider than tall "
        "if the numbers are x, y, width, height, and 2 if they are x, y, height, width."
    )
    assert asked_scope.startswith("Does a person id name the same person in every group? group. No: ids count the")
    assert scope == (
        "  Of 2 labelled members, 0 have an id that is not below the number of members in their frame's name. Of 2 "
        "different ids, 0 occur in several groups."
    )
    documented = decide_box_order("auto", boxes, np.array([True, True]), None)
    assert "in frames of 1920 x 1080 pixels (as documented), " in decisions_printed(box_order=documented)[1]


def test_a_choice_of_the_user_is_said_to_be_so() -> None:
    asked = decide_box_order("xyhw", np.empty((0, 4)), np.empty(0, bool), None)
    assert decisions_printed(box_order=asked)[1] == "  An option of the conversion made this choice."


def test_what_fails_the_same_way_for_many_shards_is_said_once() -> None:
    output = io.StringIO()
    failures = [Failure(f"p1-train-{number:06d}", "OSError: No space left on device") for number in range(18)]
    names = [failure.name for failure in failures[:3]]
    failures.insert(4, Failure("p1-query-000000", "OSError: [/x] is gone"))
    print_failures(failures, Console(file=output, width=200))
    assert output.getvalue().splitlines() == [
        f"failed: 18 shards failed the same way ({', '.join(names)}, ...): OSError: No space left on device",
        "failed: shard p1-query-000000: OSError: [/x] is gone",
        "the same command tries these shards again",
    ]


def test_while_it_goes_on_what_fails_the_same_way_is_said_once() -> None:
    output = io.StringIO()
    console = Console(file=output, width=200)
    retries: list[Event] = [Retry(f"s{number}", 1, "OSError: full", 1.0) for number in range(5)]
    failures: list[Event] = [Failure(f"s{number}", "OSError: full") for number in range(5)]
    with ConversionDisplay(console) as display:
        display(ShardsBegun(1, 0, "frame"))
        for event in [*retries, None, *failures]:
            display(event)
    assert output.getvalue().splitlines() == [
        "shard s0: attempt 1 failed, again in 1 s: OSError: full",
        "shard s0: failed for good: OSError: full",
    ]


def test_the_plan_says_how_many_bytes_are_read_and_about_how_many_are_written(source_folder: Path) -> None:
    plan = plan_source(source_folder)
    read, written = plan.catalog.source.load().sizes(plan.catalog, plan.options)
    largest = max(int(written[shard.rows].sum()) for shard in plan.shards)
    output = io.StringIO()
    print_plan(plan, Console(file=output, width=400))
    assert (
        f"48 frames, 120 samples, {len(plan.shards)} shards; {spell_bytes(read)} to read, about "
        f"{spell_bytes(int(written.sum()))} to write, at most {spell_bytes(largest)} a shard\n"
    ) in output.getvalue()
    assert 0 < largest < written.sum()
