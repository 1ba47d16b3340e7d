"""What joining the ranges of an archive needs to know of each: a few numbers, which travel between tasks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chain:
    """How the entries found in a range follow each other, as far as joining ranges needs it. Offsets are in bytes."""

    start: int
    """Where the range begins in the archive."""
    stop: int
    begins: int | None
    """Offset at or behind ``start`` of the first header, or of what stands in place of one at the chain's end. None if
    nothing in the range looks like a header."""
    next: int
    """Where the chain goes on behind the range, or where it ends."""
    ended: bool
    """Whether a block of zeros stands at ``next``, which ends a tar."""
    fault: str | None
    """Why no entry can be read at ``next``, where that lies in the archive and the chain has not ended."""
    entries: int
    trailing: int | None
    """Offset of the first byte in the range, behind the chain's end, that is not zero; None if all are, or if the chain
    has no end."""
