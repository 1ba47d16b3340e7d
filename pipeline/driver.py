"""The driver: from a source to a complete set, or to where the next run goes on."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console

from pipeline.cluster import run_shards
from pipeline.finish import finish
from pipeline.log import log_event
from pipeline.nodes import check_nodes
from pipeline.options import Options
from pipeline.plan import Plan, make_plan
from pipeline.pool import Event, Failure
from pipeline.probe import probe_source
from pipeline.progress import ProgressLine, byte_count
from pipeline.resume import claim, load_records, owner
from pipeline.session import RaySession
from pipeline.shown import shown
from pipeline.sources.city1m import build_catalog
from pipeline.tables import print_findings
from pipeline.tasks import shards_to_make
from pipeline.versions import byte_bearing_versions
from pipeline.work import ShardRecord
from shards_spec.errors import UsageError
from shards_spec.manifest import Manifest, read_manifest
from shards_spec.storage import Store, explain_error, open_store


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a conversion ended."""

    manifest: Manifest | None
    """None where shards failed for good: the set is not complete."""
    failures: list[Failure]
    resumed_shards: int
    """Shards that an earlier run had finished."""
    records: list[ShardRecord]
    """Of the shards that this run made."""
    gaps: list[str]
    """What the source seems to lack."""


def plan_conversion(source_url: str, labels_url: str | None, options: Options, console: Console) -> Plan:
    """Read what a source holds and plan its conversion.

    Args:
        source_url: folder of the archives.
        labels_url: folder of the label files; None: they lie beside the archives.
        options: of the conversion.
        console: for progress.

    Raises:
        UsageError: the source cannot be read, or it or the options make no sense.
    """
    probe_source(source_url)
    if labels_url is not None:
        probe_source(labels_url)
    source = open_store(source_url)
    labels = open_store(labels_url) if labels_url is not None else source

    def show(what: str) -> None:
        console.print(f"plan: {shown(what)}")

    try:
        catalog = build_catalog(source, labels, options, show)
    except PermissionError as error:
        where = error.filename or source_url
        raise UsageError(f"{where} cannot be read: {explain_error(where, error)}") from error
    return make_plan(catalog, options, byte_bearing_versions())


def plan_and_carry_out(
    source_url: str, labels_url: str | None, out_url: str, options: Options, console: Console, session: RaySession
) -> Conversion:
    """Plan a conversion of places that have been probed, and carry it out. See ``convert_dataset``."""
    if not session.is_local:
        session.wait()
        check_nodes(source_url, out_url)
    console.print(f"pixels go through {byte_bearing_versions()['pillow']}")
    plan = plan_conversion(source_url, labels_url, options, console)
    print_findings(plan, console)
    return carry_out(plan, open_store(source_url), out_url, console, session)


def carry_out(plan: Plan, source: Store, out_url: str, console: Console, session: RaySession) -> Conversion:
    """Write the plan's shards that are not there yet, then what completes the set.

    Args:
        plan: of what is to be written.
        source: where the archives lie.
        out_url: folder of the set.
        console: for progress and warnings.
        session: of the Ray to use. It is ended as soon as the shards are there.

    Raises:
        UsageError: another process writes to ``out_url``, or it holds something else.
    """
    out = open_store(out_url)
    with out.hold(owner()):
        if claim(out, plan):
            console.print("nothing to do: this set is complete by its manifest; reid-shards verify checks its files")
            return Conversion(read_manifest(out), [], len(plan.shards), [], plan.catalog.gaps)
        out.sweep()
        records = load_records(out, plan)
        resumed = len(records)
        if resumed:
            console.print(f"continuing: {resumed:,} of {len(plan.shards):,} shards are done", highlight=False)
        failures: list[Failure] = []
        if resumed < len(plan.shards):
            failures = _run(plan, source, out, records, console, session)
        made = list(records.values())[resumed:]
        if failures:
            return Conversion(None, failures, resumed, made, plan.catalog.gaps)
        out.sweep()  # what killed workers left, and second copies that were not needed
        return Conversion(finish(out, plan, records), [], resumed, made, plan.catalog.gaps)


def follow(
    events: Iterable[Event], plan: Plan, records: dict[tuple[str, int], ShardRecord], progress: ProgressLine
) -> list[Failure]:
    """Keep the records of shards as they are made, show how far it is; returns what failed for good.

    Where many shards fail the same way, the first of them is shown.

    Args:
        events: what becomes of each shard.
        plan: that they are of.
        records: by (cell, number); added to.
        progress: in frames.
    """
    failures = []
    frames = {(shard.cell, shard.number): len(shard.rows) for shard in plan.shards}
    crops = rejected = size = 0
    shown: set[tuple[type, str]] = set()
    for event in events:
        log_event(event)
        if isinstance(event, ShardRecord):
            records[event.cell, event.number] = event
            crops += event.samples
            rejected += event.rejected_members
            size += event.bytes_read
            speed = byte_count(size / max(progress.seconds, 1e-9))
            progress.update(frames[event.cell, event.number], f"{speed}/s read, {crops:,} crops, {rejected:,} rejected")
            continue
        progress.update()
        if event is None:
            continue
        if isinstance(event, Failure):
            failures.append(event)
            what = "failed for good"
        else:
            what = f"attempt {event.attempt} failed, again in {event.delay:g} s"
        if (type(event), event.error) not in shown:
            shown.add((type(event), event.error))
            progress.message(f"shard {event.name}: {what}: {event.error}")
    return failures


def _run(
    plan: Plan,
    source: Store,
    out: Store,
    records: dict[tuple[str, int], ShardRecord],
    console: Console,
    session: RaySession,
) -> list[Failure]:
    """Run what is left on Ray, adding to ``records``; returns what failed for good."""
    frames = {(shard.cell, shard.number): len(shard.rows) for shard in plan.shards}
    done = sum(frames[shard] for shard in records)
    todo = shards_to_make(plan, set(records))
    if not session.is_ready:
        console.print(shown(f"{session} ..."))
    session.wait()
    # Ray ends here: after a fault before OUT is let go, otherwise while the set is finished.
    with session, ProgressLine(console, "convert", sum(frames.values()), "frames", done) as progress:
        return follow(run_shards(session, plan, todo, source.url, out.url), plan, records, progress)
