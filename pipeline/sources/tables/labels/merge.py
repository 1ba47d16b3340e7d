"""From labelled rows to samples: rows that name the same box or crop are one sample, in the splits of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shards_spec.rejects import NOTE_EXAMPLES

_Int64 = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples that the labels name."""

    row: _Int64
    """The first row of each sample, rising, ``[samples]``."""
    mask: npt.NDArray[np.uint64]
    """The bits of its splits, ``[samples]``."""
    repeated: int
    """Number of rows that say again what an earlier row of the same split says."""
    first_repeated: _Int64
    """The first few of them."""


def merge_rows(keys: Sequence[npt.NDArray[Any]], bits: npt.NDArray[np.uint64]) -> Samples:
    """Find the rows that are equal in all columns of ``keys``.

    Args:
        keys: Columns of numbers, ``[rows]`` each. NaN equals NaN.
        bits: The bits of the split of each row; rows with no bit are left out.
    """
    rows = np.flatnonzero(bits)
    columns = [_as_bits(take_rows(key, rows)) for key in keys]
    hashes = np.zeros(len(rows), np.uint64)
    for column in columns:
        hashes = (hashes ^ column) * _MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    is_start = np.ones(len(rows), bool)
    is_start[1:] = ordered[1:] != ordered[:-1]
    first = np.empty(len(rows), np.int64)
    first[order] = order[np.flatnonzero(is_start)][np.cumsum(is_start) - 1]
    differs = np.zeros(len(rows), bool)  # a row that has another one's hash, but not its values
    for column in columns:
        differs |= column != column[first]
    first[differs] = np.flatnonzero(differs)
    starts, group = np.unique(first, return_inverse=True)
    mask = np.zeros(len(starts), np.uint64)
    np.bitwise_or.at(mask, group, bits[rows])
    distinct = int(_count_bits(mask).sum())
    repeated = len(rows) - distinct
    first_repeated = rows[:0]
    if repeated:
        of_split = group * 64 + np.log2(bits[rows]).astype(np.int64)  # each row has one bit
        first_repeated = rows[later_ones(of_split)[:NOTE_EXAMPLES]]
    return Samples(rows[starts], mask, repeated, first_repeated)


def later_ones(values: npt.NDArray[np.integer[Any]]) -> _Int64:
    """Return the positions of the elements that have the value of an earlier one, rising."""
    is_later = np.ones(len(values), bool)
    is_later[np.unique(values, return_index=True)[1]] = False
    return np.flatnonzero(is_later)


def conflicts(image: _Int64, keys: Sequence[npt.NDArray[Any]]) -> dict[int, int]:
    """Find images of which two samples say different things.

    Args:
        image: The number of the image of each sample, ``[samples]``.
        keys: Columns of numbers in which all samples of an image must be equal, ``[samples]`` each.

    Returns:
        For each such image, the first sample that differs from the image's first one.
    """
    first = first_positions(image)
    differs = np.zeros(len(image), bool)
    for key in keys:
        column = _as_bits(key)
        differs |= column != column[first]
    found: dict[int, int] = {}
    for sample in np.flatnonzero(differs).tolist():
        found.setdefault(int(image[sample]), sample)
    return found


def first_positions(values: _Int64) -> _Int64:
    """Return for each element the position of the first one with its value; values are not negative."""
    firsts = np.empty(int(values.max(initial=-1)) + 1, np.int64)
    firsts[values[::-1]] = np.arange(len(values))[::-1]
    return firsts[values]


def distinct(values: _Int64) -> _Int64:
    """Return the different values, which are not negative, sorted."""
    is_there = np.zeros(int(values.max(initial=-1)) + 1, bool)
    is_there[values] = True
    return np.flatnonzero(is_there)


def take_rows(values: npt.NDArray[Any], rows: _Int64) -> npt.NDArray[Any]:
    """Return the values of rows, which rise; the same array if these are all rows."""
    return values if len(rows) == len(values) else values[rows]


def ordinals(groups: _Int64) -> _Int64:
    """Return the position of each element among the elements of its group, from 0, ``[elements]``."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    counts = np.diff(np.append(starts, len(groups)))
    positions = np.empty(len(groups), np.int64)
    positions[order] = np.arange(len(groups)) - np.repeat(starts, counts)
    return positions


def has_repeats(groups: _Int64, values: _Int64) -> _Bools:
    """Return which elements have a value that another element of their group has, ``[elements]``; -1 is no value."""
    result = np.zeros(len(groups), bool)
    order = np.lexsort((values, groups))
    same = (np.diff(groups[order]) == 0) & (np.diff(values[order]) == 0) & (values[order][1:] >= 0)
    result[order[1:][same]] = True
    result[order[:-1][same]] = True
    return result


def _as_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return numbers as their bits, so that they can be compared and mixed; -0.0 equals 0.0."""
    if values.dtype.kind == "f":
        return (values.astype(np.float64) + 0.0).view(np.uint64)
    return values.astype(np.int64).view(np.uint64)


def _count_bits(mask: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    counts: npt.NDArray[np.uint8] = np.bitwise_count(mask)
    return counts
