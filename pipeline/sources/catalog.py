"""The catalog: what a source found, one row for each frame. A source makes it; the plan distributes it over shards."""

from dataclasses import dataclass

import pyarrow as pa

from shards_spec.manifest import Decision, SourceFile
from shards_spec.rejects import Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What a source holds, and which of it is already known to be lost.

    The counts add up: ``label_lines`` = blank + repeated + rejected lines + lines that label frames;
    ``labelled_frames`` = rows of ``frames`` + ``rejected_frames``; ``labelled_members`` = members in ``frames`` +
    ``rejected_members``.
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
    label_lines: int
    label_lines_rejected: int
    labelled_frames: int
    labelled_members: int
    rejected_frames: int
    """Number of frames that are lost completely, by a reject of the frame or because all of their members were
    rejected."""
    rejected_members: int
    """Number of labelled members that are lost, with their frame or by themselves."""
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
