"""Cutting a row of things of different sizes into parts that are as good as equal."""

import numpy as np
import numpy.typing as npt

_Int64 = npt.NDArray[np.int64]


def balanced_cuts(sizes: _Int64, parts: int) -> _Int64:
    """Cut ``sizes`` into contiguous parts whose sums differ by no more than the largest size.

    That this can always be done is known (Barany and Grinberg, Block partitions of sequences, 2015). With every part's
    sum from L to L + g, g the largest size, the places that k parts can end at are all those from a first to a last
    one: windows of that length around neighbouring places overlap. The windows of L and of L + 1 overlap as well, so
    the largest L whose first end of the last part is not beyond the end of all has the end within its reach.

    Args:
        sizes: ``[n]``, each at least 1.
        parts: From 1 to n.

    Returns:
        ``[parts + 1]``: where each part begins, and n; no part is empty.

    Raises:
        ValueError: the sizes or the number of parts are out of range.
    """
    if not 1 <= parts <= len(sizes) or int(sizes.min()) < 1:
        raise ValueError(f"{len(sizes)} sizes from {sizes.min(initial=0)} cannot be cut into {parts} parts")
    sums = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    spread = int(sizes.max())
    mean = int(sums[-1]) // parts
    low, high = max(1, mean - spread), mean  # a part's least sum; the lowest one always ends in time
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
    """The first place that each part can end at where every part's sum is at least ``least``; None beyond the end."""
    ends = np.zeros(parts + 1, np.int64)
    for part in range(parts):
        ends[part + 1] = np.searchsorted(sums, sums[ends[part]] + least)
        if ends[part + 1] == len(sums):
            return None
    return ends


def _last_ends(sums: _Int64, most: int, parts: int) -> _Int64:
    """The last place that each part can end at where every part's sum is at most ``most``."""
    ends = np.zeros(parts + 1, np.int64)
    for part in range(parts):
        ends[part + 1] = np.searchsorted(sums, sums[ends[part]] + most, side="right") - 1
    return ends


def _walk_back(sums: _Int64, first: _Int64, last: _Int64, least: int) -> _Int64:
    """Cuts from the end back: each as late as its part's ``least`` sum and the reach of the parts before allow."""
    cuts = np.empty_like(first)
    cuts[-1] = len(sums) - 1
    for part in range(len(cuts) - 2, -1, -1):
        latest = np.searchsorted(sums, sums[cuts[part + 1]] - least, side="right") - 1
        cuts[part] = min(latest, last[part])
        assert cuts[part] >= first[part], f"part {part} begins at {cuts[part]}, before {first[part]}"
    return cuts
