"""Comparison of a whole set with a plan of its source: accounts, keys, and every sample with what it was made from."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow.compute as pc

from pipeline.compare.shard import ShardComparison, compare_shard
from pipeline.plan import Plan
from pipeline.shards.tasks import cell_recipe
from pipeline.shards.versions import byte_bearing_versions
from pipeline.sources.catalog import Catalog
from pipeline.sources.converter import Converter
from shards_spec.layout import shard_file
from shards_spec.manifest import MANIFEST_FILE, REJECTS_FILE, Account, Manifest, SourceFile
from shards_spec.rejects import REJECTS_BYTES, Reject, decode_rejects
from shards_spec.storage import open_store
from shards_spec.variants import variant_named
from shards_spec.verify import Fault
from shards_spec.verify.processes import KILLED, Lost, run_in_processes

_NONE = Account(0, 0, 0)


def compare_set(
    out_url: str,
    manifest: Manifest,
    plan: Plan,
    source_url: str,
    workers: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Fault]:
    """Compare a set that ``verify`` has found sound with what its source gives.

    Args:
        out_url: URL of the set.
        manifest: The manifest of the set.
        plan: The plan of the source, from ``survey_again``.
        source_url: URL of the source.
        workers: Number of processes; None for one per core.
        progress: A function that is called with the number of samples that were compared since the last call.

    Returns:
        What differs, with at most one fault for each shard. If the source's files are not those that the set was made
        from, nothing else is compared.
    """
    faults = [Fault(MANIFEST_FILE, what) for what in _source_faults(manifest, plan.catalog)]
    if faults:
        return faults
    faults += [Fault(MANIFEST_FILE, what) for what in _account_faults(manifest, plan)]
    rejects = decode_rejects(open_store(out_url).read_whole(REJECTS_FILE, REJECTS_BYTES))
    later = Counter(rejects)
    later.subtract(plan.catalog.rejects)
    faults += [
        Fault(REJECTS_FILE, f"lacks {reject.where}: {reject.reason}: {reject.detail}")
        for reject, count in later.items()
        if count < 0
    ]
    by_row: dict[str | None, list[Reject]] = {}
    for reject in later.elements():
        by_row.setdefault(reject.name, []).append(reject)
    tasks = _tasks(out_url, manifest, plan, source_url, by_row)
    for task, fault in run_in_processes(compare_shard, tasks, workers, lambda: progress(0)):
        if isinstance(fault, Lost):
            faults.append(Fault(task.file, KILLED))
        elif fault is not None:
            faults.append(fault)
        progress(_samples(task))
    faults += [
        Fault(REJECTS_FILE, f"{reject.where}: {reject.reason}: the source gives no such reject")
        for left in by_row.values()
        for reject in left
    ]
    return sorted(faults)


def _source_faults(manifest: Manifest, catalog: Catalog) -> Iterator[str]:
    for kind, said, found in (
        ("archive", manifest.source.archives, catalog.archives),
        ("label file", manifest.source.labels, catalog.labels),
    ):
        there, here = _by_file(said), _by_file(found)
        for file in sorted({*there, *here}):
            if file not in here:
                yield f"{kind} {file}, which the set was made from, is not in the source"
            elif file not in there:
                yield f"{kind} {file} is in the source, but the set was not made from it"
            elif there[file] != here[file]:
                yield f"{kind} {file} is not what the set was made from: it has changed since"


def _by_file(files: list[SourceFile]) -> dict[str, SourceFile]:
    return {file.file: file for file in files}


def _account_faults(manifest: Manifest, plan: Plan) -> Iterator[str]:
    """Yield what the manifest says about the whole set that the source contradicts."""
    catalog, totals = plan.catalog, manifest.totals
    if manifest.source.dataset != catalog.dataset:
        yield f"says dataset {manifest.source.dataset!r}, but the source is {catalog.dataset!r}"
    for name in sorted({*manifest.decisions, *catalog.decisions}):
        if manifest.decisions.get(name) != catalog.decisions.get(name):
            yield f"its decision {name} is not the one that the source leads to, or rests on other evidence"
    variant = variant_named(manifest.variant)
    converted = {variant.samples_account, variant.units_account}  # the conversion itself may reject some more of these
    for name in sorted({*totals.accounts, *catalog.accounts}):
        said, found = totals.accounts.get(name, _NONE), catalog.accounts.get(name, _NONE)
        if said.total != found.total:
            yield f"account {name}: says {said.total}, but the source has {found.total}"
        elif said.rejected < found.rejected or (name not in converted and said.rejected != found.rejected):
            yield f"account {name}: says {said.rejected} rejected, but the source has {found.rejected}"
    for note, noted in catalog.notes.items():
        said_count = manifest.note_count(note)
        if said_count < noted.count:
            yield f"counts {said_count} of note {note}, but the source gives {noted.count}"
        elif said_count == noted.count and manifest.notes[note].examples != noted.examples:
            yield f"its examples of note {note} are not those that the source gives"
    yield from _layout_faults(manifest, plan)


def _layout_faults(manifest: Manifest, plan: Plan) -> Iterator[str]:
    """Yield what the manifest says about protocols, cells and shards that the plan of the source contradicts."""
    protocols = {
        protocol: {split: [name for name in names if name in manifest.cells] for split, names in splits.items()}
        for protocol, splits in plan.catalog.protocols.items()
    }
    if manifest.protocols != protocols:
        yield "its protocols are not those of the source"
    planned = {shard_file(shard.cell, shard.number) for shard in plan.shards}
    for file in sorted(_shards(manifest) - planned):
        yield f"has shard {file}, which the source does not give"
    if manifest.plan_digest != plan.digest:
        yield (
            f"its plan_digest is {manifest.plan_digest}, but planning the source again with the set's options gives "
            f"{plan.digest}"
        )


def _shards(manifest: Manifest) -> set[str]:
    return {shard.file for cell in manifest.cells.values() for shard in cell.shards}


def _tasks(
    out_url: str, manifest: Manifest, plan: Plan, source_url: str, rejects: dict[str | None, list[Reject]]
) -> Iterator[ShardComparison]:
    """Yield a task for each planned shard; move the rejects of its rows from ``rejects`` into the task."""
    written = _shards(manifest)
    converter = plan.catalog.source.load()
    variant = variant_named(manifest.variant)
    is_exact = manifest.versions == byte_bearing_versions()
    for shard in plan.shards:
        rows = plan.slice(shard)
        # Most sets have few rejects, and making objects of all rows takes time.
        lost = [reject for row in converter.rows(rows) for reject in _take(rejects, converter, row)] if rejects else []
        file = shard_file(shard.cell, shard.number)
        yield ShardComparison(
            file=file,
            is_written=file in written,
            rows=rows,
            rejects=lost,
            source=plan.catalog.source,
            variant=variant,
            recipe=cell_recipe(plan, shard.cell),
            is_exact=is_exact,
            out_url=out_url,
            source_url=source_url,
        )


def _take(rejects: dict[str | None, list[Reject]], converter: Converter[Any], row: Any) -> list[Reject]:
    """Remove the rejects of a row and its samples from ``rejects``, and return them."""
    names = dict.fromkeys([row.name, *(name for name, _ in converter.lost_as(row).values())])
    return [reject for name in names for reject in rejects.pop(name, ())]


def _samples(task: ShardComparison) -> int:
    total: int = pc.sum(task.rows["samples"]).as_py()
    return total
