"""The progress of a conversion, read from what it has written to OUT so far. Reading it changes nothing."""

from dataclasses import dataclass

from pipeline.run.work import find_set, read_records
from shards_spec.errors import UsageError
from shards_spec.manifest_read import read_manifest
from shards_spec.storage import Store, folder_fault
from shards_spec.variants import variant_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The progress of a set."""

    is_complete: bool
    holder: str | None
    """The process that is writing to the set now, if any."""
    shards: int
    shards_planned: int
    unit: str
    """What the set's variant calls a unit, in the singular."""
    units: int
    """Number of units that were read so far, including those without a sample."""
    units_planned: int
    samples: int
    samples_planned: int
    rejected_samples: int
    """Number of rejected samples of the finished shards and, in a complete set, of the labels as well."""
    bytes: int
    """Bytes of the shards."""


def read_status(out: Store) -> Status:
    """Read the status of a set.

    Raises:
        UsageError: There is none.
        SpecError: This version does not know its variant.
    """
    is_complete, identity = find_set(out)
    if identity is None:
        raise UsageError(folder_fault(out.url) or f"{out.url} holds no set, nor the beginning of one")
    holder = out.holder()
    variant = variant_named(identity.variant)
    if is_complete:
        totals = read_manifest(out).totals
        return Status(
            is_complete=True,
            holder=holder,
            shards=totals.shards,
            shards_planned=totals.shards,
            unit=variant.unit,
            units=totals.units,
            units_planned=totals.units,
            samples=totals.samples,
            samples_planned=totals.samples,
            rejected_samples=totals.accounts[variant.samples_account].rejected,
            bytes=totals.bytes,
        )
    records = list(read_records(out, identity.plan_digest))
    return Status(
        is_complete=False,
        holder=holder,
        shards=len(records),
        shards_planned=identity.shards,
        unit=variant.unit,
        units=sum(record.units + record.rejected_units for record in records),
        units_planned=identity.units,
        samples=sum(record.samples for record in records),
        samples_planned=identity.samples,
        rejected_samples=sum(record.rejected_samples for record in records),
        bytes=sum(record.bytes for record in records),
    )
