"""What a run finds in OUT: a set of its own plan to continue, nothing, or something that must not be overwritten."""

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipeline.options import option_name, spell_value
from pipeline.plan import Plan, ShardPlan
from pipeline.run.work import PLAN_FILE, PlanIdentity, find_set, read_records, refuse_strays
from pipeline.shards.record import ShardRecord, record_file
from shards_spec.errors import UsageError
from shards_spec.rejects import Reject
from shards_spec.storage import Store


def plan_identity(plan: Plan) -> PlanIdentity:
    """Return what distinguishes this plan's conversion from others."""
    catalog = plan.catalog
    return PlanIdentity(
        plan.digest,
        plan.options.output_bearing(),
        dict(plan.versions),
        {name: decision.choice for name, decision in catalog.decisions.items()},
        {file.file: file.sha256 for file in [*catalog.archives, *catalog.labels]},
        catalog.variant,
        shards=len(plan.shards),
        units=sum(len(shard.rows) for shard in plan.shards),
        samples=sum(shard.samples for shard in plan.shards),
    )


def owner() -> str:
    """Return the name by which other processes know this one when it holds OUT."""
    return f"process {os.getpid()} on {platform.node()}"


def claim(out: Store, plan: Plan) -> bool:
    """Claim ``out`` for this plan unless it is claimed already; return whether the set there is already complete.

    Raises:
        UsageError: ``out`` holds another set, or files that do not belong to a set.
    """
    wanted = plan_identity(plan)
    complete, found = find_set(out)
    if found is None:
        refuse_strays(out)
        out.put(PLAN_FILE, msgspec.json.encode(wanted))
    elif found.plan_digest != wanted.plan_digest:
        raise UsageError(
            f"{out.url} holds a set from another conversion: {'; '.join(_differences(found, wanted))}. "
            "Choose another OUT, or delete that one"
        )
    return complete


def load_records(out: Store, plan: Plan) -> dict[tuple[str, int], ShardRecord]:
    """Return the records of finished shards by (cell, number).

    A record counts only if it agrees with the plan. A shard without such a record is made again.
    """
    planned = {record_file(shard.cell, shard.number): shard for shard in plan.shards}
    records = read_records(out, plan.digest, planned)
    return {
        (record.cell, record.number): record
        for record in records
        if _agrees(record, plan, planned[record_file(record.cell, record.number)])
    }


def _agrees(record: ShardRecord, plan: Plan, shard: ShardPlan) -> bool:
    """Return whether a record accounts for all planned rows and samples, and its rejects for those that are lost."""
    is_there = [record.samples > 0, record.units > 0, record.bytes > 0, record.sha256 != "", record.index_sha256 != ""]
    return (
        record.samples + record.rejected_samples == shard.samples
        and record.units + record.rejected_units == len(shard.rows)
        and record.units <= record.samples
        and (all(is_there) or not any(is_there))
        and (record.rejected_units, record.rejected_samples) == _losses(record.rejects, plan, shard)
    )


def _losses(rejects: Sequence[Reject], plan: Plan, shard: ShardPlan) -> tuple[int, int] | None:
    """Count the rows and samples that rejects name; return None if one names what the shard does not hold."""
    if not rejects:
        return 0, 0
    converter = plan.catalog.source.load()
    rows = [(row.name, converter.lost_as(row)) for row in converter.rows(plan.slice(shard))]
    by_name = {name: row for row in rows for name in (row[0], *(name for name, _ in row[1].values()))}
    for reject in sorted(rejects, key=lambda reject: reject.person_id is None):  # a row counts the other samples
        row_name, left = by_name.get(reject.name, ("", {}))
        told = reject.name, reject.person_id
        lost = [key for key, named in left.items() if told in {named, (row_name, None)}]
        if reject.samples != len(lost) or not lost:
            return None
        for key in lost:
            del left[key]
    return sum(not left for _, left in rows), shard.samples - sum(len(left) for _, left in rows)


def _differences(found: PlanIdentity, wanted: PlanIdentity) -> list[str]:
    """Say what differs, in the terms of the command line."""
    differences = [
        f"{option_name(field)} was {spell_value(there)}, now {spell_value(here)}"
        for field, there, here in _changes(found.options, wanted.options)
    ]
    differences += [
        f"{name} was {there or 'not recorded'}, now {here or 'not recorded'}"
        for name, there, here in _changes(found.versions, wanted.versions)
    ]
    differences += [
        f"{name.replace('_', ' ')} was decided as {there or 'nothing'}, now as {here or 'nothing'}"
        for name, there, here in _changes(found.decisions, wanted.decisions)
    ]
    for file, there, here in _changes(found.source, wanted.source):
        change = "is new" if there is None else "is gone" if here is None else "has changed"
        differences.append(f"source file {file} {change}")
    return differences or ["what the source names differs"]


def _changes(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """List each name whose values differ, with both values; return None if there is none."""
    names = sorted({*there, *here})
    return [(name, there.get(name), here.get(name)) for name in names if there.get(name) != here.get(name)]
