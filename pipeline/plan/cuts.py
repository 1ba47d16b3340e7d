"""Cutting a sequence of sizes into contiguous parts of nearly equal sums."""

import numpy as np
import numpy.typing as npt

_Int64 = npt.NDArray[np.int64]


def balanced_cuts(sizes: _Int64, parts: int) -> _Int64:
    """Cut ``sizes`` into contiguous parts whose sums differ by no more than the largest size.

    Such a cut always exists (Barany and Grinberg, Block partitions of sequences, 2015). Let g be the largest size, and
    let every part's sum lie between L and L + g. The positions at which k parts can end then form one range without
    holes, because the ranges that follow from neighbouring positions overlap. The ranges for L and for L + 1 overlap as
    well. So take the largest L for which the earliest end of the last part does not lie beyond the end of the sequence:
    the end is then within reach.

    Args:
        sizes: The sizes, ``[n]``, each at least 1.
        parts: How many parts to make, from 1 to n.

    Returns:
        ``[parts + 1]``: where each part begins, and n; no part is empty.

    Raises:
        ValueError: The sizes or the number of parts are out of range.
    """
    if not 1 <= parts <= len(sizes) or int(sizes.min()) < 1:
        raise ValueError(f"{len(sizes)} sizes from {sizes.min(initial=0)} cannot be cut into {parts} parts")
    sums = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    spread = int(sizes.max())
    mean = int(sums[-1]) // parts
    low, high = max(1, mean - spread), mean  # bounds of a part's smallest sum; the lower one always fits
    while low < high:
        middle = (low + high + 1) // 2
        if _first_ends(sums, middle, parts) is None:
            high = middle - 1
        else:
            low = middle
    first = _first_ends(sums, low, parts)
    assert first is not None, f"{parts} parts of at least {low} overrun a sum of {sums[-1]}"
    return _walk_back(sums, first, _last_ends(sums, low + spread, parts), low)


def _first_ends(sums: _Int64, least: int, parts: int) -> _Int64 | None:
    """Return the earliest end of each part if every sum is at least ``least``; None if that overruns the end."""
    ends = np.zeros(parts + 1, np.int64)
    for part in range(parts):
        ends[part + 1] = np.searchsorted(sums, sums[ends[part]] + least)
        if ends[part + 1] == len(sums):
            return None
    return ends


def _last_ends(sums: _Int64, most: int, parts: int) -> _Int64:
    """Return the latest end of each part if every part's sum is at most ``most``."""
    ends = np.zeros(parts + 1, np.int64)
    for part in range(parts):
        ends[part + 1] = np.searchsorted(sums, sums[ends[part]] + most, side="right") - 1
    return ends


def _walk_back(sums: _Int64, first: _Int64, last: _Int64, least: int) -> _Int64:
    """Choose the cuts from the end backwards, each as late as ``least`` and the reach of the earlier parts allow."""
    cuts = np.empty_like(first)
    cuts[-1] = len(sums) - 1
    for part in range(len(cuts) - 2, -1, -1):
        latest = np.searchsorted(sums, sums[cuts[part + 1]] - least, side="right") - 1
        cuts[part] = min(latest, last[part])
        assert cuts[part] >= first[part], f"part {part} begins at {cuts[part]}, before {first[part]}"
    return cuts
