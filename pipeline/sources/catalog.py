"""The catalog: what a source found, a row a frame. Sources make it, the plan shares it out over shards."""

from dataclasses import dataclass

import pyarrow as pa

from shards_spec.manifest import Decision, SourceFile
from shards_spec.rejects import Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What a source holds, and what of it is already known to be lost.

    The counts add up: ``label_lines`` = blank + repeated + rejected lines + lines that label frames;
    ``labelled_frames`` = rows of ``frames`` + ``rejected_frames``; ``labelled_members`` = members in ``frames`` +
    ``rejected_members``.
    """

    frames: pa.Table
    """Of ``FRAME_SCHEMA``."""
    protocols: dict[str, dict[str, list[str]]]
    """Protocol ("p1") to split ("train") to the sorted names of its cells."""
    cell_splits: dict[str, dict[str, list[str]]]
    """Cell to protocol to its sorted splits, as sidecars say it."""
    variant: str
    """Which sidecar the samples get: "city1m"."""
    dataset: str
    archives: list[SourceFile]
    labels: list[SourceFile]
    decisions: dict[str, Decision]
    """"box_order" and "identity_scope"."""
    label_lines: int
    label_lines_rejected: int
    labelled_frames: int
    labelled_members: int
    rejected_frames: int
    """Frames lost whole: by a reject of the frame, or because each of their members was rejected."""
    rejected_members: int
    """Labelled members lost with their frame or by themselves."""
    rejects: list[Reject]
    notes: dict[str, int]
    """Count by ``Note``; only those that occurred."""
    gaps: list[str]
    """Sentences on what the source seems to lack, such as an archive or a split. With any, the source is incomplete."""

    @property
    def identity_is_global(self) -> bool:
        """Whether a person id alone names an identity."""
        return bool(self.decisions["identity_scope"].choice == "global")
