"""Cells: the samples that are in the same splits under every protocol. A cell is named after those splits."""

from collections.abc import Mapping, Sequence


def cell_name(splits: Mapping[str, Sequence[str]]) -> str:
    """Return the name of the cell of some splits.

    ``p1-train_p2-none`` is in the split "train" of the protocol "p1" and in no split of "p2". ``p1-gallery-query`` is
    in two splits.

    Args:
        splits: The sorted splits, by protocol; the protocols are sorted as well.
    """
    return "_".join("-".join([protocol, *(names or ["none"])]) for protocol, names in splits.items())
