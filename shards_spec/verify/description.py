"""Checks that the manifest is consistent: its names, counts, options and decisions."""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import msgspec

from shards_spec.cells import cell_name
from shards_spec.errors import SpecError
from shards_spec.index_read import SAMPLE_BYTES
from shards_spec.layout import SET_FILES, index_file, shard_file
from shards_spec.manifest import GIVEN, Decision, Manifest, ShardFile, encode_manifest
from shards_spec.options import CommonOptions, out_of_range, read_options, resolve_shuffle
from shards_spec.rejects import Note
from shards_spec.tar import BLOCK, END
from shards_spec.variants import Variant, variant_named
from shards_spec.variants.base import Evidence
from shards_spec.version import SPEC_VERSION

_VERSIONS = ("reid-shards", "pillow", "msgspec", "pyarrow", "machine")


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
    variant = variant_named(manifest.variant)
    try:
        variant.check_totals(manifest.totals)
    except SpecError as error:
        yield str(error)
        return  # what follows relies on the accounts
    yield from _source_faults(manifest)
    options = [*_option_faults(manifest, variant)]
    yield from options or variant.manifest_faults(manifest)  # which relies on the options and decisions
    yield from _version_faults(manifest)
    yield from _name_faults(manifest)
    yield from _count_faults(manifest)
    yield from _note_faults(manifest)


def shard_number(cell: str, shard: ShardFile) -> int:
    """Return the number in a shard's name; -1 if it is not the name of a shard of the cell."""
    match = re.search(r"-(\d{6,9})\.tar$", shard.file)
    return int(match[1]) if match and shard.file == shard_file(cell, int(match[1])) else -1


def _source_faults(manifest: Manifest) -> Iterator[str]:
    source = manifest.source
    archives, labels = ([file.file for file in files] for files in (source.archives, source.labels))
    for what, names in (("archives", archives), ("labels", labels)):
        if len(set(names)) != len(names):
            yield f"source: {what}: it names one twice"
        for name in names:
            if not {"", ".", ".."}.isdisjoint(name.split("/")):
                yield f"source: {what}: {name!r} is not a path below the source's root"
    if archives != sorted(archives):
        yield "source: its archives are not sorted by path"


def _option_faults(manifest: Manifest, variant: Variant) -> Iterator[str]:
    """Yield what is wrong with the options, and with what follows from them."""
    try:
        groups = list(read_options(manifest.options, variant.options))
    except msgspec.ValidationError as error:
        yield f"options: {error}"
        return
    if list(manifest.options) != [name for group in variant.options for name in group.__struct_fields__]:
        yield "options: are not in the spec's order"
    for group in groups:
        for name, allowed in out_of_range(group):
            yield f"options: {name} is {manifest.options[name]}, but must be from {allowed}"
        if isinstance(group, CommonOptions):
            yield from _shuffle_faults(manifest, group)
    if list(manifest.decisions) != list(variant.decisions):
        yield f"decisions: are {', '.join(manifest.decisions) or 'none'}, not {', '.join(variant.decisions) or 'none'}"
        return
    for name, decision in manifest.decisions.items():
        what = _decision_fault(decision, manifest.options.get(name, "auto"), variant.decisions[name])
        if what is not None:
            yield f"decisions: {name}: {what}"


def _shuffle_faults(manifest: Manifest, options: CommonOptions) -> Iterator[str]:
    for name, cell in manifest.cells.items():
        expected = resolve_shuffle(options.shuffle, manifest.cell_splits(name))
        if cell.shuffle != expected:
            yield f"cell {name}: its shuffle is {cell.shuffle}, but {options.shuffle} means {expected} for it"


def _decision_fault(decision: Decision, asked: Any, type_: type[Evidence]) -> str | None:
    """Return what is wrong with a decision, of which the option of the same name asks for ``asked``."""
    if asked != "auto":
        is_given = decision.choice == asked and decision.evidence == GIVEN
        return None if is_given else f"the options give {asked}, but it says {decision.choice}, {decision.evidence}"
    try:
        evidence = msgspec.convert(decision.evidence, type_)
    except msgspec.ValidationError as error:
        return f"evidence: {error}"
    if list(msgspec.to_builtins(evidence)) != list(decision.evidence):
        return "evidence: is not in the spec's order"
    if evidence.choice() != decision.choice:
        return f"is {decision.choice}, but its evidence decides for {evidence.choice()}"
    return None


def _version_faults(manifest: Manifest) -> Iterator[str]:
    if tuple(manifest.versions)[: len(_VERSIONS)] != _VERSIONS:
        yield f"versions: begin with {', '.join(manifest.versions) or 'none'}, not {', '.join(_VERSIONS)}"
    for name, version in manifest.versions.items():
        if re.fullmatch(r"[!-~]([ -~]*[!-~])?", version) is None:
            yield f"versions: {name} is {version!r}"


def _name_faults(manifest: Manifest) -> Iterator[str]:
    """Yield cells and files whose names do not follow from the protocols."""
    yield from _order_faults("its files", manifest.files)
    files = SET_FILES | set(variant_named(manifest.variant).set_files)
    if set(manifest.files) != files:
        yield f"its files are {', '.join(manifest.files) or 'none'}, not {', '.join(sorted(files))}"
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
        splits = manifest.cell_splits(name)
        spelled = cell_name(splits)
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
    variant = variant_named(manifest.variant)
    account = variant.units_account or variant.samples_account
    lost = totals.accounts[account].rejected
    if missing > lost:
        yield f"{missing} numbers of shards are missing, but only {lost} {account} were rejected"
    for shard in shards:
        if shard.samples < shard.units:
            yield f"{shard.file}: {shard.samples} samples cannot be of {shard.units} units"
        if shard.bytes % BLOCK or shard.bytes < shard.samples * SAMPLE_BYTES + len(END):
            yield f"{shard.file}: a tar of {shard.samples} samples is not of {shard.bytes} bytes"


def _note_faults(manifest: Manifest) -> Iterator[str]:
    known = set(Note)
    yield from _order_faults("its notes", manifest.notes)
    yield from _order_faults("its rejects", manifest.rejects)
    for note, noted in manifest.notes.items():
        if note not in known:
            yield f"notes: there is no note {note!r}"
        elif len(noted.examples) > noted.count or len(set(noted.examples)) < len(noted.examples):
            yield f"notes: {note} is {noted.count}, but has {len(noted.examples)} examples, or one twice"
