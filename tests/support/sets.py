"""Sets made in the test's own process, without Ray."""

import hashlib
from pathlib import Path

from pipeline.finish import finish
from pipeline.options import Options
from pipeline.plan import Plan, make_plan
from pipeline.shard import convert_shard
from pipeline.sources.city1m import build_catalog
from pipeline.tasks import shard_task
from pipeline.versions import byte_bearing_versions
from shards_spec.manifest import Manifest
from shards_spec.storage import LocalStore

SMALL_SHARDS = Options(samples_per_shard=20)


def plan_source(source: Path, options: Options = SMALL_SHARDS) -> Plan:
    """The plan of a source with its labels beside its archives."""
    store = LocalStore(source)
    return make_plan(build_catalog(store, store, options), options, byte_bearing_versions())


def make_set(source: Path, out: Path, options: Options = SMALL_SHARDS) -> Manifest:
    """Convert a source, shard after shard."""
    plan = plan_source(source, options)
    store = LocalStore(out)
    records = {}
    for shard in plan.shards:
        record = convert_shard(shard_task(plan, shard), LocalStore(source), store)
        records[record.cell, record.number] = record
    return finish(store, plan, records)


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of every file of a set but those of ``.work``, by path."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.relative_to(out).parts[0] != ".work"
    }
