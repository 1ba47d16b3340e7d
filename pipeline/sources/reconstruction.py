"""Frames that a source names but does not hold, put together of what it does hold: planned here, done in parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from pipeline.archives import Part, Work
from pipeline.options import OptionGroup
from shards_spec.storage import Store

RESULT_SCHEMA = pa.schema(
    [
        pa.field("what", pa.string(), nullable=False),  # "frames", "members", or what could not be read
        pa.field("count", pa.int64(), nullable=False),
    ]
)
"""The result of a part: how many frames were written and members drawn, and each crop that could not be read."""

FRAMES, MEMBERS = "frames", "members"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """What is to be done, in parts that do not depend on each other."""

    work: Work
    """Does a part: it writes the part's frames and returns a table of ``RESULT_SCHEMA``."""
    parts: list[Part]
    """The parts. Their names hold all that the frames depend on."""
    frames: list[int]
    """Number of frames of each part."""
    members: int
    """Number of members who have a crop, in all frames together. Those whose box lies outside of its frame, and those
    whose crop cannot be read, are not drawn."""
    identity: Mapping[str, str]
    """What tells this reconstruction from others, by name: digests of files, choices, versions."""
    notes: list[str]
    """Sentences about what was decided."""
    left_out: list[str]
    """Sentences about what cannot be drawn, each with its count."""


class PlanReconstruction(Protocol):
    """A function that plans a reconstruction."""

    def __call__(
        self,
        source: Store,
        out_url: str,
        options: OptionGroup,
        versions: Mapping[str, str],
        progress: Callable[[str], None],
    ) -> Reconstruction:
        """Read what is needed for the plan.

        Args:
            source: The store with the source.
            out_url: Where the frames go.
            options: The options of a reconstruction, of the class that the source names.
            versions: The versions of the libraries that bear on the frames' bytes, by name.
            progress: A function that is called with a sentence about the progress now and then.

        Raises:
            UsageError: There is nothing to put together, or it is not clear how.
            OSError: A store reports a fault.
        """
