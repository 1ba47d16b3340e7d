"""What a set of City1M must be beside what every set is: its samples, frames, rejects and manifest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from shards_spec.errors import SpecError
from shards_spec.manifest import GIVEN, Manifest
from shards_spec.options import CutOptions, read_options
from shards_spec.rejects import Note, Reject, RejectReason
from shards_spec.variants.city1m.evidence import DOCUMENTED_FRAME_SIZE, BoxOrderEvidence, IdentityScopeEvidence
from shards_spec.variants.city1m.names import FULL, parse_frame_name, parse_label_file
from shards_spec.variants.city1m.sidecar import Sidecar, make_identity
from shards_spec.variants.cut import CutRules, check_cut, cut_rules

_LINE_REASONS = frozenset({RejectReason.LINE_FIELDS, RejectReason.LINE_NAME})
"""A label line is lost: its members are nowhere counted."""
_MEMBER_REASONS = frozenset(
    {
        RejectReason.MEMBER_NOT_FINITE,
        RejectReason.MEMBER_REPEATED,
        RejectReason.BOX_EMPTY,
        RejectReason.BOX_OUTSIDE,
    }
)
"""One member is lost; by all other reasons but those of lines, a frame."""


@dataclass(frozen=True, slots=True)
class City1MRules:
    """What the check of a sample must know of the manifest."""

    identity_is_global: bool
    cut: CutRules


def sample_rules(manifest: Manifest) -> City1MRules:
    """Return what the check of a sample must know of a manifest that has been found sound."""
    (options,) = read_options({name: manifest.options[name] for name in CutOptions.__struct_fields__}, [CutOptions])
    return City1MRules(manifest.decisions["identity_scope"].choice == "global", cut_rules(options))


def check_sample(sidecar: Sidecar, files: Mapping[str, bytes], rules: City1MRules) -> None:
    """Raise ``SpecError`` if a sidecar contradicts its frame's name, its image or the rules."""
    said = parse_frame_name(sidecar.frame)
    if said is None:
        raise SpecError(f"{sidecar.frame!r} is not the name of a frame")
    identity = make_identity(said.group_id, sidecar.person_id, is_global=rules.identity_is_global)
    for name, value, expected in (
        ("group_id", sidecar.group_id, said.group_id),
        ("camera", sidecar.camera, said.camera),
        ("time", sidecar.time, said.time),
        ("identity", sidecar.identity, identity),
    ):
        if value != expected:
            raise SpecError(f"{name} is {value!r}, but by its frame's name and the manifest it is {expected!r}")
    check_cut(sidecar, files["jpg"], rules.cut)


def check_frame(sidecars: Sequence[Sidecar]) -> None:
    """Raise ``SpecError`` if the sidecars of a frame contradict each other."""
    persons = [sidecar.person_id for sidecar in sidecars]
    if any(sidecar.members != len(sidecars) for sidecar in sidecars):
        raise SpecError(f"has {len(sidecars)} crops, but its sidecars say {sidecars[0].members} members")
    if sorted(set(persons)) != persons:
        raise SpecError(f"its persons are not in rising order: {persons}")
    if len({(sidecar.frame_size, sidecar.encoding) for sidecar in sidecars}) != 1:
        raise SpecError("its sidecars differ in frame size or encoding")


def reject_fault(reject: Reject) -> str | None:
    """Return why the fields of a reject do not fit together: its reason loses either a line, a frame or a member."""
    if reject.reason in _LINE_REASONS:
        is_right = reject.person_id is None and reject.samples == 0
    elif reject.reason in _MEMBER_REASONS:
        is_right = isinstance(reject.person_id, int) and reject.samples == 1
    else:
        is_right = reject.person_id is None and reject.samples > 0
    if not is_right:
        return f"{reject.reason} does not go with person_id {reject.person_id} and {reject.samples} samples"
    if reject.name is None:
        return None if reject.reason in _LINE_REASONS else f"{reject.reason} without the name of a frame"
    return None if parse_frame_name(reject.name) else f"{reject.name!r} is not the name of a frame"


def lost_key(reject: Reject) -> str | None:
    """Return the key that a lost member would have had."""
    return None if reject.person_id is None else f"{reject.name}_p{reject.person_id}"


def manifest_faults(manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong with a manifest whose accounts add up and whose options and decisions have their types."""
    yield from source_faults(manifest, FULL)
    yield from _evidence_faults(manifest)
    yield from _line_faults(manifest)
    yield from _note_faults(manifest)


def source_faults(manifest: Manifest, dataset: str) -> Iterator[str]:
    """Yield what a manifest says wrongly about the dataset and its label files; City1M's variants share this."""
    if manifest.source.dataset != dataset:
        yield f"source: dataset is {manifest.source.dataset!r}, but the variant {manifest.variant} is of {dataset!r}"
    labels = [file.file for file in manifest.source.labels]
    if not manifest.source.archives or not labels:
        yield f"source: it names no {'labels' if manifest.source.archives else 'archives'}"
    parsed = [parse_label_file(file) for file in labels]
    for file, found in zip(labels, parsed, strict=True):
        if found is None:
            yield f"source: labels: {file!r} is not the name of a label file"
    named = [found for found in parsed if found is not None]
    if named != sorted(named, key=lambda found: (int(found[0][1:]), *found)):
        yield "source: its labels are not sorted by protocol and split"
    if set(named) != {(protocol, split) for protocol, splits in manifest.protocols.items() for split in splits}:
        yield "its protocols and splits are not those of its label files"


def _evidence_faults(manifest: Manifest) -> Iterator[str]:
    counted: dict[str, int] = {}
    types: dict[str, type[BoxOrderEvidence | IdentityScopeEvidence]] = {
        "box_order": BoxOrderEvidence,
        "identity_scope": IdentityScopeEvidence,
    }
    for name, type_ in types.items():
        evidence = manifest.decisions[name].evidence
        if evidence == GIVEN:
            continue
        read: BoxOrderEvidence | IdentityScopeEvidence = msgspec.convert(evidence, type_)
        counted[name] = read.boxes if isinstance(read, BoxOrderEvidence) else read.members
        fault = _evidence_fault(read, manifest)
        if fault is not None:
            yield f"decisions: {name}: evidence: {fault}"
    if len(set(counted.values())) > 1:
        boxes, members = counted.values()
        yield f"decisions: box_order counts {boxes} members, but identity_scope {members}"


def _evidence_fault(evidence: BoxOrderEvidence | IdentityScopeEvidence, manifest: Manifest) -> str | None:
    """Return why evidence cannot belong to this set: it counts all readable members, before boxes are judged."""
    if isinstance(evidence, BoxOrderEvidence):
        total = evidence.boxes
        parts = {"odd_as_xywh": evidence.odd_as_xywh, "odd_as_xyhw": evidence.odd_as_xyhw}
        if not evidence.frame_size_probed and evidence.frame_size != DOCUMENTED_FRAME_SIZE:
            return f"frame_size is neither probed nor {DOCUMENTED_FRAME_SIZE}"
    else:
        total = evidence.members
        parts = {
            "ids_not_below_member_count": evidence.ids_not_below_member_count,
            "distinct_ids": evidence.distinct_ids,
            "ids_in_several_groups": evidence.ids_in_several_groups,
        }
        if evidence.ids_in_several_groups > evidence.distinct_ids:
            return "ids_in_several_groups is over distinct_ids"
    for name, count in parts.items():
        if count > total:
            return f"{name} is {count}, of {total}"
    low, high = manifest.totals.samples, manifest.totals.accounts["members"].total
    return None if low <= total <= high else f"counts {total}, but {low} to {high} members can be read"


def _line_faults(manifest: Manifest) -> Iterator[str]:
    """Yield a fault if there are too few label lines: every split's file names each of its frames."""
    lines, frames = manifest.totals.accounts["lines"], manifest.totals.accounts["frames"]
    accounted = {
        "rejected": lines.rejected,
        "blank": manifest.note_count(Note.BLANK_LINE),
        "repeated": manifest.note_count(Note.REPEATED_LINE),
        "of frames that were rejected": frames.rejected,
        "of the others": sum(
            cell.units * sum(map(len, manifest.cell_splits(name).values())) for name, cell in manifest.cells.items()
        ),
    }
    if sum(accounted.values()) > lines.total:
        counts = ", ".join(f"{count} {what}" for what, count in accounted.items())
        yield f"account lines: says {lines.total}, but there are at least {counts}"


def _note_faults(manifest: Manifest) -> Iterator[str]:
    """Yield the notes that count more than there can be."""
    accounts = manifest.totals.accounts
    for note, most in (
        (Note.BYTE_ORDER_MARK, len(manifest.source.labels)),
        (Note.CARRIAGE_RETURN, accounts["lines"].total),
        (Note.MEMBER_COUNT_DIFFERS, accounts["frames"].total),
    ):
        if manifest.note_count(note) > most:
            yield f"notes: {note} is {manifest.note_count(note)}"
