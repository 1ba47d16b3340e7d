"""Lists of different lengths, kept as flat values and counts: which values belong to which rows."""

from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer[Any]]


def list_starts(counts: Integers) -> npt.NDArray[np.int64]:
    """Return where each row's values begin, and where the last row's values end.

    Args:
        counts: The number of values of each row, integers ``[n]``.

    Returns:
        ``[n + 1]``.
    """
    starts = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


def value_positions(starts: Integers, counts: Integers) -> npt.NDArray[np.int64]:
    """Return the positions of the values of chosen rows, in the order of the rows.

    Args:
        starts: Where each chosen row's values begin, ``[n]``.
        counts: How many values each of them has, ``[n]``.

    Returns:
        ``[sum(counts)]``.
    """
    packed = list_starts(counts)
    return np.arange(packed[-1], dtype=np.int64) + np.repeat(starts - packed[:-1], counts)
