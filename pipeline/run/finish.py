"""The end of a conversion: from shard records to indexes, rejects, the dataset card and, last, the manifest."""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Mapping

import pyarrow as pa

from pipeline.plan import Plan
from pipeline.report.card import dataset_card
from pipeline.report.croissant import croissant
from pipeline.samples import Notes
from pipeline.shards.record import ShardRecord, index_part_file, record_file
from shards_spec.errors import ReidShardsError, SpecError, UsageError
from shards_spec.index import index_schema, read_index, write_index
from shards_spec.layout import CARD_FILE, CROISSANT_FILE, index_file, shard_file
from shards_spec.manifest import (
    MANIFEST_FILE,
    REJECTS_FILE,
    Cell,
    Description,
    IndexFile,
    Manifest,
    Origin,
    SetFile,
    ShardFile,
    Totals,
    encode_manifest,
)
from shards_spec.manifest_read import decode_manifest
from shards_spec.options import CellShuffle, resolve_shuffle
from shards_spec.rejects import Reject, encode_rejects
from shards_spec.storage import FileTooLargeError, Store, file_sha256, read_ahead
from shards_spec.variants import variant_named, variant_of
from shards_spec.version import SPEC_VERSION


class DamagedPartError(ReidShardsError):
    """A shard's index rows are damaged or missing. Its record has been removed, so the next run makes it again."""


def finish(out: Store, plan: Plan, records: Mapping[tuple[str, int], ShardRecord]) -> Manifest:
    """Write everything that a complete set has beside its shards, with the manifest last.

    Args:
        out: The store that holds the shards.
        plan: The plan of the set.
        records: The record of every shard of the plan, by (cell, number).

    Raises:
        DamagedPartError: A shard must be made again.
        UsageError: Another set has been completed in ``out`` in the meantime.
    """
    catalog = plan.catalog
    variant = variant_of(catalog)
    schema = index_schema(variant, sorted(catalog.protocols))
    cells: dict[str, Cell] = {}
    for name in sorted(catalog.cell_splits):
        filled = [record for _, record in sorted(records.items()) if record.cell == name and record.samples]
        if filled:
            shuffle = resolve_shuffle(plan.options.common.shuffle, catalog.cell_splits[name])
            cells[name] = _finish_cell(out, name, filled, schema, shuffle)
    rejects = [*catalog.rejects, *(reject for record in records.values() for reject in record.rejects)]
    notes = Notes()
    notes.update(catalog.notes)
    for _, record in sorted(records.items()):
        notes.update(record.notes)
    description = Description(
        spec=SPEC_VERSION,
        variant=catalog.variant,
        source=Origin(catalog.dataset, catalog.archives, catalog.labels, catalog.demo),
        options=plan.options.output_bearing(),
        versions=dict(plan.versions),
        plan_digest=plan.digest,
        decisions=catalog.decisions,
        protocols={
            protocol: {split: [name for name in names if name in cells] for split, names in sorted(splits.items())}
            for protocol, splits in sorted(catalog.protocols.items())
        },
        cells=cells,
        totals=_totals(plan, records, cells),
        notes=notes.total(),
        rejects=_counts(rejects),
    )
    variant.check_totals(description.totals)
    lost = sum(reject.samples for reject in rejects)
    if lost != description.totals.accounts[variant.samples_account].rejected:
        raise SpecError(
            f"account {variant.samples_account}: {description.totals.accounts[variant.samples_account].rejected} "
            f"rejected, but {lost} by the rejects"
        )
    files = {
        CARD_FILE: dataset_card(description).encode(),
        CROISSANT_FILE: croissant(description),
        REJECTS_FILE: encode_rejects(rejects),
        **catalog.set_files,
    }
    for file, content in files.items():
        out.put(file, content)
    data = encode_manifest(
        description,
        {file: SetFile(len(content), hashlib.sha256(content).hexdigest()) for file, content in sorted(files.items())},
    )
    if not out.create(MANIFEST_FILE, data) and out.read_whole(MANIFEST_FILE) != data:
        raise UsageError(f"{out.url} holds the manifest of another set by now: choose another OUT, or delete that one")
    return decode_manifest(data)


def _finish_cell(out: Store, name: str, records: list[ShardRecord], schema: pa.Schema, shuffle: CellShuffle) -> Cell:
    """Join the parts of the cell's shards into its index."""
    file = index_file(name)
    try:
        _join_index(out, file, records, schema)
    except (ConnectionAbortedError, TimeoutError):
        # The client does not repeat a request that begins an upload, because the store might keep two. So the whole
        # write is repeated.
        _join_index(out, file, records, schema)
    return Cell(
        samples=sum(record.samples for record in records),
        units=sum(record.units for record in records),
        shuffle=shuffle,
        index=IndexFile(file, file_sha256(out, file)),
        shards=[
            ShardFile(shard_file(name, record.number), record.samples, record.units, record.bytes, record.sha256)
            for record in records
        ],
    )


def _join_index(out: Store, file: str, records: list[ShardRecord], schema: pa.Schema) -> None:
    parts = read_ahead(lambda record: _read_part(out, record, schema), records, out.reads_at_once)
    with contextlib.closing(parts), out.open_write(file) as output:
        write_index(output, schema, parts)


def _read_part(out: Store, record: ShardRecord, schema: pa.Schema) -> pa.Table:
    """Read a shard's rows of the index."""
    file = index_part_file(record.cell, record.number)
    try:
        data = out.read_whole(file)
    except (FileNotFoundError, FileTooLargeError):
        data = b""
    table = _decode_part(data, record, schema)
    if table is None:
        out.delete(record_file(record.cell, record.number))
        raise DamagedPartError(f"{out.url}/{file} is damaged: the same command makes it and its shard again")
    return table


def _decode_part(data: bytes, record: ShardRecord, schema: pa.Schema) -> pa.Table | None:
    """Return the rows in a part of an index; None if they are not those that the record describes."""
    if hashlib.sha256(data).hexdigest() != record.index_sha256:
        return None
    try:
        (table,) = read_index(pa.BufferReader(data))
    except (OSError, ValueError, pa.ArrowException):  # Arrow raises these for bytes that it cannot read
        return None
    return table if table.schema.equals(schema) and table.num_rows == record.samples else None


def _totals(plan: Plan, records: Mapping[tuple[str, int], ShardRecord], cells: Mapping[str, Cell]) -> Totals:
    variant = variant_named(plan.catalog.variant)
    accounts = dict(plan.catalog.accounts)
    lost = {variant.samples_account: sum(record.rejected_samples for record in records.values())}
    if variant.units_account is not None:
        lost[variant.units_account] = sum(record.rejected_units for record in records.values())
    accounts |= {name: accounts[name].less(count) for name, count in lost.items()}
    return Totals(
        accounts=accounts,
        units=sum(cell.units for cell in cells.values()),
        samples=sum(cell.samples for cell in cells.values()),
        shards=sum(len(cell.shards) for cell in cells.values()),
        bytes=sum(shard.bytes for cell in cells.values() for shard in cell.shards),
    )


def _counts(rejects: list[Reject]) -> dict[str, int]:
    return dict(sorted(Counter(str(reject.reason) for reject in rejects).items()))
