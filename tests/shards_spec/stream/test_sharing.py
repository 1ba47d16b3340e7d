"""Sharing, as properties over ranks, workers, counts and tails."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.errors import UsageError
from shards_spec.stream.sharing import TAILS, Part, Span, Tail, Topology, part_spans, share, span_length, unseen

topologies = st.builds(Topology, st.integers(1, 9), st.integers(1, 6))
tails = st.sampled_from(TAILS)


def positions(spans: list[Span], part: Part) -> list[tuple[int, bool]]:
    return [(position, repeat) for span, repeat in part_spans(spans, part) for position in range(span.start, span.stop)]


@st.composite
def span_lists(draw: st.DrawFn) -> list[Span]:
    cuts = sorted(draw(st.sets(st.integers(0, 200), max_size=12)))
    return [Span(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]


@given(spans=span_lists(), topology=topologies, tail=tails)
def test_each_position_comes_as_often_as_the_tail_says(spans: list[Span], topology: Topology, tail: Tail) -> None:
    parts = share(span_length(spans), topology, tail)
    seen = [one for rank in parts for part in rank for one in positions(spans, part)]
    everything = {position for span in spans for position in range(span.start, span.stop)}
    firsts = Counter(position for position, repeat in seen if not repeat)
    assert all(count == 1 for count in firsts.values())
    sizes = {part.size for rank in parts for part in rank}
    if tail == "drop":
        assert len(sizes) == 1
        assert len(everything) - len(firsts) < topology.ranks * topology.workers
    else:
        assert set(firsts) == everything
    if tail == "pad":
        assert len(sizes) == 1
    if tail == "uneven":
        assert max(sizes) - min(sizes) <= 1
        totals = [sum(part.size for part in rank) for rank in parts]
        assert max(totals) - min(totals) <= 1
        assert not any(repeat for _, repeat in seen)


@given(batches=st.integers(0, 40), bundle_size=st.integers(1, 8), topology=topologies, tail=tails)
def test_bundles_are_not_parted(batches: int, bundle_size: int, topology: Topology, tail: Tail) -> None:
    for rank in share(batches * bundle_size, topology, tail, bundle_size):
        for part in rank:
            assert part.start % bundle_size == 0
            assert part.size % bundle_size == 0


@given(spans=span_lists(), topology=topologies, tail=tails, data=st.data())
def test_unseen_is_what_the_parts_have_not_handed_out(
    spans: list[Span], topology: Topology, tail: Tail, data: st.DataObject
) -> None:
    parts = share(span_length(spans), topology, tail)
    consumed = [[data.draw(st.integers(0, part.size)) for part in rank] for rank in parts]
    handed = {
        position
        for rank, done in zip(parts, consumed, strict=True)
        for part, count in zip(rank, done, strict=True)
        for position, repeat in positions(spans, part)[:count]
        if not repeat
    }
    left = [position for span in unseen(spans, parts, consumed) for position in range(span.start, span.stop)]
    assert sorted([*left, *handed]) == [position for span in spans for position in range(span.start, span.stop)]


def test_nonsense_is_refused() -> None:
    with pytest.raises(UsageError, match="0 ranks"):
        share(10, Topology(0, 1), "uneven")
    with pytest.raises(UsageError, match="tail 'loose'"):
        share(10, Topology(1, 1), "loose")  # type: ignore[arg-type]
