"""Sharing an epoch out over ranks and workers, by sample: pure functions of numbers.

What is shared out is a sequence of *spans*, ranges of the epoch's positions: all of them at first, and what is left of
them where a run is resumed under another topology. A *part* is what one worker of one rank gets: a range of that
sequence.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

from shards_spec.errors import UsageError

Tail = Literal["uneven", "drop", "pad"]
TAILS: tuple[Tail, ...] = get_args(Tail)


class Span(NamedTuple):
    """Positions ``start`` to ``stop`` - 1 of an epoch."""

    start: int
    stop: int


class Topology(NamedTuple):
    """How many share an epoch: ranks, and workers in each (1 where the process itself reads)."""

    ranks: int
    workers: int


class Part(NamedTuple):
    """Places ``start`` to ``stop`` - 1 of the sequence; those behind its end are repeats from its beginning."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Samples."""
        return self.stop - self.start


def span_length(spans: Sequence[Span]) -> int:
    """Positions in all of them."""
    return sum(stop - start for start, stop in spans)


def share(count: int, topology: Topology, tail: Tail, bundle_size: int = 1) -> list[list[Part]]:
    """Cut a sequence of ``count`` samples into a part for each worker of each rank.

    Args:
        count: Number of samples, a multiple of ``bundle_size``.
        topology: The ranks and workers that share the sequence.
        tail: ``uneven``: each sample comes once, and parts (and ranks) differ by at most a bundle. ``drop``: the parts
            are equal, and fewer bundles than there are parts are left out. ``pad``: the parts are equal, and some
            samples come again.
        bundle_size: Number of consecutive samples that always stay together.

    Returns:
        ``[rank][worker]``.
    """
    if topology.ranks < 1 or topology.workers < 1 or tail not in TAILS:
        raise UsageError(
            f"cannot share over {topology.ranks} ranks x {topology.workers} workers, tail {tail!r} of {TAILS}"
        )
    parts = topology.ranks * topology.workers
    bundles = count // bundle_size
    if tail == "uneven":
        cuts = [part * bundles // parts * bundle_size for part in range(parts + 1)]
    else:
        size = (bundles // parts if tail == "drop" else -(-bundles // parts)) * bundle_size
        cuts = [part * size for part in range(parts + 1)]
    flat = [Part(start, stop) for start, stop in pairwise(cuts)]
    return [flat[rank * topology.workers : (rank + 1) * topology.workers] for rank in range(topology.ranks)]


def part_spans(spans: Sequence[Span], part: Part) -> Iterator[tuple[Span, bool]]:
    """The positions of a part, in order, and whether they are repeats."""
    length = span_length(spans)
    start = part.start
    while start < part.stop:
        lap, begin = divmod(start, length)
        end = min(part.stop - lap * length, length)
        for span in _slice(spans, begin, end):
            yield span, lap > 0
        start = lap * length + end


def unseen(spans: Sequence[Span], parts: Sequence[Sequence[Part]], consumed: Sequence[Sequence[int]]) -> list[Span]:
    """What of the sequence no part has handed out yet, each having handed out its first ``consumed`` samples."""
    length = span_length(spans)
    left: list[Span] = []
    place = 0
    for part, done in zip(
        (part for rank in parts for part in rank), (done for rank in consumed for done in rank), strict=True
    ):
        left += _slice(spans, place, min(part.start, length))
        left += _slice(spans, min(part.start + done, length), min(part.stop, length))
        place = min(part.stop, length)
    left += _slice(spans, place, length)
    return _joined(left)


def _slice(spans: Sequence[Span], start: int, stop: int) -> Iterator[Span]:
    """Places ``start`` to ``stop`` of the sequence as spans."""
    place = 0
    for span in spans:
        size = span.stop - span.start
        begin, end = max(start - place, 0), min(stop - place, size)
        if begin < end:
            yield Span(span.start + begin, span.start + end)
        place += size


def _joined(spans: Sequence[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].stop == span.start:
            joined[-1] = Span(joined[-1].start, span.stop)
        else:
            joined.append(span)
    return joined
