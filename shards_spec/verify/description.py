"""Checks that the manifest is consistent: its names, counts, options and decisions."""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import msgspec

from shards_spec.city1m import DATASET, parse_label_file
from shards_spec.decisions import DOCUMENTED_FRAME_SIZE, GIVEN, BoxOrderEvidence, IdentityScopeEvidence
from shards_spec.errors import SpecError
from shards_spec.layout import SET_FILES, index_file, shard_file
from shards_spec.manifest import Decision, Manifest, ShardFile, encode_manifest
from shards_spec.options import ConversionOptions, out_of_range, read_options, resolve_shuffle
from shards_spec.rejects import Note
from shards_spec.tar import BLOCK, END
from shards_spec.variants import variant_named
from shards_spec.version import SPEC_VERSION

LEAST_SAMPLE_BYTES = 4 * BLOCK
"""Least bytes of a sample: two files, each with a header and at least one block of data."""

_VERSIONS = ("reid-shards", "pillow", "msgspec", "pyarrow", "machine")
_EVIDENCE = {"box_order": BoxOrderEvidence, "identity_scope": IdentityScopeEvidence}


def manifest_faults(data: bytes, manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong with a manifest that could be read.

    Args:
        data: The bytes of the manifest.
        manifest: The decoded manifest.
    """
    if manifest.spec != SPEC_VERSION:
        yield f"spec is {manifest.spec}, but this version checks {SPEC_VERSION}: install a newer reid-shards"
        return
    if encode_manifest(manifest, manifest.files) != data:
        yield "is not in the spec's form (white space, order of its fields, or numbers)"
    try:
        manifest.totals.check(variant_named(manifest.variant))
    except SpecError as error:
        yield str(error)
        return  # what follows relies on the accounts
    yield from _source_faults(manifest)
    yield from _option_faults(manifest)
    yield from _version_faults(manifest)
    yield from _name_faults(manifest)
    yield from _count_faults(manifest)
    yield from _note_faults(manifest)


def cell_splits(manifest: Manifest, cell: str) -> dict[str, list[str]]:
    """Return the sorted splits, by protocol, that a cell stands for."""
    return {
        protocol: sorted(split for split, cells in splits.items() if cell in cells)
        for protocol, splits in manifest.protocols.items()
    }


def shard_number(cell: str, shard: ShardFile) -> int:
    """Return the number in a shard's name; -1 if it is not the name of a shard of the cell."""
    match = re.search(r"-(\d{6,9})\.tar$", shard.file)
    return int(match[1]) if match and shard.file == shard_file(cell, int(match[1])) else -1


def _source_faults(manifest: Manifest) -> Iterator[str]:
    source = manifest.source
    if source.dataset != DATASET:
        yield f"source: dataset is {source.dataset!r}, but the variant {manifest.variant} is of {DATASET!r}"
    archives, labels = ([file.file for file in files] for files in (source.archives, source.labels))
    for what, names in (("archives", archives), ("labels", labels)):
        if not names or len(set(names)) != len(names):
            yield f"source: it names no {what}, or one twice"
        for name in names:
            if not {"", ".", ".."}.isdisjoint(name.split("/")):
                yield f"source: {what}: {name!r} is not a path below the source's root"
    if archives != sorted(archives):
        yield "source: its archives are not sorted by path"
    yield from _label_faults(labels, manifest)


def _label_faults(labels: list[str], manifest: Manifest) -> Iterator[str]:
    """Yield label files whose names do not stand for a protocol and split of the set."""
    parsed = [parse_label_file(file) for file in labels]
    for file, found in zip(labels, parsed, strict=True):
        if found is None:
            yield f"source: labels: {file!r} is not the name of a label file"
    named = [found for found in parsed if found is not None]
    if named != sorted(named, key=lambda found: (int(found[0][1:]), *found)):
        yield "source: its labels are not sorted by protocol and split"
    if set(named) != {(protocol, split) for protocol, splits in manifest.protocols.items() for split in splits}:
        yield "its protocols and splits are not those of its label files"


def _option_faults(manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong with the options and the decisions that follow from them."""
    try:
        options = read_options(manifest.options)
    except msgspec.ValidationError as error:
        yield f"options: {error}"
        return
    if list(manifest.options) != list(ConversionOptions.__struct_fields__):
        yield "options: are not in the spec's order"
    for name, cell in manifest.cells.items():
        expected = resolve_shuffle(options.shuffle, cell_splits(manifest, name))
        if cell.shuffle != expected:
            yield f"cell {name}: its shuffle is {cell.shuffle}, but {options.shuffle} means {expected} for it"
    for name, allowed in out_of_range(options):
        yield f"options: {name} is {manifest.options[name]}, but must be from {allowed}"
    if list(manifest.decisions) != list(_EVIDENCE):
        yield f"decisions: are {', '.join(manifest.decisions) or 'none'}, not {', '.join(_EVIDENCE)}"
        return
    asked = {"box_order": options.box_order, "identity_scope": options.identity_scope}
    for name, decision in manifest.decisions.items():
        what = _decision_fault(name, decision, asked[name], manifest)
        if what is not None:
            yield f"decisions: {name}: {what}"
    boxes, members = (
        manifest.decisions[name].evidence.get(count)
        for name, count in (("box_order", "boxes"), ("identity_scope", "members"))
    )
    if boxes is not None and members is not None and boxes != members:
        yield f"decisions: box_order counts {boxes} members, but identity_scope {members}"


def _decision_fault(name: str, decision: Decision, asked: str, manifest: Manifest) -> str | None:
    if asked != "auto":
        is_given = decision.choice == asked and decision.evidence == GIVEN
        return None if is_given else f"the options give {asked}, but it says {decision.choice}, {decision.evidence}"
    try:
        evidence = msgspec.convert(decision.evidence, _EVIDENCE[name])
    except msgspec.ValidationError as error:
        return f"evidence: {error}"
    if list(decision.evidence) != list(evidence.__struct_fields__):
        return "evidence: is not in the spec's order"
    if evidence.choice() != decision.choice:
        return f"is {decision.choice}, but its evidence decides for {evidence.choice()}"
    return _evidence_fault(evidence, manifest)


def _evidence_fault(evidence: BoxOrderEvidence | IdentityScopeEvidence, manifest: Manifest) -> str | None:
    """Return why evidence cannot belong to this set: it counts all readable members, before boxes are judged."""
    if isinstance(evidence, BoxOrderEvidence):
        total = evidence.boxes
        parts = {"odd_as_xywh": evidence.odd_as_xywh, "odd_as_xyhw": evidence.odd_as_xyhw}
        if not evidence.frame_size_probed and evidence.frame_size != DOCUMENTED_FRAME_SIZE:
            return f"evidence: frame_size is neither probed nor {DOCUMENTED_FRAME_SIZE}"
    else:
        total = evidence.members
        parts = {
            "ids_not_below_member_count": evidence.ids_not_below_member_count,
            "distinct_ids": evidence.distinct_ids,
            "ids_in_several_groups": evidence.ids_in_several_groups,
        }
        if evidence.ids_in_several_groups > evidence.distinct_ids:
            return "evidence: ids_in_several_groups is over distinct_ids"
    for name, count in parts.items():
        if count > total:
            return f"evidence: {name} is {count}, of {total}"
    low, high = manifest.totals.samples, manifest.totals.accounts["members"].total
    return None if low <= total <= high else f"evidence: counts {total}, but {low} to {high} members can be read"


def _version_faults(manifest: Manifest) -> Iterator[str]:
    if tuple(manifest.versions)[: len(_VERSIONS)] != _VERSIONS:
        yield f"versions: begin with {', '.join(manifest.versions) or 'none'}, not {', '.join(_VERSIONS)}"
    for name, version in manifest.versions.items():
        if re.fullmatch(r"[!-~]([ -~]*[!-~])?", version) is None:
            yield f"versions: {name} is {version!r}"


def _name_faults(manifest: Manifest) -> Iterator[str]:
    """Yield cells and files whose names do not follow from the protocols."""
    yield from _order_faults("its files", manifest.files)
    if set(manifest.files) != SET_FILES:
        yield f"its files are {', '.join(manifest.files) or 'none'}, not {', '.join(sorted(SET_FILES))}"
    yield from _order_faults("its protocols", manifest.protocols)
    yield from _order_faults("its cells", manifest.cells)
    for protocol, splits in manifest.protocols.items():
        yield from _order_faults(f"the splits of {protocol}", splits)
        for split, cells in splits.items():
            yield from _order_faults(f"the cells of {protocol} {split}", cells)
    named = {cell for splits in manifest.protocols.values() for cells in splits.values() for cell in cells}
    for name in sorted(named ^ set(manifest.cells)):
        yield f"cell {name} is not both in its protocols and in its cells"
    for name, cell in manifest.cells.items():
        splits = cell_splits(manifest, name)
        spelled = "_".join(f"{protocol}-{'-'.join(names) or 'none'}" for protocol, names in splits.items())
        if spelled != name:
            yield f"cell {name} stands for {spelled} in its protocols"
        if cell.index.file != index_file(name):
            yield f"cell {name}: its index is {cell.index.file}, not {index_file(name)}"
        numbers = [shard_number(name, shard) for shard in cell.shards]
        if any(number < 0 for number in numbers) or any(a >= b for a, b in pairwise(numbers)):
            yield f"cell {name}: its shards are not named {shard_file(name, 0)} and on, in this order"


def _order_faults(what: str, names: Iterable[Any]) -> Iterator[str]:
    found = list(names)
    if found != sorted(set(found)):
        yield f"{what} are not sorted, each once: {', '.join(found)}"


def _count_faults(manifest: Manifest) -> Iterator[str]:
    totals, cells = manifest.totals, manifest.cells
    shards = [shard for cell in cells.values() for shard in cell.shards]
    counts = (
        ("shards", totals.shards, len(shards)),
        ("bytes", totals.bytes, sum(shard.bytes for shard in shards)),
        ("samples", totals.samples, sum(cell.samples for cell in cells.values())),
        ("units", totals.units, sum(cell.units for cell in cells.values())),
        *((f"samples of {n}", cell.samples, sum(s.samples for s in cell.shards)) for n, cell in cells.items()),
        *((f"units of {n}", cell.units, sum(s.units for s in cell.shards)) for n, cell in cells.items()),
    )
    for name, said, counted in counts:
        if said != counted:
            yield f"says {said} {name}, but they add up to {counted}"
    for name, cell in cells.items():
        if not cell.shards:
            yield f"cell {name} has no shards"
    missing = sum(
        shard_number(name, cell.shards[-1]) + 1 - len(cell.shards) for name, cell in cells.items() if cell.shards
    )
    lost = totals.accounts["frames"].rejected
    if missing > lost:
        yield f"{missing} numbers of shards are missing, but only {lost} frames were rejected"
    for shard in shards:
        if shard.samples < shard.units:
            yield f"{shard.file}: {shard.samples} samples cannot be of {shard.units} units"
        if shard.bytes % BLOCK or shard.bytes < shard.samples * LEAST_SAMPLE_BYTES + len(END):
            yield f"{shard.file}: a tar of {shard.samples} samples is not of {shard.bytes} bytes"
    yield from _line_faults(manifest)


def _line_faults(manifest: Manifest) -> Iterator[str]:
    """Yield a fault if there are too few label lines: every split's file names each of its frames."""
    lines, frames = manifest.totals.accounts["lines"], manifest.totals.accounts["frames"]
    accounted = {
        "rejected": lines.rejected,
        "blank": manifest.notes.get(Note.BLANK_LINE, 0),
        "repeated": manifest.notes.get(Note.REPEATED_LINE, 0),
        "of frames that were rejected": frames.rejected,
        "of the others": sum(
            cell.units * sum(map(len, cell_splits(manifest, name).values())) for name, cell in manifest.cells.items()
        ),
    }
    if sum(accounted.values()) > lines.total:
        counts = ", ".join(f"{count} {what}" for what, count in accounted.items())
        yield f"account lines: says {lines.total}, but there are at least {counts}"


def _note_faults(manifest: Manifest) -> Iterator[str]:
    accounts = manifest.totals.accounts
    most = {
        Note.BYTE_ORDER_MARK: len(manifest.source.labels),
        Note.CARRIAGE_RETURN: accounts["lines"].total,
        Note.MEMBER_COUNT_DIFFERS: accounts["frames"].total,
    }
    known = set(Note)
    yield from _order_faults("its notes", manifest.notes)
    yield from _order_faults("its rejects", manifest.rejects)
    for note, count in manifest.notes.items():
        if note not in known:
            yield f"notes: there is no note {note!r}"
        elif not 1 <= count <= most.get(Note(note), count):
            yield f"notes: {note} is {count}"
