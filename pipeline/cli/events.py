"""The events of a conversion for programs to read: what ``convert --json`` prints, a line of JSON each."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import msgspec

from pipeline.cli.answers import print_json
from pipeline.cluster.scheduler import Failure
from pipeline.run.events import Message, Planned, RunEvent, ShardsBegun
from pipeline.shards.record import ShardRecord
from shards_spec.layout import shard_name

_LEFT_OUT = ("plan_digest", "cell", "number", "rejects")
"""Fields of a record that OUT holds, or that its name tells."""


def print_event(event: RunEvent) -> None:
    """Print an event of a conversion; nothing if nothing has happened for a while."""
    if event is not None:
        print_timed(**_fields(event))


def print_timed(**facts: Any) -> None:
    """Print facts as a line of JSON with the time."""
    print_json(time=datetime.now(UTC).isoformat(timespec="milliseconds"), **facts)


def _fields(event: RunEvent) -> dict[str, Any]:
    if isinstance(event, Message):
        return {"event": "message", "text": event.text}
    if isinstance(event, Planned):
        from pipeline.cli.plan_facts import plan_facts

        return {"event": "plan", **plan_facts(event.plan)}
    if isinstance(event, ShardRecord):
        fields = {name: value for name, value in msgspec.structs.asdict(event).items() if name not in _LEFT_OUT}
        seconds = {stage: round(spent, 3) for stage, spent in event.seconds.items()}
        return {"event": "shard", "name": shard_name(event.cell, event.number), **fields, "seconds": seconds}
    if isinstance(event, ShardsBegun):
        return {"event": "begin", **dataclasses.asdict(event)}
    assert event is not None
    return {"event": "failure" if isinstance(event, Failure) else "retry", **dataclasses.asdict(event)}
