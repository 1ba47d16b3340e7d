"""The progress of a conversion, read from what it has written to OUT so far. Reading it changes nothing."""

from dataclasses import dataclass

from pipeline.run.work import find_set, read_records
from shards_spec.errors import UsageError
from shards_spec.manifest import read_manifest
from shards_spec.storage import Store, folder_fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The progress of a set."""

    is_complete: bool
    holder: str | None
    """The process that is writing to the set now, if any."""
    shards: int
    shards_planned: int
    frames: int
    """Number of frames that were read so far, including those without a crop."""
    frames_planned: int
    samples: int
    samples_planned: int
    rejected_members: int
    """Number of rejected members of the finished shards and, in a complete set, of the labels as well."""
    bytes: int
    """Bytes of the shards."""


def read_status(out: Store) -> Status:
    """Read the status of a set.

    Raises:
        UsageError: There is none.
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
