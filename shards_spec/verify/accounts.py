"""Checks that ``rejects.jsonl``, the manifest's counts and the samples of a set account for each other."""

from collections import Counter
from collections.abc import Iterator

from shards_spec.manifest import Manifest
from shards_spec.rejects import Note, Reject
from shards_spec.variants import Variant, variant_named
from shards_spec.verify.index import SetRows


def reject_faults(rejects: list[Reject], manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong with the rejects or with the manifest's counts of them."""
    variant = variant_named(manifest.variant)
    if Counter(reject.reason for reject in rejects) != Counter(manifest.rejects):
        yield "its counts by reason are not the manifest's"
    counts = {variant.samples_account: sum(reject.samples for reject in rejects)}
    if variant.unread_account is not None:
        counts[variant.unread_account] = sum(reject.samples == 0 for reject in rejects)
    for name, counted in counts.items():
        said = manifest.totals.accounts[name].rejected
        if said != counted:
            yield f"accounts for {counted} rejected {name}, but the manifest says {said}"
    files = {file.file for file in [*manifest.source.archives, *manifest.source.labels]}
    for line, reject in enumerate(rejects, 1):
        what = variant.reject_fault(reject) or _place_fault(reject.where, files)
        if what is not None:
            yield f"line {line}: {what}"
            return  # the others are likely to have the same fault


def _place_fault(where: str, files: set[str]) -> str | None:
    """Return why ``where`` is not ``file:line`` or ``archive:entry`` of a file that the set was made from."""
    colons = [place for place, character in enumerate(where) if character == ":"]
    if any(where[:place] in files and place + 1 < len(where) for place in colons):
        return None
    return f"where is {where!r}, which is in no file of the manifest's source"


def sample_faults(rejects: list[Reject], manifest: Manifest, rows: SetRows) -> Iterator[str]:
    """Yield where the rejects and the manifest's counts contradict the samples.

    Args:
        rejects: The rejects of the set.
        manifest: The manifest of the set.
        rows: The rows of all indexes of the set.
    """
    variant = variant_named(manifest.variant)
    keys = {key for reject in rejects if (key := variant.lost_key(reject)) is not None}
    for key in sorted(rows.keys.present(keys)):
        yield f"{key} is rejected, but is a sample"
    if variant.unit_field is None or variant.units_account is None:
        return
    lost = [reject for reject in rejects if reject.samples and reject.name is not None]
    names = {variant.lost_unit(str(reject.name)) for reject in lost}
    written = rows.present_units(names)
    if variant.units_are_per_cell:
        yield from _per_cell_faults(manifest, variant, len(names - written), len(rejects))
        return
    whole = Counter(str(reject.name) for reject in lost if reject.person_id is None)
    for name in sorted(set(whole) & written):
        yield f"{variant.unit} {name} is rejected, but has samples"
    for name in sorted(name for name, times in whole.items() if times > 1):
        yield f"{variant.unit} {name} is rejected more than once"
    units = len(names - written)
    said = manifest.totals.accounts[variant.units_account].rejected
    if units != said:
        yield f"accounts for {units} rejected {variant.units_account}, but the manifest says {said}"


def _per_cell_faults(manifest: Manifest, variant: Variant, least: int, most: int) -> Iterator[str]:
    """Yield a fault if the rejected units, which count once in each cell, cannot be as many as the manifest says.

    Rejects do not name cells. A unit without samples lies in one cell or in several, and each reject of one sample
    loses a unit at most.
    """
    said = manifest.totals.accounts[str(variant.units_account)].rejected
    if not least <= said <= most:
        yield f"accounts for {least} to {most} rejected {variant.units_account}, but the manifest says {said}"


def clamped_faults(manifest: Manifest, rows: SetRows) -> Iterator[str]:
    """Yield a fault if the note of clamped boxes is not what the samples say."""
    said = manifest.note_count(Note.BOX_CLAMPED)
    if said != rows.clamped:
        yield f"notes: box_clamped is {said}, but {rows.clamped} samples have a box that leaves its frame"
