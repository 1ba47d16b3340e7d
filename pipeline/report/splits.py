"""What each split holds, and what splits have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.report.rows import UNKNOWN_CAMERA, SetRows
from shards_spec.manifest import Manifest

MOST_SPLITS = 12
"""Splits that are compared with each other; a set of two protocols has six."""


@dataclass(frozen=True, slots=True)
class SplitNumbers:
    """What a split of a protocol holds."""

    protocol: str
    split: str
    cells: Sequence[str]
    samples: int
    units: int
    shards: int
    bytes: int
    identities: int
    cameras: int

    @property
    def name(self) -> str:
        """Protocol and split, such as ``"p1 train"``."""
        return f"{self.protocol} {self.split}"


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two splits have in common."""

    samples: int
    identities: int


def split_numbers(manifest: Manifest, rows: SetRows) -> list[SplitNumbers]:
    """Return what each split holds. Counts of identities and cameras are of the indexes that could be read."""
    identity, camera = rows.codes(rows.columns.identity), rows.cameras()
    numbers = []
    for protocol, splits in manifest.protocols.items():
        for split, names in splits.items():
            cells = [manifest.cells[name] for name in names]
            found = rows.of_cells(names)
            numbers.append(
                SplitNumbers(
                    protocol=protocol,
                    split=split,
                    cells=names,
                    samples=sum(cell.samples for cell in cells),
                    units=sum(cell.units for cell in cells),
                    shards=sum(len(cell.shards) for cell in cells),
                    bytes=sum(shard.bytes for cell in cells for shard in cell.shards),
                    identities=int(_members(identity[found], len(rows.values(rows.columns.identity))).sum()),
                    cameras=int((np.unique(camera[found]) != UNKNOWN_CAMERA).sum()),
                )
            )
    return numbers


def overlaps(manifest: Manifest, rows: SetRows, splits: Sequence[SplitNumbers]) -> dict[tuple[str, str], Overlap]:
    """Return what each two of the compared splits have in common, by the names of the earlier and the later one."""
    identity, count = rows.codes(rows.columns.identity), len(rows.values(rows.columns.identity))
    compared = splits[:MOST_SPLITS]
    members = [_members(identity[rows.of_cells(split.cells)], count) for split in compared]
    found = {}
    for place, later in enumerate(compared):
        for other, earlier in enumerate(compared[:place]):
            shared = set(later.cells) & set(earlier.cells)
            found[earlier.name, later.name] = Overlap(
                sum(manifest.cells[cell].samples for cell in shared), int((members[place] & members[other]).sum())
            )
    return found


def overlap_names(splits: Sequence[SplitNumbers]) -> list[str]:
    """Return the names of the splits that are compared with each other."""
    return [split.name for split in splits[:MOST_SPLITS]]


def _members(codes: np.ndarray, count: int) -> np.ndarray:
    """Return for each identity whether it occurs."""
    found = np.zeros(count, bool)
    found[codes[codes >= 0]] = True
    return found
