"""How two sets differ: what they were made from and with, what they hold, and which samples both have."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.histogram import Spread
from pipeline.report.page import Report
from shards_spec.errors import SpecError
from shards_spec.index_read import IndexReader
from shards_spec.manifest import Manifest
from shards_spec.storage import ReadableStore, open_buffered
from shards_spec.variants import variant_named
from shards_spec.variants.base import SIDECAR

EXAMPLES = 12
"""Keys that are shown of each kind of difference."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A fact and what each set says of it; None where a set does not have it."""

    name: str
    first: Any
    second: Any

    @property
    def differs(self) -> bool:
        """Whether the sets differ in it."""
        return bool(self.first != self.second)


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one kind."""

    name: str
    title: str
    count: int
    examples: Sequence[str]
    """The first keys, sorted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What the page of two sets shows."""

    first: Report
    second: Report
    making: Sequence[Pair]
    """Dataset, options, versions and decisions."""
    counts: Sequence[Pair]
    splits: Sequence[tuple[str, Pair, Pair]]
    """Each split with its samples and its identities."""
    samples: Sequence[Samples]
    spreads: Sequence[tuple[str, str, str, Spread | None, Spread | None]]
    """Name, title and unit of each distribution, and what it is in each set."""


def compare_reports(stores: tuple[ReadableStore, ReadableStore], reports: tuple[Report, Report]) -> Difference:
    """Return how two sets differ.

    Args:
        stores: Where the sets lie.
        reports: Of the sets.

    Raises:
        SpecError: An index that could be read for the report cannot be read any more.
    """
    first, second = reports
    unread = {file for report in reports for file, _ in report.faults}
    files = [variant_named(report.manifest.variant).files for report in reports]
    common = [file for file in files[0] if file in files[1]]
    tables = [_keys(store, report.manifest, unread, common) for store, report in zip(stores, reports, strict=True)]
    named = {one.name: (one.title, one.unit) for report in (second, first) for one in report.distributions}
    spreads = [{one.name: one.spread for one in report.distributions} for report in reports]
    return Difference(
        first=first,
        second=second,
        making=_pairs(*(_making(report.manifest) for report in reports)),
        counts=_pairs(*(_counts(report) for report in reports)),
        splits=list(_splits(first, second)),
        samples=_compare_samples(tables[0], tables[1], common),
        spreads=[(name, *words, spreads[0].get(name), spreads[1].get(name)) for name, words in named.items()],
    )


def _pairs(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Pair]:
    return [Pair(name, first.get(name), second.get(name)) for name in dict.fromkeys([*first, *second])]


def _making(manifest: Manifest) -> dict[str, str]:
    options = {f"option {name}": _text(value) for name, value in manifest.options.items()}
    decisions = {f"decision {name}": decision.choice for name, decision in manifest.decisions.items()}
    return {
        "dataset": manifest.source.title,
        "variant": manifest.variant,
        "source files": f"{len(manifest.source.archives) + len(manifest.source.labels):,}",
        **options,
        **decisions,
        **manifest.versions,
        "plan digest": manifest.plan_digest,
    }


def _text(value: Any) -> str:
    return " x ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _counts(report: Report) -> dict[str, int]:
    totals = report.manifest.totals
    return {
        "samples": totals.samples,
        "units": totals.units,
        "identities": report.identities,
        "cameras": report.cameras.known,
        "shards": totals.shards,
        "bytes of shards": totals.bytes,
        **{f"{name} rejected": account.rejected for name, account in totals.accounts.items()},
        **{f"rejects: {reason}": count for reason, count in report.manifest.rejects.items()},
        **{f"notes: {note}": noted.count for note, noted in report.manifest.notes.items()},
    }


def _splits(first: Report, second: Report) -> Iterator[tuple[str, Pair, Pair]]:
    found = [{split.name: split for split in report.splits} for report in (first, second)]
    for name in sorted({*found[0], *found[1]}):
        one, two = (splits.get(name) for splits in found)
        yield (
            name,
            Pair("samples", one.samples if one else None, two.samples if two else None),
            Pair("identities", one.identities if one else None, two.identities if two else None),
        )


def _keys(store: ReadableStore, manifest: Manifest, unread: set[str], files: Sequence[str]) -> pa.Table:
    """Return the key of each sample with the size and the CRC-32 of its sidecar and of some of its files."""
    tables = []
    columns = ["key", *(f"{file}_{what}" for file in (*files, SIDECAR) for what in ("size", "crc32"))]
    for cell in manifest.cells.values():
        if cell.index.file in unread:
            continue
        with open_buffered(store, cell.index.file) as file, IndexReader(file, len(cell.shards)) as index:
            tables += [index.read(group, shard, columns) for group, shard in enumerate(cell.shards)]
    if not tables:
        raise SpecError(f"{store.url}: no index of it can be read")
    return pa.concat_tables(tables).combine_chunks()


def _compare_samples(first: pa.Table, second: pa.Table, files: Sequence[str]) -> list[Samples]:
    """Match the samples by their keys, and compare their files by size and CRC-32."""
    places = pc.index_in(second["key"], value_set=first["key"].combine_chunks())
    is_common = pc.is_valid(places)
    ours, theirs = first.take(places.drop_null()), second.filter(is_common)
    same = {file: _same(ours, theirs, file) for file in (*files, SIDECAR)}
    sidecar = same.pop(SIDECAR)
    image = functools.reduce(pc.and_, same.values()) if same else pa.array([True] * theirs.num_rows, pa.bool_())
    taken = pc.is_in(pa.array(range(first.num_rows), pa.int32()), value_set=pc.drop_null(places.combine_chunks()))
    groups = (
        ("same", "In both, and the same", theirs.filter(pc.and_(image, sidecar))),
        ("sidecar", "In both, only the sidecar differs", theirs.filter(pc.and_(image, pc.invert(sidecar)))),
        ("image", "In both, another image or other file", theirs.filter(pc.invert(image))),
        ("first", "Only in the first set", first.filter(pc.invert(taken))),
        ("second", "Only in the second set", second.filter(pc.invert(is_common))),
    )
    return [Samples(name, title, table.num_rows, _first_keys(table)) for name, title, table in groups]


def _same(first: pa.Table, second: pa.Table, file: str) -> pa.ChunkedArray:
    """Return whether a file of each sample has the same size and CRC-32 in both tables."""
    return pc.and_(*(pc.equal(first[f"{file}_{what}"], second[f"{file}_{what}"]) for what in ("size", "crc32")))


def _first_keys(table: pa.Table) -> list[str]:
    place = pc.select_k_unstable(table, k=min(EXAMPLES, table.num_rows), sort_keys=[("key", "ascending")])
    return [str(key) for key in table["key"].take(place).to_pylist()]
