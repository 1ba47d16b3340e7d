"""Joining the ranges of an archive that were scanned independently: a pure function over their chains."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.archives.errors import ArchiveError, damaged
from pipeline.archives.tar.chain import Chain
from pipeline.archives.tar.stream import TarStream


class Rescan(NamedTuple):
    """A range to scan again, because its chain did not begin with an entry of the archive."""

    range_index: int
    """Position of the range among those of the archive."""
    first: int
    """Offset of its first header."""


class Joined(NamedTuple):
    """An archive whose ranges fit together."""

    kept: list[bool]
    """Of each range, whether its entries are the archive's. Those of the others lie inside an entry, or behind the
    archive's end."""
    entries: int
    """Number of entries."""
    end: int | None
    """Offset of the zeros that end the archive; None if its last entry ends it, as if it had been cut off there."""
    trailing: int | None
    """Offset of the first byte behind the end that is not zero; None if there is none. Archivers ignore what follows
    an archive's end, unless they are told not to (``tar --ignore-zeros``)."""


def stitch(stream: TarStream, chains: Sequence[Chain]) -> Joined | Rescan:
    """Join the chains of an archive's ranges.

    The archive's first header stands at byte 0. From there on, each range must begin where the chain before it goes on;
    a range that begins elsewhere found something inside an entry that looks like a header. After it has been scanned
    again, call this function anew.

    Args:
        stream: The archive.
        chains: The chains of ranges that cover the archive, in order.

    Raises:
        ArchiveError: The chain breaks: the archive is damaged or cut off. The message names the byte.
    """
    position = 0
    end = trailing = None
    kept = []
    for index, chain in enumerate(chains):
        if end is not None:
            kept.append(False)
            trailing = chain.begins if trailing is None else trailing
            trailing = chain.trailing if trailing is None else trailing
        elif position >= chain.stop:
            kept.append(False)  # the range lies inside an entry
        elif chain.begins != position:
            return Rescan(index, position)
        elif chain.fault is not None:
            path, byte = stream.place(chain.next)
            raise damaged(path, f"at byte {byte}, {chain.fault}")
        else:
            kept.append(True)
            position = chain.next
            if chain.ended:
                end, trailing = position, chain.trailing
    if end is not None and stream.place(end)[0] != stream.paths[-1]:
        path, byte = stream.place(end)
        raise ArchiveError(
            f"{stream.paths[-1]} is no tar archive, for no header stands at its beginning, nor does it go on with the "
            f"archive before it: that ends at byte {byte} of {path}"
        )
    entries = sum(chain.entries for chain, is_kept in zip(chains, kept, strict=True) if is_kept)
    return Joined(kept, entries, end, trailing)
