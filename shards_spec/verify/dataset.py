"""Checks a whole set: its manifest, its rejects, its indexes and, in parallel, its shards."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from shards_spec.errors import SpecError
from shards_spec.layout import WORK_FOLDER
from shards_spec.manifest import (
    MANIFEST_FILE,
    REJECTS_FILE,
    Manifest,
    ShardFile,
    decode_manifest,
    manifest_bytes,
)
from shards_spec.options import read_options
from shards_spec.rejects import REJECTS_BYTES, Reject, decode_rejects, encode_rejects
from shards_spec.requirements import require_pillow
from shards_spec.storage import Store, file_sha256, reach_store
from shards_spec.verify.accounts import clamped_faults, reject_faults, sample_faults
from shards_spec.verify.description import cell_splits, manifest_faults, shard_number
from shards_spec.verify.files import link_notes, strangers, tool_notes
from shards_spec.verify.index import SetRows, gather_index, repeated
from shards_spec.verify.processes import KILLED, Lost, run_in_processes
from shards_spec.verify.sample import SampleRules
from shards_spec.verify.shard import Fault, ShardCheck, check_shard


@dataclass(slots=True)
class Verdict:
    """What a verification found."""

    manifest: Manifest
    faults: list[Fault] = field(default_factory=list)
    """At most one a shard: its first."""
    notes: list[str] = field(default_factory=list)
    """What is no fault, but worth knowing."""


def verify(url: str, workers: int | None = None, progress: Callable[[ShardFile | None], None] | None = None) -> Verdict:
    """Check a complete set, its shards in parallel.

    Checked are: every digest; what the manifest says against itself (names, order, counts, options, decisions and their
    evidence); the rejects against its counts and against the samples; the tars' structure; the sidecars' types and
    bytes, and every field that follows from the frame's name, the box and the options; that every JPEG decodes, to the
    size that its sidecar says; each cell's index, its statistics included, against its tars; and that no key or frame
    comes back.

    Args:
        url: Of the set.
        workers: Processes; None for one a core.
        progress: Called with each shard that was checked.

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
    if faults:  # all that follows takes the manifest's word for names and counts
        return verdict
    listed = [file for file in store.list() if not file.path.startswith(f"{WORK_FOLDER}/")]
    faults += strangers(listed, manifest)
    verdict.notes += [*link_notes(listed, manifest), *tool_notes(listed)]
    rejects = _check_files(store, manifest, faults)
    rows, sound = _check_indexes(store, manifest, {file.path: file.size for file in listed}, faults)
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
    """Check the files that are neither shards nor indexes; returns the rejects where they can be read.

    Args:
        store: Where they lie.
        manifest: Names them, and the right ones, by now.
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


def _check_indexes(
    store: Store, manifest: Manifest, sizes: Mapping[str, int], faults: list[Fault]
) -> tuple[SetRows, set[str]]:
    """Check each cell's index as a whole; returns the rows of the sound ones, and which cells' these are.

    Args:
        store: Where they lie.
        manifest: Of the set.
        sizes: Of the files that are there.
        faults: Added to.
    """
    rows = SetRows()
    sound = set()
    for name, cell in manifest.cells.items():
        try:
            if gather_index(store, cell, list(manifest.protocols), sizes, rows):
                sound.add(name)
        except SpecError as error:
            faults.append(Fault(cell.index.file, str(error)))
    faults += [Fault(MANIFEST_FILE, f"key {key} stands in the set more than once") for key in repeated(rows.keys)]
    faults += [Fault(MANIFEST_FILE, f"frame {frame} stands in more than one shard") for frame in repeated(rows.frames)]
    return rows, sound


def _shard_checks(url: str, manifest: Manifest, sound: set[str]) -> Iterator[ShardCheck]:
    """What is to be checked of each shard.

    Args:
        url: Of the set.
        manifest: Of the set.
        sound: Cells whose index can be compared with the shards.
    """
    options = read_options(manifest.options)
    for name, cell in manifest.cells.items():
        rules = SampleRules(
            splits=cell_splits(manifest, name),
            identity_is_global=manifest.decisions["identity_scope"].choice == "global",
            margin=options.margin,
            size=options.size,
            may_be_lossless=options.crop == "lossless" and options.size is None,
        )
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
