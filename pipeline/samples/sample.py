"""A sample that is ready to go into a shard, and what became of the rows that samples are made from."""

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


class Outcome(msgspec.Struct):
    """What became of a row: each sample that was planned for it is there, or covered by a reject."""

    samples: list[Sample] = []
    rejects: list[Reject] = []
    notes: list[tuple[Note, str]] = []
    """What was noted, each time with the key of the sample or the place of the image that shows it."""
