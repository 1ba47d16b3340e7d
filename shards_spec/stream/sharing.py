"""Share an epoch among ranks and workers, sample by sample: pure functions of numbers.

What is shared is a sequence of *spans*, which are ranges of the epoch's positions. At first it is the whole epoch. When
a run is resumed under another topology, it is what is left of the epoch. A *part* is the range of that sequence that
one worker of one rank gets.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

from shards_spec.errors import UsageError

Tail = Literal["uneven", "drop", "pad"]
TAILS: tuple[Tail, ...] = get_args(Tail)


class Span(NamedTuple):
    """The positions ``start`` to ``stop`` - 1 of an epoch."""

    start: int
    stop: int


class Topology(NamedTuple):
    """Number of ranks that share an epoch, and number of workers in each (1 if the rank's own process reads)."""

    ranks: int
    workers: int


class Batching(NamedTuple):
    """How the parts of a rank are cut, so that its batches are full."""

    size: int = 1
    """Number of samples in a batch. The parts of a rank's workers, except the last one, are multiples of it."""
    drop_last: bool = False
    """Whether to leave out the samples of a rank that do not fill a batch."""


SINGLE = Batching()
"""How parts are cut for whoever makes batches by other means, or none."""


class Part(NamedTuple):
    """Indices ``start`` to ``stop`` - 1 of the sequence.

    Indices beyond the end of the sequence stand for repeats from its beginning.
    """

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of samples."""
        return self.stop - self.start


def span_length(spans: Sequence[Span]) -> int:
    """Return the number of positions in all spans."""
    return sum(stop - start for start, stop in spans)


def share(
    count: int, topology: Topology, tail: Tail, bundle_size: int = 1, batching: Batching = SINGLE
) -> list[list[Part]]:
    """Cut a sequence of ``count`` samples into a part for each worker of each rank.

    Args:
        count: Number of samples, a multiple of ``bundle_size``.
        topology: The ranks and workers that share the sequence.
        tail: ``uneven``: each sample comes once, and parts (and ranks) differ by at most a bundle. ``drop``: the parts
            are equal, and fewer bundles than there are parts are left out. ``pad``: the parts are equal, and some
            samples come again.
        bundle_size: Number of consecutive samples that always stay together.
        batching: How the samples of a rank are cut into batches, if they are not bundles.

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
    ranks = [flat[rank * topology.workers : (rank + 1) * topology.workers] for rank in range(topology.ranks)]
    return [_in_batches(parts, batching) for parts in ranks] if batching.size > 1 else ranks


def _in_batches(parts: Sequence[Part], batching: Batching) -> list[Part]:
    """Cut the parts of a rank anew, where its batches end."""
    start, stop = parts[0].start, parts[-1].stop
    full = (stop - start) // batching.size
    cuts = [start + part * full // len(parts) * batching.size for part in range(len(parts) + 1)]
    if not batching.drop_last:
        cuts[-1] = stop
    return [Part(begin, end) for begin, end in pairwise(cuts)]


def part_spans(spans: Sequence[Span], part: Part) -> Iterator[tuple[Span, bool]]:
    """Yield the positions of a part in order, each span with whether it is a repeat."""
    length = span_length(spans)
    start = part.start
    while start < part.stop:
        lap, begin = divmod(start, length)
        end = min(part.stop - lap * length, length)
        for span in _slice(spans, begin, end):
            yield span, lap > 0
        start = lap * length + end


def unseen(spans: Sequence[Span], parts: Sequence[Sequence[Part]], consumed: Sequence[Sequence[int]]) -> list[Span]:
    """Return the spans that no part has yielded yet.

    Args:
        spans: The sequence that was shared.
        parts: ``[rank][worker]``: the part of each worker.
        consumed: ``[rank][worker]``: number of samples that each worker has yielded from the beginning of its part.
    """
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
    """Yield indices ``start`` to ``stop`` - 1 of the sequence as spans."""
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
