"""A sample that is ready to go into a shard, and what became of the rows that samples are made from."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from shards_spec.rejects import Note, Reject


class Sample(msgspec.Struct, frozen=True):
    """A sample."""

    key: str
    sidecar: Any
    """The sidecar, which is of the variant's struct."""
    files: tuple[bytes, ...]
    """The sample's files without the sidecar, in the order of the variant."""


@dataclass(slots=True)
class Outcome:
    """What became of some rows: each sample that was planned for them is there, or covered by a reject.

    Samples are in columns: with an object for each, small ones would take a tenth longer.
    """

    rows: list[int] = field(default_factory=list)
    """The row of each sample, as its position among the rows; in order, so that the samples of a row stand together."""
    keys: list[str] = field(default_factory=list)
    sidecars: list[Any] = field(default_factory=list)
    files: list[tuple[bytes, ...]] = field(default_factory=list)
    """The files of each sample; see ``Sample.files``."""
    rejects: list[Reject] = field(default_factory=list)
    notes: list[tuple[Note, str]] = field(default_factory=list)
    """What was noted, each time with the key of the sample or the place of the image that shows it."""

    def add(self, row: int, key: str, sidecar: Any, files: tuple[bytes, ...]) -> None:
        """Add a sample of a row."""
        self.rows.append(row)
        self.keys.append(key)
        self.sidecars.append(sidecar)
        self.files.append(files)

    @property
    def samples(self) -> list[Sample]:
        """Return the samples as objects."""
        return list(map(Sample, self.keys, self.sidecars, self.files))
