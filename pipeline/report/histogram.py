"""How values spread: histograms with round edges."""

import math
from dataclasses import dataclass

import numpy as np

BINS = 24
"""Bars that a histogram has at most, the last one of which may hold everything above."""
MOST_VALUES = 24
"""Different whole numbers that are counted each for itself."""
_TAIL = 0.995
"""Share of the values that lie below the last bar, if a few lie far above the others."""
_LIMIT = 1e15
"""Values from here on are left out, as those that are not finite are: no true one comes near."""


@dataclass(frozen=True, slots=True)
class Bar:
    """How many values lie from ``low`` on, below ``high``; None stands for no limit."""

    low: float
    high: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Spread:
    """The distribution of a column's values."""

    count: int
    """Number of values."""
    left_out: int
    """Values that are null, not finite or absurdly large; they are in no other number here."""
    low: float
    median: float
    mean: float
    high: float
    bars: tuple[Bar, ...]
    is_whole: bool
    """Whether each bar is a single whole number."""


def spread(values: np.ndarray, nulls: int = 0) -> Spread | None:
    """Return the distribution of some numbers, or None if there are none to show.

    The edges of the bars are round numbers, so they do not tell anything that the values do not.

    Args:
        values: The numbers.
        nulls: How many further values are null.
    """
    finite = values[np.abs(values.astype(np.float64)) < _LIMIT]
    if not len(finite):
        return None
    low, high = float(finite.min()), float(finite.max())
    is_whole = bool(np.issubdtype(values.dtype, np.integer)) and high - low < MOST_VALUES
    edges = np.arange(low, high + 2) if is_whole else _round_edges(finite)
    counts = np.histogram(finite, edges)[0] if is_whole else _count(finite, edges)
    bars = [
        Bar(float(start), float(stop), int(count))
        for start, stop, count in zip(edges[:-1], edges[1:], counts, strict=False)
    ]
    if len(counts) == len(edges):  # what lies above the last edge
        bars.append(Bar(float(edges[-1]), None, int(counts[-1])))
    assert sum(bar.count for bar in bars) == len(finite)
    return Spread(
        count=len(finite),
        left_out=nulls + len(values) - len(finite),
        low=low,
        median=float(np.median(finite)),
        mean=float(finite.mean(dtype=np.float64)),
        high=high,
        bars=tuple(bars),
        is_whole=is_whole,
    )


def _round_edges(values: np.ndarray) -> np.ndarray:
    """Return edges at multiples of 1, 2 or 5 times a power of ten, which a last bar without an end may follow."""
    low, tail, high = np.quantile(values, [0.0, _TAIL, 1.0])
    top = high if high - low <= 1.5 * (tail - low) else tail
    width = (top - low) / (BINS - 2)
    if not (math.isfinite(width) and width > abs(high) * 1e-12):  # one value, or numbers without a sensible width
        width = max(1.0, abs(float(high)) * 1e-6)
    power = 10.0 ** math.floor(math.log10(width))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= width * 0.999)
    if np.issubdtype(values.dtype, np.integer):
        step = max(1.0, step)
    first = math.floor(low / step)
    count = max(1, math.floor(top / step) - first + 1)
    edges: np.ndarray = (first + np.arange(min(count, BINS) + 1)) * step
    return edges


def _count(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Count the values from each edge up to the next; those above the last edge count only if there are any."""
    counts = np.bincount(np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 1))
    padded: np.ndarray = np.pad(counts, (0, max(0, len(edges) - 1 - len(counts))))
    return padded
