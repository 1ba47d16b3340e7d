"""The driver: from a source to a complete set, or to where the next run goes on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from pipeline.cluster import Failure, Retry, connect, run_tasks
from pipeline.finish import finish
from pipeline.options import Options
from pipeline.plan import Plan, make_plan
from pipeline.progress import ProgressLine, byte_count
from pipeline.shard import ShardRecord, ShardTask
from pipeline.sources.city1m import build_catalog
from pipeline.versions import byte_bearing_versions
from pipeline.work import claim, load_records, owner
from shards_spec.manifest import MANIFEST_FILE, Manifest, decode_manifest
from shards_spec.storage import Store, open_store


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a conversion ended."""

    manifest: Manifest | None
    """None where shards failed for good: the set is not complete."""
    failures: list[Failure]
    resumed_shards: int
    """Shards that an earlier run had finished."""
    seconds: dict[str, float]
    """Of this run's shards: where the time of all cores went."""


def plan_conversion(source_url: str, labels_url: str | None, options: Options, console: Console) -> Plan:
    """Read what a source holds and plan its conversion.

    Args:
        source_url: folder of the archives.
        labels_url: folder of the label files; None: they lie beside the archives.
        options: of the conversion.
        console: for progress.

    Raises:
        UsageError: the source or the options make no sense.
    """
    source = open_store(source_url)
    labels = open_store(labels_url) if labels_url is not None else source

    def show(what: str) -> None:
        console.print(f"plan: {escape(what)}")

    return make_plan(build_catalog(source, labels, options, show), options, byte_bearing_versions())


def convert_dataset(
    source_url: str,
    labels_url: str | None,
    out_url: str,
    options: Options,
    console: Console,
    *,
    workers: int | None = None,
    address: str | None = None,
) -> Conversion:
    """Plan a conversion and carry it out."""
    plan = plan_conversion(source_url, labels_url, options, console)
    return carry_out(plan, open_store(source_url), out_url, console, workers=workers, address=address)


def carry_out(
    plan: Plan, source: Store, out_url: str, console: Console, *, workers: int | None = None, address: str | None = None
) -> Conversion:
    """Write the plan's shards that are not there yet, then what completes the set.

    Args:
        plan: of what is to be written.
        source: where the archives lie.
        out_url: folder of the set.
        console: for progress and warnings.
        workers: cores of this machine to use; None for all.
        address: of a Ray cluster to use instead.

    Raises:
        UsageError: another process writes to ``out_url``, or it holds something else.
    """
    out = open_store(out_url)
    with out.hold(owner()):
        if claim(out, plan):
            return Conversion(decode_manifest(out.read_whole(MANIFEST_FILE)), [], len(plan.shards), {})
        out.sweep()
        records = load_records(out, plan)
        resumed = len(records)
        if resumed:
            console.print(f"continuing: {resumed:,} of {len(plan.shards):,} shards are done", highlight=False)
        failures: list[Failure] = []
        if resumed < len(plan.shards):
            failures = _run(plan, source, out, records, console, workers, address)
        seconds = _sum_seconds(list(records.values())[resumed:])
        if failures:
            return Conversion(None, failures, resumed, seconds)
        return Conversion(finish(out, plan, records), [], resumed, seconds)


def shard_tasks(plan: Plan, done: Mapping[tuple[str, int], object]) -> Iterator[ShardTask]:
    """The tasks of the plan's shards that are not ``done``, made one at a time."""
    for shard in plan.shards:
        if (shard.cell, shard.number) not in done:
            yield ShardTask(
                plan_digest=plan.digest,
                cell=shard.cell,
                number=shard.number,
                frames=plan.slice(shard),
                splits=plan.catalog.cell_splits[shard.cell],
                identity_is_global=plan.catalog.identity_is_global,
                options=plan.options,
            )


def _run(
    plan: Plan,
    source: Store,
    out: Store,
    records: dict[tuple[str, int], ShardRecord],
    console: Console,
    workers: int | None,
    address: str | None,
) -> list[Failure]:
    """Run what is left on Ray, adding to ``records``; returns what failed for good."""
    failures = []
    frames = {(shard.cell, shard.number): len(shard.rows) for shard in plan.shards}
    crops = rejected = size = 0
    done = sum(frames[shard] for shard in records)
    todo = shard_tasks(plan, dict(records))
    with (
        connect(workers, address) as cpus,
        ProgressLine(console, "convert", sum(frames.values()), "frames", done) as progress,
    ):
        for event in run_tasks(todo, source.url, out.url, cpus):
            if isinstance(event, ShardRecord):
                records[event.cell, event.number] = event
                crops += event.samples
                rejected += event.rejected_members
                size += event.bytes_read
                speed = byte_count(size / max(progress.seconds, 1e-9))
                progress.update(
                    frames[event.cell, event.number], f"{speed}/s read, {crops:,} crops, {rejected:,} rejected"
                )
            elif isinstance(event, Retry):
                progress.message(
                    f"shard {event.name}: attempt {event.attempt} failed, again in {event.delay:g} s: {event.error}"
                )
            elif isinstance(event, Failure):
                failures.append(event)
                progress.message(f"shard {event.name}: failed for good: {event.error}")
            else:
                progress.update()
    return failures


def _sum_seconds(records: list[ShardRecord]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for record in records:
        for stage, seconds in record.seconds.items():
            totals[stage] = totals.get(stage, 0.0) + seconds
    return totals
