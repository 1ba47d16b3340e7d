"""The catalog: what a source found, one row for each unit. A source makes it; the plan distributes it over shards."""

from dataclasses import dataclass

import pyarrow as pa

from pipeline.sources.base import Source
from shards_spec.manifest import Account, Decision, SourceFile
from shards_spec.rejects import Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What a source holds, and which of it is already known to be lost.

    The accounts add up: what the source names is either kept, which means that it is to be converted, or rejected.
    """

    source: Source
    """The kind of the source."""
    rows: pa.Table
    """One row for each unit to convert, in the order in which the source is best read. A unit is what stands together
    in a shard: the crops of a frame, or a single sample.

    Every catalog has the columns ``cell`` (the name of the cell, a string), ``group`` (what shards do not part, a
    string; null where the row is a group of its own) and ``samples`` (the number of samples that are planned for the
    row, an integer of at least 1). All others are the source's own and say where to read the row and what its samples
    are. A column of strings that may have over 2 GiB is dictionary-encoded or of the type ``large_string``, because
    Arrow's strings have offsets of 32 bits. Each column has one chunk, so that slices are taken fast."""
    protocols: dict[str, dict[str, list[str]]]
    """The sorted names of the cells of each split ("train") of each protocol ("p1")."""
    cell_splits: dict[str, dict[str, list[str]]]
    """The sorted splits of each protocol, by cell, as sidecars have them."""
    dataset: str
    archives: list[SourceFile]
    labels: list[SourceFile]
    decisions: dict[str, Decision]
    """Decisions on what the documentation of the dataset leaves open, by name."""
    accounts: dict[str, Account]
    """What the source names, by the names of the variant's accounts and in their order. A unit is rejected if all of
    its samples are."""
    rejects: list[Reject]
    notes: dict[str, int]
    """Count of each ``Note`` that occurred."""
    gaps: list[str]
    """Sentences about what the source seems to lack, such as an archive or a split. If there are any, the source is
    incomplete."""

    @property
    def variant(self) -> str:
        """Return the name of the variant that the samples have."""
        return self.source.variant
