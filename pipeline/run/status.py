"""How far a conversion is, from what it has left in OUT so far: asked from anywhere, changing nothing."""

from dataclasses import dataclass

from pipeline.run.work import find_set, read_records
from shards_spec.errors import UsageError
from shards_spec.manifest import read_manifest
from shards_spec.storage import Store, folder_fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far a set is."""

    is_complete: bool
    holder: str | None
    """Who writes to it now, if anybody."""
    shards: int
    shards_planned: int
    frames: int
    """Read so far, those included that gave no crop."""
    frames_planned: int
    samples: int
    samples_planned: int
    rejected_members: int
    """Of the finished shards; in a complete set, of the labels too."""
    bytes: int
    """Of the shards."""


def read_status(out: Store) -> Status:
    """Look at a set.

    Raises:
        UsageError: there is none.
    """
    is_complete, identity = find_set(out)
    if identity is None:
        raise UsageError(folder_fault(out.url) or f"{out.url} holds no set, nor the beginning of one")
    holder = out.holder()
    if is_complete:
        totals = read_manifest(out).totals
        return Status(
            is_complete=True,
            holder=holder,
            shards=totals.shards,
            shards_planned=totals.shards,
            frames=totals.frames,
            frames_planned=totals.frames,
            samples=totals.samples,
            samples_planned=totals.samples,
            rejected_members=totals.rejected_members,
            bytes=totals.bytes,
        )
    records = list(read_records(out, identity.plan_digest))
    return Status(
        is_complete=False,
        holder=holder,
        shards=len(records),
        shards_planned=identity.shards,
        frames=sum(record.frames + record.rejected_frames for record in records),
        frames_planned=identity.frames,
        samples=sum(record.samples for record in records),
        samples_planned=identity.samples,
        rejected_members=sum(record.rejected_members for record in records),
        bytes=sum(record.bytes for record in records),
    )
