"""The driver: from a source to a complete set, or to a state from which the next run continues."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.archives import Tasks
from pipeline.cluster.engine import run_shards
from pipeline.cluster.nodes import check_nodes
from pipeline.cluster.probe import probe_source
from pipeline.cluster.scheduler import Event, Failure
from pipeline.cluster.session import RaySession
from pipeline.cluster.survey import RayTasks
from pipeline.options import Options
from pipeline.plan import Plan, make_plan
from pipeline.run.events import Message, Planned, ShardsBegun, Tell
from pipeline.run.finish import finish
from pipeline.run.resume import claim, load_records, owner
from pipeline.run.survey_cache import local_tasks
from pipeline.shards.record import ShardRecord
from pipeline.shards.tasks import shards_to_make
from pipeline.shards.versions import byte_bearing_versions
from pipeline.sources.base import Source
from shards_spec.errors import UsageError
from shards_spec.manifest import Manifest
from shards_spec.manifest_read import read_manifest
from shards_spec.rejects import check_rejects
from shards_spec.storage import Store, explain_error, open_store
from shards_spec.variants import variant_named

_TOO_MANY = "rejects so far: the archives seem to be damaged: get them again, and convert into an empty folder"


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a conversion ended."""

    manifest: Manifest | None
    """None if shards failed for good, so that the set is not complete."""
    failures: list[Failure]
    resumed_shards: int
    """Number of shards that an earlier run had finished."""
    records: list[ShardRecord]
    """Records of the shards that this run made."""
    gaps: list[str]
    """Sentences about what the source seems to lack."""


def plan_conversion(source: Source, source_url: str, options: Options, tell: Tell, tasks: Tasks | None = None) -> Plan:
    """Read what a source holds and plan its conversion.

    Args:
        source: The kind of the source.
        source_url: Folder of the source.
        options: Options of the conversion.
        tell: A function that is called with messages about the progress.
        tasks: What does the parts of a long survey; by default, processes of this machine, and their results are kept
            in the user's cache.

    Raises:
        UsageError: The source cannot be read, or it or the options make no sense.
    """
    for url in (source_url, *options.places()):
        probe_source(url)

    def show(what: str) -> None:
        tell(Message(f"plan: {what}"))

    try:
        store = open_store(source_url)
        catalog = source.survey(store, options, show, tasks or local_tasks(store))
    except PermissionError as error:
        where = error.filename or source_url
        raise UsageError(f"{where} cannot be read: {explain_error(where, error)}") from error
    return make_plan(catalog, options, byte_bearing_versions())


def plan_and_carry_out(
    source: Source, source_url: str, out_url: str, options: Options, tell: Tell, session: RaySession
) -> Conversion:
    """Plan a conversion between places that have been probed, and carry it out. See ``convert_dataset``."""
    if not session.is_local:
        session.wait()
        check_nodes(source_url, out_url)
    tell(Message(f"pixels go through {byte_bearing_versions()['pillow']}"))
    tasks = RayTasks(session, open_store(source_url), open_store(out_url))
    plan = plan_conversion(source, source_url, options, tell, tasks)
    tell(Planned(plan))
    return carry_out(plan, open_store(source_url), out_url, tell, session)


def carry_out(plan: Plan, source: Store, out_url: str, tell: Tell, session: RaySession) -> Conversion:
    """Write the plan's missing shards, and then the files that complete the set.

    Args:
        plan: The plan to carry out.
        source: The store with the archives.
        out_url: Folder of the set.
        tell: A function that is called with each event of the run.
        session: The Ray session to use. It is ended as soon as all shards are made.

    Raises:
        UsageError: Another process is writing to ``out_url``, or it holds something else, or more samples are lost than
            a set can name.
    """
    out = open_store(out_url)
    with out.hold(owner()):
        if claim(out, plan):
            tell(Message("nothing to do: this set is complete by its manifest; reid-shards verify checks its files"))
            return Conversion(read_manifest(out), [], len(plan.shards), [], plan.catalog.gaps)
        out.sweep()
        records = load_records(out, plan)
        resumed = len(records)
        if resumed:
            tell(Message(f"continuing: {resumed:,} of {len(plan.shards):,} shards are done"))
        rejects = len(plan.catalog.rejects) + sum(len(record.rejects) for record in records.values())
        check_rejects(rejects, _TOO_MANY)
        failures: list[Failure] = []
        if resumed < len(plan.shards):
            failures = _run(plan, source, out, records, rejects, tell, session)
        made = list(records.values())[resumed:]
        if failures:
            return Conversion(None, failures, resumed, made, plan.catalog.gaps)
        out.sweep()  # removes what killed workers left, and second copies that were not needed
        return Conversion(finish(out, plan, records), [], resumed, made, plan.catalog.gaps)


def follow(
    events: Iterable[Event], records: dict[tuple[str, int], ShardRecord], tell: Tell, rejects: int = 0
) -> list[Failure]:
    """Collect the records of shards as they are made, and pass every event on; return what failed for good.

    Args:
        events: The events that tell what becomes of each shard.
        records: Records by (cell, number), to which this adds.
        tell: A function that is called with each event.
        rejects: Number of rejects of the plan, and of the shards that are done.

    Raises:
        UsageError: More samples are lost than a set can name.
    """
    failures = []
    for event in events:
        if isinstance(event, ShardRecord):
            records[event.cell, event.number] = event
            rejects += len(event.rejects)
            check_rejects(rejects, _TOO_MANY)
        elif isinstance(event, Failure):
            failures.append(event)
        tell(event)
    return failures


def _run(
    plan: Plan,
    source: Store,
    out: Store,
    records: dict[tuple[str, int], ShardRecord],
    rejects: int,
    tell: Tell,
    session: RaySession,
) -> list[Failure]:
    """Make the remaining shards on Ray, and add to ``records``; return what failed for good."""
    units = {(shard.cell, shard.number): len(shard.rows) for shard in plan.shards}
    todo = shards_to_make(plan, set(records))
    if not session.is_ready:
        tell(Message(f"{session} ..."))
    session.wait()
    # Ray ends here: before OUT is released if there was a fault, and otherwise while the set is being finished.
    with session:
        unit = variant_named(plan.catalog.variant).unit
        tell(ShardsBegun(sum(units.values()), sum(units[shard] for shard in records), unit))
        events = run_shards(session, plan, todo, source.url, out.url)
        return follow(events, records, tell, rejects)
