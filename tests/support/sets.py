"""Sets made in the test's own process, without Ray."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pipeline.options import CutOptions, Options
from pipeline.plan import Plan, make_plan
from pipeline.run.finish import finish
from pipeline.shards.convert import convert_shard
from pipeline.shards.tasks import shard_task
from pipeline.shards.versions import byte_bearing_versions
from pipeline.sources.base import Source
from pipeline.sources.city1m import CITY1M
from shards_spec.manifest import DIGEST_LINE_BYTES, Manifest, seal_manifest
from shards_spec.storage import LocalStore, Store
from shards_spec.variants.city1m import CITY1M as VARIANT
from shards_spec.variants.city1m.checks import City1MRules
from shards_spec.variants.cut import cut_rules
from shards_spec.verify.shard import SampleRules
from tests.support.options import city1m_options

SMALL_SHARDS = city1m_options(samples_per_shard=20)


def plan_source(source: Path, options: Options = SMALL_SHARDS) -> Plan:
    """The plan of a source of City1M-Full with its labels beside its archives."""
    return plan_of(CITY1M, source, options)


def plan_of(kind: Source, source: Path | Store, options: Options) -> Plan:
    """The plan of a source of any kind."""
    catalog = kind.survey(_store(source), options)
    return make_plan(catalog, options, byte_bearing_versions())


def make_set(source: Path, out: Path, options: Options = SMALL_SHARDS) -> Manifest:
    """Convert a source of City1M-Full, shard after shard."""
    return convert_source(CITY1M, source, out, options)


def convert_source(kind: Source, source: Path | Store, out: Path, options: Options) -> Manifest:
    """Convert a source of any kind, shard after shard."""
    plan = plan_of(kind, source, options)
    store = LocalStore(out)
    records = {}
    for shard in plan.shards:
        record = convert_shard(shard_task(plan, shard), _store(source), store)
        records[record.cell, record.number] = record
    return finish(store, plan, records)


def _store(source: Path | Store) -> Store:
    return LocalStore(source) if isinstance(source, Path) else source


def sample_rules(
    splits: dict[str, list[str]],
    cut: CutOptions = CutOptions(),  # noqa: B008 - it is frozen
    *,
    identity_is_global: bool = False,
) -> SampleRules:
    """What holds for the samples of a cell that were made with these options."""
    return SampleRules(
        variant=VARIANT, splits=splits, own=City1MRules(identity_is_global=identity_is_global, cut=cut_rules(cut))
    )


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of every file of a set but those of ``.work``, by path."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.relative_to(out).parts[0] != ".work"
    }


def edit_manifest(out: Path, change: Callable[[Any], object]) -> None:
    """Change a set's manifest, in the format's own form; its digest is right for what it then says."""
    manifest = json.loads((out / "dataset.json").read_bytes())
    del manifest["sha256"]
    change(manifest)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (out / "dataset.json").write_bytes(seal_manifest(text.removesuffix(b"\n}") + b",\n"))


def replaced_in_manifest(data: bytes, old: bytes, new: bytes) -> bytes:
    """A manifest's bytes with one thing in them changed, and its digest right for that."""
    text = data[:-DIGEST_LINE_BYTES]
    assert old in text
    return seal_manifest(text.replace(old, new, 1))
