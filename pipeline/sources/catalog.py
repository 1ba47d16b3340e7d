"""The catalog: what a source found, one row for each frame. A source makes it; the plan distributes it over shards."""

from dataclasses import dataclass

import pyarrow as pa

from shards_spec.manifest import Account, Decision, SourceFile
from shards_spec.rejects import Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What a source holds, and which of it is already known to be lost.

    The accounts add up: what the source names is either kept, which means that it is to be converted, or rejected.
    """

    frames: pa.Table
    """One row for each frame to convert, in ``FRAME_SCHEMA``."""
    protocols: dict[str, dict[str, list[str]]]
    """The sorted names of the cells of each split ("train") of each protocol ("p1")."""
    cell_splits: dict[str, dict[str, list[str]]]
    """The sorted splits of each protocol, by cell, as sidecars have them."""
    variant: str
    """Name of the sidecar format that the samples get, such as "city1m"."""
    dataset: str
    archives: list[SourceFile]
    labels: list[SourceFile]
    decisions: dict[str, Decision]
    """Decisions on what the documentation leaves open, such as "box_order", by name."""
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
    def identity_is_global(self) -> bool:
        """Return whether a person id alone names an identity."""
        return bool(self.decisions["identity_scope"].choice == "global")
