"""Checks a whole set: its manifest, its rejects, its indexes and, in parallel, its shards."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from shards_spec.errors import SpecError
from shards_spec.layout import WORK_FOLDER
from shards_spec.manifest import MANIFEST_FILE, REJECTS_FILE, Manifest, ShardFile
from shards_spec.manifest_read import decode_manifest, manifest_bytes
from shards_spec.rejects import REJECTS_BYTES, Reject, decode_rejects, encode_rejects
from shards_spec.requirements import require_pillow
from shards_spec.storage import Store, file_sha256, reach_store
from shards_spec.variants import variant_of
from shards_spec.verify.accounts import clamped_faults, reject_faults, sample_faults
from shards_spec.verify.description import manifest_faults, shard_number
from shards_spec.verify.files import link_notes, strangers, tool_notes
from shards_spec.verify.index import SetRows, gather_index
from shards_spec.verify.processes import KILLED, Lost, run_in_processes
from shards_spec.verify.shard import Fault, SampleRules, ShardCheck, check_shard

SET_FILE_BYTES = 1 << 30
"""Size of the largest file that a variant adds to a set."""


@dataclass(slots=True)
class Verdict:
    """What a verification found."""

    manifest: Manifest
    faults: list[Fault] = field(default_factory=list)
    """The faults, with at most the first one of each shard."""
    notes: list[str] = field(default_factory=list)
    """What is not a fault, but worth knowing."""


def verify(url: str, workers: int | None = None, progress: Callable[[ShardFile | None], None] | None = None) -> Verdict:
    """Check a complete set, its shards in parallel.

    This checks every digest; that the manifest is consistent (names, order, counts, options, decisions and their
    evidence); the rejects against its accounts and against the samples; the structure of the tars; the types and bytes
    of the sidecars, and every field that follows from others or from the options; that every JPEG decodes to the size
    that its sidecar says; each cell's index, including its statistics, against its tars; and that no key or unit occurs
    twice.

    Args:
        url: Of the set.
        workers: Number of processes; None for one per core.
        progress: A function that is called with each shard that was checked.

    Raises:
        UsageError: There is no manifest, or no Pillow to decode images with.
        SpecError: The manifest cannot be read.
    """
    require_pillow("verify")
    store = reach_store(url, MANIFEST_FILE)
    data = manifest_bytes(store)
    manifest = decode_manifest(data, f"{store.url}/{MANIFEST_FILE}")
    verdict = Verdict(manifest)
    faults = verdict.faults
    faults += [Fault(MANIFEST_FILE, what) for what in manifest_faults(data, manifest)]
    if faults:  # everything that follows relies on the manifest's names and counts
        return verdict
    listed = [file for file in store.list() if not file.path.startswith(f"{WORK_FOLDER}/")]
    faults += strangers(listed, manifest)
    verdict.notes += [*link_notes(listed, manifest), *tool_notes(listed)]
    rejects = _check_files(store, manifest, faults)
    rows, sound = check_indexes(store, manifest, {file.path: file.size for file in listed}, faults)
    if rejects is not None and len(sound) == len(manifest.cells):
        faults += [Fault(REJECTS_FILE, what) for what in sample_faults(rejects, manifest, rows)]
        faults += [Fault(MANIFEST_FILE, what) for what in clamped_faults(manifest, rows)]
    faults += _check_shards(list(_shard_checks(url, manifest, sound)), workers, progress)
    faults.sort()
    return verdict


def _check_shards(
    checks: list[ShardCheck], workers: int | None, progress: Callable[[ShardFile | None], None] | None
) -> Iterator[Fault]:
    tell = progress or (lambda _: None)
    for check, fault in run_in_processes(check_shard, checks, workers, lambda: tell(None)):
        if isinstance(fault, Lost):
            yield Fault(check.shard.file, KILLED)
        elif fault is not None:
            yield fault
        tell(check.shard)


def _check_files(store: Store, manifest: Manifest, faults: list[Fault]) -> list[Reject] | None:
    """Check the files that are neither shards nor indexes; return the rejects if they can be read.

    Args:
        store: Where they lie.
        manifest: The manifest, which has been found to name the right files.
        faults: Added to.
    """
    for file, expected in manifest.files.items():
        try:
            size = store.size(file)
            digest = file_sha256(store, file) if size == expected.bytes else ""
        except FileNotFoundError:
            faults.append(Fault(file, "is missing"))
        except OSError as error:
            faults.append(Fault(file, f"cannot be read: {error}"))
        else:
            if size != expected.bytes:
                faults.append(Fault(file, f"is {size} bytes, but the manifest says {expected.bytes}"))
            elif digest != expected.sha256:
                faults.append(Fault(file, f"its SHA-256 is {digest}, but the manifest says {expected.sha256}"))
    if any(fault.file == REJECTS_FILE for fault in faults):
        return None
    try:
        data = store.read_whole(REJECTS_FILE, REJECTS_BYTES)
        rejects = decode_rejects(data)
    except (OSError, SpecError) as error:
        faults.append(Fault(REJECTS_FILE, f"cannot be read: {error}"))
        return None
    if encode_rejects(rejects) != data:
        faults.append(
            Fault(REJECTS_FILE, "is not in the spec's form (white space, order of its fields or of its lines)")
        )
    faults += [Fault(REJECTS_FILE, what) for what in reject_faults(rejects, manifest)]
    return rejects


def check_indexes(
    store: Store, manifest: Manifest, sizes: Mapping[str, int], faults: list[Fault]
) -> tuple[SetRows, set[str]]:
    """Check each cell's index as a whole; return the rows of the sound indexes and the names of their cells.

    Args:
        store: Where they lie.
        manifest: Of the set.
        sizes: The sizes of the files of the set, by path.
        faults: Added to.
    """
    variant = variant_of(manifest)
    try:
        files = {file: store.read_whole(file, SET_FILE_BYTES) for file in variant.set_files}
        rows = SetRows(store, variant, variant.read_set_files(files))
    except (OSError, SpecError) as error:
        named = ", ".join(variant.set_files)
        if not any(fault.file in variant.set_files for fault in faults):
            faults.append(Fault(named, f"cannot be read: {error}"))
        return SetRows(store, variant), set()
    sound = set()
    for name, cell in manifest.cells.items():
        try:
            if gather_index(store, cell, list(manifest.protocols), sizes, rows):
                sound.add(name)
        except SpecError as error:
            faults.append(Fault(cell.index.file, str(error)))
    twice = [f"key {key} stands in the set more than once" for key in rows.keys.repeated()]
    for cell_name, units in rows.units.items():
        where = f" of cell {cell_name}" if cell_name else ""
        twice += [f"{variant.unit} {name} stands in more than one shard{where}" for name in units.repeated()]
    faults += [Fault(MANIFEST_FILE, what) for what in twice]
    return rows, sound


def _shard_checks(url: str, manifest: Manifest, sound: set[str]) -> Iterator[ShardCheck]:
    """Yield the check to make for each shard.

    Args:
        url: Of the set.
        manifest: Of the set.
        sound: The cells whose index can be compared with the shards.
    """
    variant = variant_of(manifest)
    own = variant.rules(manifest)
    for name, cell in manifest.cells.items():
        rules = SampleRules(variant=variant, splits=manifest.cell_splits(name), own=own)
        for row_group, shard in enumerate(cell.shards):
            yield ShardCheck(
                url=url,
                shard=shard,
                number=shard_number(name, shard),
                rules=rules,
                index_file=cell.index.file,
                row_group=row_group if name in sound else -1,
                row_groups=len(cell.shards),
            )
