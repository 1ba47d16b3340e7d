"""Whether the shards of a set are balanced."""

from dataclasses import dataclass

import numpy as np

from pipeline.report.rows import SetRows
from shards_spec.manifest import Manifest


@dataclass(frozen=True, slots=True)
class CellNumbers:
    """A cell and the balance of its shards."""

    cell: str
    samples: int
    units: int
    shards: int
    bytes: int
    least: int
    """Samples of the smallest shard."""
    most: int
    """Samples of the largest shard."""
    least_bytes: int
    most_bytes: int
    identities: float | None
    """Identities that a shard of the cell holds on average; None if it holds none, or the index
    could not be read."""


def cell_numbers(manifest: Manifest, rows: SetRows) -> list[CellNumbers]:
    """Return what each cell holds and how even its shards are."""
    identity = rows.codes(rows.columns.identity)
    mixed: dict[str, list[int]] = {}
    for shard in rows.shards:
        codes = identity[shard.start : shard.stop]
        mixed.setdefault(shard.cell, []).append(len(np.unique(codes[codes >= 0])))
    numbers = []
    for name, cell in manifest.cells.items():
        samples = [shard.samples for shard in cell.shards]
        sizes = [shard.bytes for shard in cell.shards]
        numbers.append(
            CellNumbers(
                cell=name,
                samples=cell.samples,
                units=cell.units,
                shards=len(cell.shards),
                bytes=sum(sizes),
                least=min(samples, default=0),
                most=max(samples, default=0),
                least_bytes=min(sizes, default=0),
                most_bytes=max(sizes, default=0),
                identities=sum(mixed[name]) / len(mixed[name]) if any(mixed.get(name, ())) else None,
            )
        )
    return numbers
