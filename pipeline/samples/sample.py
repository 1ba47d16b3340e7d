"""A sample that is ready to go into a shard, and what became of the rows that samples are made from."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shards_spec.rejects import Note, Reject


class Sample(NamedTuple):
    """A sample."""

    key: str
    sidecar: Any
    """The sidecar, which is of the variant's struct."""
    files: tuple[bytes, ...]
    """The sample's files without the sidecar, in the order of the variant."""


@dataclass(slots=True)
class Outcome:
    """What became of a row: each sample that was planned for it is there, or covered by a reject."""

    samples: list[Sample] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    notes: dict[Note, int] = field(default_factory=dict)
