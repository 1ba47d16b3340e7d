"""How far a conversion is, from what it has left in OUT so far: asked from anywhere, changing nothing."""

import fcntl
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline.work import find_set, read_records
from shards_spec.errors import UsageError
from shards_spec.manifest import MANIFEST_FILE, decode_manifest
from shards_spec.storage import LocalStore, ObjectStore, Store
from shards_spec.storage.lease import LEASE_FOLDER, LEASE_SECONDS
from shards_spec.storage.local import LOCK_FILE

if TYPE_CHECKING:
    from obstore import ObjectMeta


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
        raise UsageError(f"{out.url} holds no set, nor the beginning of one")
    holder = find_holder(out)
    if is_complete:
        totals = decode_manifest(out.read_whole(MANIFEST_FILE)).totals
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


def find_holder(out: Store) -> str | None:
    """Who writes to a store now, as they call themselves; None where nobody does."""
    if isinstance(out, LocalStore):
        return _holder_of_lock(Path(out.url, LOCK_FILE))
    return _holder_of_lease(out) if isinstance(out, ObjectStore) else None


def _holder_of_lock(file: Path) -> str | None:
    """The holder of a folder's lock: whether it is held shows by not getting it."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 1024, 0).decode(errors="replace").strip() or "another process"
    finally:
        os.close(descriptor)
    return None


class _Lease(msgspec.Struct):
    """What of a lease is of interest here."""

    owner: str
    is_over: bool = False


def _holder_of_lease(out: ObjectStore) -> str | None:
    """The holder of an object store's last lease, if it lives: by this machine's clock, which may be a little off."""
    newest: ObjectMeta | None = max(out.entries(LEASE_FOLDER), key=lambda entry: entry["path"], default=None)
    if newest is None or (datetime.now(UTC) - newest["last_modified"]).total_seconds() > LEASE_SECONDS:
        return None
    try:
        lease = msgspec.json.decode(out.read_whole(newest["path"]), type=_Lease)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return None if lease.is_over else lease.owner
