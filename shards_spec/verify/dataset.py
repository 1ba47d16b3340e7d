"""Checks a whole set: its manifest, its rejects, its indexes and, in parallel, its shards."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from shards_spec.errors import SpecError
from shards_spec.index import index_schema
from shards_spec.index_read import IndexReader
from shards_spec.layout import REPORT_FILE, SET_FILES, WORK_FOLDER, index_file, shard_file
from shards_spec.manifest import (
    MANIFEST_FILE,
    REJECTS_FILE,
    Cell,
    Manifest,
    ShardFile,
    encode_manifest,
    read_manifest,
)
from shards_spec.rejects import decode_rejects, encode_rejects
from shards_spec.requirements import require_pillow
from shards_spec.storage import FileInfo, Kind, Store, file_sha256, open_buffered, reach_store
from shards_spec.verify.processes import KILLED, Lost, run_in_processes
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

    Checked are: the digests; the tars' structure; the sidecars' types, bytes and agreement with key, cell and image;
    that every JPEG decodes, to the size that its sidecar says; each cell's index against its tars; that no key comes
    back; and all counts.

    Args:
        url: of the set.
        workers: processes; None for one a core.
        progress: called with each shard that was checked.

    Raises:
        UsageError: there is no manifest, or no Pillow to decode images with.
        SpecError: the manifest cannot be read.
    """
    require_pillow("verify")
    store = reach_store(url, MANIFEST_FILE)
    manifest = read_manifest(store)
    verdict = Verdict(manifest)
    faults = verdict.faults
    faults += [Fault(MANIFEST_FILE, what) for what in _manifest_faults(store, manifest)]
    if faults:  # all that follows takes the manifest's word for names and counts
        return verdict
    faults += _file_faults(store, manifest)
    listed = [file for file in store.list() if not file.path.startswith(f"{WORK_FOLDER}/")]
    faults += _strangers(listed, manifest)
    verdict.notes += _link_notes(listed, manifest)
    keys: list[pa.ChunkedArray] = []
    checks: list[ShardCheck] = []
    sizes = {file.path: file.size for file in listed}
    for name, cell in manifest.cells.items():
        fault = _index_fault(store, manifest, cell, sizes, keys)
        if fault is not None:
            faults.append(Fault(cell.index.file, fault))
        for row_group, shard in enumerate(cell.shards):
            checks.append(
                ShardCheck(
                    url=url,
                    shard=shard,
                    number=_shard_number(name, shard),
                    splits=_cell_splits(manifest, name),
                    index_file=cell.index.file,
                    row_group=row_group if fault is None else -1,
                    row_groups=len(cell.shards),
                )
            )
    faults += [Fault(MANIFEST_FILE, f"key {key} stands in the set more than once") for key in _repeated(keys)]
    faults += _check_shards(checks, workers, progress)
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


def _cell_splits(manifest: Manifest, cell: str) -> dict[str, list[str]]:
    return {
        protocol: sorted(split for split, cells in splits.items() if cell in cells)
        for protocol, splits in sorted(manifest.protocols.items())
    }


def _manifest_faults(store: Store, manifest: Manifest) -> Iterator[str]:
    if encode_manifest(manifest, manifest.files) != store.read_whole(MANIFEST_FILE):
        yield "is not in the spec's form (white space, order of its fields, or numbers)"
    yield from _name_faults(manifest)
    yield from _count_faults(manifest)


def _name_faults(manifest: Manifest) -> Iterator[str]:
    """Cells and files whose names are not what the protocols make them."""
    if set(manifest.files) != SET_FILES:
        yield f"its files are {', '.join(manifest.files) or 'none'}, not {', '.join(sorted(SET_FILES))}"
    named = {cell for splits in manifest.protocols.values() for cells in splits.values() for cell in cells}
    for name in sorted(named ^ set(manifest.cells)):
        yield f"cell {name} is not both in its protocols and in its cells"
    for name, cell in manifest.cells.items():
        splits = _cell_splits(manifest, name)
        spelled = "_".join(f"{protocol}-{'-'.join(names) or 'none'}" for protocol, names in splits.items())
        if spelled != name:
            yield f"cell {name} stands for {spelled} in its protocols"
        if cell.index.file != index_file(name):
            yield f"cell {name}: its index is {cell.index.file}, not {index_file(name)}"
        numbers = [_shard_number(name, shard) for shard in cell.shards]
        if any(number < 0 for number in numbers) or any(a >= b for a, b in pairwise(numbers)):
            yield f"cell {name}: its shards are not named {shard_file(name, 0)} and on, in this order"


def _shard_number(cell: str, shard: ShardFile) -> int:
    """The number in a shard's name; -1 where it is no name of a shard of the cell."""
    match = re.search(r"-(\d{6,9})\.tar$", shard.file)
    return int(match[1]) if match and shard.file == shard_file(cell, int(match[1])) else -1


def _count_faults(manifest: Manifest) -> Iterator[str]:
    try:
        manifest.totals.check()
    except SpecError as error:
        yield str(error)
    cells = manifest.cells
    shards = [shard for cell in cells.values() for shard in cell.shards]
    counts = (
        ("shards", manifest.totals.shards, len(shards)),
        ("bytes", manifest.totals.bytes, sum(shard.bytes for shard in shards)),
        ("samples", manifest.totals.samples, sum(cell.samples for cell in cells.values())),
        ("frames", manifest.totals.frames, sum(cell.frames for cell in cells.values())),
        *((f"samples of {n}", cell.samples, sum(s.samples for s in cell.shards)) for n, cell in cells.items()),
        *((f"frames of {n}", cell.frames, sum(s.frames for s in cell.shards)) for n, cell in cells.items()),
    )
    for name, said, counted in counts:
        if said != counted:
            yield f"says {said} {name}, but they add up to {counted}"


def _file_faults(store: Store, manifest: Manifest) -> Iterator[Fault]:
    """What is wrong with the files that are neither shards nor indexes; the manifest names the right ones by now."""
    for file, expected in manifest.files.items():
        try:
            size = store.size(file)
            if size != expected.bytes:
                yield Fault(file, f"is {size} bytes, but the manifest says {expected.bytes}")
                continue
            digest = file_sha256(store, file)
            data = store.read_whole(file) if file == REJECTS_FILE else b""
        except FileNotFoundError:
            yield Fault(file, "is missing")
            continue
        except OSError as error:
            yield Fault(file, f"cannot be read: {error}")
            continue
        if digest != expected.sha256:
            yield Fault(file, f"its SHA-256 is {digest}, but the manifest says {expected.sha256}")
        elif file == REJECTS_FILE:
            yield from (Fault(file, what) for what in _reject_faults(data, manifest))


def _reject_faults(data: bytes, manifest: Manifest) -> Iterator[str]:
    try:
        rejects = decode_rejects(data)
    except SpecError as error:
        yield f"cannot be read: {error}"
        return
    if encode_rejects(rejects) != data:
        yield "is not in the spec's form (white space, order of its fields or of its lines)"
    if Counter(reject.reason for reject in rejects) != Counter(manifest.rejects):
        yield "its counts by reason are not the manifest's"


def _known_files(manifest: Manifest) -> set[str]:
    known = {MANIFEST_FILE, REPORT_FILE, *manifest.files}
    for cell in manifest.cells.values():
        known.add(cell.index.file)
        known.update(shard.file for shard in cell.shards)
    return known


def _strangers(listed: Sequence[FileInfo], manifest: Manifest) -> Iterator[Fault]:
    """Files that lie in the set and are not of it: a reader that lists folders would take them."""
    known = _known_files(manifest)
    folders = {file.rpartition("/")[0] for file in known}
    for file in listed:
        if file.path not in known and not (file.kind is Kind.FOLDER_LINK and file.path in folders):
            is_what = "is not of this set"
            yield Fault(file.path, is_what if file.kind is Kind.FILE else f"{is_what}, and a {file.kind}")


def _link_notes(listed: Sequence[FileInfo], manifest: Manifest) -> Iterator[str]:
    """Say so where files of the set are symbolic links.

    They are no fault, because they are read as what they lead to, and some tools keep every file so (the Hugging Face
    Hub's cache, DVC, git-annex).
    """
    known = _known_files(manifest)
    links = [
        file.path for file in listed if file.kind is Kind.FOLDER_LINK or (file.kind is Kind.LINK and file.path in known)
    ]
    if links:
        which = (
            f"{links[0]} is a symbolic link"
            if len(links) == 1
            else f"{len(links):,} files are symbolic links, such as {links[0]}"
        )
        yield f"{which}: copy the set with cp -rL or rsync -rL, which take along what the links lead to"


def _index_fault(
    store: Store, manifest: Manifest, cell: Cell, sizes: Mapping[str, int], keys: list[pa.ChunkedArray]
) -> str | None:
    """What is wrong with a cell's index as a whole, if anything; appends its keys to ``keys``.

    Where shards are missing or cut off, which is a fault of theirs, no keys are read: nothing bounds their number.
    """
    try:
        if file_sha256(store, cell.index.file) != cell.index.sha256:
            return f"its SHA-256 is not the manifest's {cell.index.sha256}"
        with open_buffered(store, cell.index.file) as file, IndexReader(file, len(cell.shards)) as index:
            if not index.schema.equals(index_schema(sorted(manifest.protocols))):
                return f"its columns are not the spec's: {', '.join(index.schema.names)}"
            if all(sizes.get(shard.file, 0) >= shard.bytes for shard in cell.shards):
                keys += [index.read(group, shard, ["key"])["key"] for group, shard in enumerate(cell.shards)]
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error}"
    except SpecError as error:
        return str(error)
    return None


def _repeated(keys: list[pa.ChunkedArray]) -> list[str]:
    """Keys that stand in the set more than once."""
    chunks = [chunk for column in keys for chunk in column.chunks]
    counts = pc.value_counts(pa.chunked_array(chunks, type=pa.string()))
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    return sorted(str(key) for key in repeated.to_pylist())
