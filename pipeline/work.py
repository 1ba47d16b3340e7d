"""``.work``: what a conversion leaves behind for the run that continues it."""

import contextlib
import os
import platform
from collections.abc import Container, Iterator, Mapping
from typing import Any

import msgspec

from pipeline.plan import Plan
from pipeline.shard import RECORDS_FOLDER, ShardRecord, index_part_file, record_file
from shards_spec.errors import UsageError
from shards_spec.layout import WORK_FOLDER, shard_file
from shards_spec.manifest import MANIFEST_FILE, decode_manifest
from shards_spec.storage import Store, read_ahead

PLAN_FILE = f"{WORK_FOLDER}/plan.json"


class PlanIdentity(msgspec.Struct, frozen=True):
    """What tells one conversion from another: kept in ``.work`` and, in other words, in the manifest."""

    plan_digest: str
    options: dict[str, Any]
    versions: dict[str, str]
    decisions: dict[str, str]
    source: dict[str, str]
    """File of the source to its digest."""
    shards: int = 0
    frames: int = 0
    samples: int = 0
    """As planned. For whoever wants to know how far a run is: the digest covers them."""

    @classmethod
    def of(cls, plan: Plan) -> "PlanIdentity":
        """The identity of a plan."""
        catalog = plan.catalog
        return cls(
            plan.digest,
            plan.options.output_bearing(),
            dict(plan.versions),
            {name: decision.choice for name, decision in catalog.decisions.items()},
            {file.file: file.sha256 for file in [*catalog.archives, *catalog.labels]},
            shards=len(plan.shards),
            frames=sum(len(shard.rows) for shard in plan.shards),
            samples=sum(shard.samples for shard in plan.shards),
        )


def owner() -> str:
    """Who holds an OUT, for the one who finds it held."""
    return f"process {os.getpid()} on {platform.node()}"


def claim(out: Store, plan: Plan) -> bool:
    """Make ``out`` the place of this plan, or find that it is; returns whether the set there is complete already.

    Raises:
        UsageError: ``out`` holds another set, or files that are not of a set.
    """
    wanted = PlanIdentity.of(plan)
    complete, found = find_set(out)
    if found is None:
        _refuse_strays(out)
        out.put(PLAN_FILE, msgspec.json.encode(wanted))
    elif found.plan_digest != wanted.plan_digest:
        raise UsageError(
            f"{out.url} holds a set from another conversion: {'; '.join(_differences(found, wanted))}. "
            "Choose another OUT, or delete that one"
        )
    return complete


def refuse_foreign(out: Store) -> None:
    """Return if ``out`` holds a set, part of one, or nothing.

    Raises:
        UsageError: it holds files that are not of a set.
    """
    if find_set(out)[1] is None:
        _refuse_strays(out)


def _refuse_strays(out: Store) -> None:
    stray = next((file.path for file in out.list() if not file.path.startswith(f"{WORK_FOLDER}/")), None)
    if stray is not None:
        raise UsageError(f"{out.url} is not empty and holds no set (first file: {stray}): choose an empty folder")


def load_records(out: Store, plan: Plan) -> dict[tuple[str, int], ShardRecord]:
    """The records of finished shards by (cell, number): those of this plan whose tar and index rows are there."""
    planned = {record_file(shard.cell, shard.number) for shard in plan.shards}
    return {(record.cell, record.number): record for record in read_records(out, plan.digest, planned)}


def read_records(out: Store, plan_digest: str, files: Container[str] | None = None) -> Iterator[ShardRecord]:
    """The records of a plan's finished shards, by path: those whose tar is there in full, and its rows of the index.

    Args:
        out: where they lie.
        plan_digest: of the plan.
        files: paths of the records to look at; None for all.
    """
    sizes = {file.path: file.size for file in out.list()}  # one listing, where thousands of shards are asked for

    def read(file: str) -> ShardRecord | None:
        try:
            record = msgspec.json.decode(out.read_whole(file), type=ShardRecord)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        whole = record.samples == 0 or (
            sizes.get(shard_file(record.cell, record.number)) == record.bytes
            and index_part_file(record.cell, record.number) in sizes
        )
        return record if whole and record.plan_digest == plan_digest else None

    found = (file for file in sizes if file.startswith(f"{RECORDS_FOLDER}/") and (files is None or file in files))
    with contextlib.closing(read_ahead(read, found, out.reads_at_once)) as records:
        yield from filter(None, records)


def find_set(out: Store) -> tuple[bool, PlanIdentity | None]:
    """Whether the set in ``out`` is complete, and which plan it is of, if any."""
    try:
        manifest = decode_manifest(out.read_whole(MANIFEST_FILE), f"{out.url}/{MANIFEST_FILE}")
    except NotADirectoryError as error:
        raise UsageError(f"{out.url} is not a folder") from error
    except FileNotFoundError:
        try:
            return False, msgspec.json.decode(out.read_whole(PLAN_FILE), type=PlanIdentity)
        except FileNotFoundError:
            return False, None
        except msgspec.DecodeError as error:
            raise UsageError(f"{out.url}/{PLAN_FILE} is damaged ({error}): delete {out.url}") from error
    return True, PlanIdentity(
        manifest.plan_digest,
        manifest.options,
        manifest.versions,
        {name: decision.choice for name, decision in manifest.decisions.items()},
        {file.file: file.sha256 for file in [*manifest.source.archives, *manifest.source.labels]},
    )


def _differences(found: PlanIdentity, wanted: PlanIdentity) -> list[str]:
    """What differs, as a person would say it."""
    differences = []
    for what in ("options", "versions", "decisions", "source"):
        there: Mapping[str, Any] = getattr(found, what)
        here: Mapping[str, Any] = getattr(wanted, what)
        for name in sorted({*there, *here}):
            if there.get(name) != here.get(name):
                if what == "source":
                    change = "is new" if name not in there else "is gone" if name not in here else "has changed"
                    differences.append(f"source file {name} {change}")
                else:
                    differences.append(f"{name} was {there.get(name)}, now {here.get(name)}")
    return differences or ["the frames or the labels differ"]
