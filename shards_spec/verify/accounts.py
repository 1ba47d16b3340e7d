"""Checks that ``rejects.jsonl``, the manifest's counts and the samples of a set account for each other."""

from collections import Counter
from collections.abc import Iterator

from shards_spec.city1m import parse_frame_name
from shards_spec.manifest import Manifest
from shards_spec.rejects import Note, Reject, RejectReason
from shards_spec.verify.index import SetRows, present

LINE_REASONS = frozenset({RejectReason.LINE_FIELDS, RejectReason.LINE_NAME})
MEMBER_REASONS = frozenset(
    {
        RejectReason.MEMBER_NOT_FINITE,
        RejectReason.MEMBER_REPEATED,
        RejectReason.BOX_EMPTY,
        RejectReason.BOX_OUTSIDE,
    }
)


def reject_faults(rejects: list[Reject], manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong with the rejects or with the manifest's counts of them."""
    if Counter(reject.reason for reject in rejects) != Counter(manifest.rejects):
        yield "its counts by reason are not the manifest's"
    counts = (
        ("lines", sum(reject.reason in LINE_REASONS for reject in rejects)),
        ("members", sum(reject.samples for reject in rejects)),
    )
    for name, counted in counts:
        said = manifest.totals.accounts[name].rejected
        if said != counted:
            yield f"accounts for {counted} rejected {name}, but the manifest says {said}"
    files = {file.file for file in [*manifest.source.archives, *manifest.source.labels]}
    for line, reject in enumerate(rejects, 1):
        what = _form_fault(reject) or _place_fault(reject.where, files)
        if what is not None:
            yield f"line {line}: {what}"
            return  # the others are likely to have the same fault


def _form_fault(reject: Reject) -> str | None:
    """Return why the fields of a reject do not fit together: its reason loses either a line, a frame or a member."""
    if reject.reason in LINE_REASONS:
        is_right = reject.person_id is None and reject.samples == 0
    elif reject.reason in MEMBER_REASONS:
        is_right = reject.person_id is not None and reject.samples == 1
    else:
        is_right = reject.person_id is None and reject.samples > 0
    if not is_right:
        return f"{reject.reason} does not go with person_id {reject.person_id} and {reject.samples} samples"
    if reject.name is None:
        return None if reject.reason in LINE_REASONS else f"{reject.reason} without the name of a frame"
    return None if parse_frame_name(reject.name) else f"{reject.name!r} is not the name of a frame"


def _place_fault(where: str, files: set[str]) -> str | None:
    """Return why ``where`` is not ``file:line`` or ``archive:member`` of a file that the set was made from."""
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
    lost = [reject for reject in rejects if reject.reason not in LINE_REASONS and reject.name is not None]
    names = {str(reject.name) for reject in lost}
    written = present(names, rows.frames)
    whole = Counter(str(reject.name) for reject in lost if reject.person_id is None)
    for name in sorted(set(whole) & written):
        yield f"frame {name} is rejected, but has samples"
    for name in sorted(name for name, times in whole.items() if times > 1):
        yield f"frame {name} is rejected more than once"
    keys = {f"{reject.name}_p{reject.person_id}" for reject in lost if reject.person_id is not None}
    for key in sorted(present(keys, rows.keys)):
        yield f"{key} is rejected, but is a sample"
    frames = len(names - written)
    said = manifest.totals.accounts["frames"].rejected
    if frames != said:
        yield f"accounts for {frames} rejected frames, but the manifest says {said}"


def clamped_faults(manifest: Manifest, rows: SetRows) -> Iterator[str]:
    """Yield a fault if the note of clamped boxes is not what the samples say."""
    said = manifest.notes.get(Note.BOX_CLAMPED, 0)
    if said != rows.clamped:
        yield f"notes: box_clamped is {said}, but {rows.clamped} samples have a box that leaves its frame"
