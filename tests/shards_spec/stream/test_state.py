"""Saving and resuming, as properties: any topology, any step, twice in a row."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.errors import UsageError
from shards_spec.stream.sharing import TAILS, Tail, Topology, part_spans
from shards_spec.stream.state import Progress, State, decode_state, encode_state, resume

topologies = st.builds(Topology, st.integers(1, 5), st.integers(1, 5))
tails = st.sampled_from(TAILS)
ORDER = {"seed": 3, "split": "train"}


def state_of(progress: Progress, rank: int = 0, **fields: object) -> State:
    return decode_state(encode_state(State(version=1, order=ORDER, progress=progress, rank=rank)) | fields, ORDER)


def played(progress: Progress, rank: int, batch_size: int) -> list[list[tuple[int, bool]]]:
    """The batches of a rank as a loader hands them out: its workers in turn, leaving out those that are done."""
    queues = []
    for part, done in zip(progress.parts[rank], progress.consumed[rank], strict=True):
        left = [(p, again) for span, again in part_spans(progress.spans, part) for p in range(span.start, span.stop)][
            done:
        ]
        queues.append([left[i : i + batch_size] for i in range(0, len(left), batch_size)])
    batches = []
    turn = progress.turn[rank]
    while any(queues):
        if queues[turn]:
            batches.append(queues[turn].pop(0))
        turn = (turn + 1) % len(queues)
    return batches


@given(
    count=st.integers(0, 150),
    topology=topologies,
    tail=tails,
    batch_size=st.integers(1, 9),
    steps=st.lists(st.integers(0, 12), min_size=1, max_size=3),
)
def test_the_same_layout_continues_where_it_was(
    count: int, topology: Topology, tail: Tail, batch_size: int, steps: list[int]
) -> None:
    progress = Progress.begin(4, count, topology, tail)
    whole = [played(progress, rank, batch_size) for rank in range(topology.ranks)]
    handed = 0
    for step in steps:
        progress = resume(state_of(progress.advanced(step, batch_size)), topology, 0)
        handed += step
        for rank in range(topology.ranks):
            assert played(progress, rank, batch_size) == whole[rank][handed:]
            assert progress.batches(rank, batch_size) == len(whole[rank][handed:])


@given(
    count=st.integers(0, 150),
    legs=st.lists(st.tuples(topologies, st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=4),
    tail=tails,
    last=topologies,
)
def test_other_layouts_continue_with_what_is_not_yet_seen(
    count: int, legs: list[tuple[Topology, int, int]], tail: Tail, last: Topology
) -> None:
    progress = Progress.begin(0, count, legs[0][0], tail)
    seen: Counter[int] = Counter()
    for topology, batch_size, steps in legs:
        progress = resume(state_of(progress), topology, 0)
        for rank in range(topology.ranks):
            for batch in played(progress, rank, batch_size)[:steps]:
                seen.update(position for position, again in batch if not again)
        progress = progress.advanced(steps, batch_size)
    progress = resume(state_of(progress), last, 0)
    for rank in range(last.ranks):
        for batch in played(progress, rank, 7):
            seen.update(position for position, again in batch if not again)
    assert all(times == 1 for times in seen.values())
    if tail == "drop":
        assert count - len(seen) < last.ranks * last.workers
    else:
        assert len(seen) == count


@given(bundles=st.integers(0, 40), bundle_size=st.integers(2, 6), legs=st.lists(topologies, min_size=2, max_size=3))
def test_bundles_stay_whole_through_resumes(bundles: int, bundle_size: int, legs: list[Topology]) -> None:
    progress = Progress.begin(0, bundles * bundle_size, legs[0], "uneven", bundle_size)
    seen: Counter[int] = Counter()
    for step, topology in [*enumerate(legs), (bundles, Topology(1, 1))]:
        progress = resume(state_of(progress), topology, 0)
        for rank in range(topology.ranks):
            for batch in played(progress, rank, bundle_size)[:step]:
                assert batch[0][0] % bundle_size == 0
                assert [position for position, _ in batch] == list(range(batch[0][0], batch[0][0] + bundle_size))
                seen.update(position for position, _ in batch)
        progress = progress.advanced(step, bundle_size)
    assert len(seen) == bundles * bundle_size
    assert all(times == 1 for times in seen.values())


def test_states_of_ranks_at_different_steps_are_merged() -> None:
    progress = Progress.begin(0, 40, Topology(2, 2), "uneven")
    ahead, behind = state_of(progress.advanced(3, 5), rank=0), state_of(progress.advanced(1, 5), rank=1)
    merged = resume(decode_state([encode_state(behind), encode_state(ahead)], ORDER), Topology(1, 1), 0)
    assert sum(len(batch) for batch in played(merged, 0, 5)) == 40 - 15 - 5
    with pytest.raises(UsageError, match="one of each of 2 ranks"):
        decode_state([encode_state(ahead), encode_state(ahead)], ORDER)


def test_a_rank_that_has_ended_the_epoch_stands_at_the_next_one() -> None:
    progress = Progress.begin(4, 10, Topology(2, 1), "uneven")
    done = Progress.begin(5, 11, Topology(2, 1), "uneven")
    states = [encode_state(state_of(done, 0)), encode_state(state_of(progress.advanced(1, 2), 1))]
    merged = decode_state(states, ORDER).progress
    assert (merged.epoch, merged.consumed) == (4, [[5], [2]])
    states[0] = encode_state(state_of(done.advanced(1, 2), 0))
    with pytest.raises(UsageError, match="one of each of 2 ranks of one run in one epoch"):
        decode_state(states, ORDER)


def test_what_cannot_continue_says_why() -> None:
    progress = Progress.begin(0, 40, Topology(2, 2), "uneven")
    data = encode_state(state_of(progress))
    with pytest.raises(UsageError, match="seed 3, here 4"):
        decode_state(data, {**ORDER, "seed": 4})
    with pytest.raises(UsageError, match="no state of this reader"):
        decode_state({"epoch": 3}, ORDER)
    with pytest.raises(UsageError, match="no state of version 1"):
        decode_state(data | {"version": 2}, ORDER)
    with pytest.raises(UsageError, match="list of all ranks"):
        resume(state_of(progress, all_ranks_known=False), Topology(1, 1), 0)
    with pytest.raises(UsageError, match="inside a worker"):
        resume(state_of(progress, worker=1), Topology(1, 1), 0)
    assert resume(state_of(progress, all_ranks_known=False), Topology(2, 2), 0) == progress
    with pytest.raises(UsageError, match="list of all ranks"):
        resume(state_of(progress, all_ranks_known=False), Topology(2, 2), 1)
    with pytest.raises(UsageError, match="inside a worker of rank 0"):
        resume(state_of(progress, worker=1), Topology(2, 2), 1)
    assert resume(state_of(progress), Topology(2, 2), 1) == progress


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("progress", "epoch"), -1),
        (("progress", "epoch"), 2**63),
        (("progress", "bundle_size"), 0),
        (("progress", "spans"), [[-5, 10]]),
        (("progress", "spans"), [[9, 1]]),
        (("progress", "spans"), [[0, 10], [5, 20]]),
        (("progress", "topology"), [0, 2]),
        (("progress", "topology"), [10**9, 10**9]),
        (("progress", "topology"), [3, 2]),
        (("progress", "consumed"), []),
        (("progress", "consumed"), [[1], [2, 3]]),
        (("progress", "consumed"), [[-1, 0], [0, 0]]),
        (("progress", "consumed"), [[0, 0], [0, 10**9]]),
        (("progress", "turn"), []),
        (("progress", "turn"), [0, 2]),
        (("progress", "turn"), [-1, 0]),
        (("rank",), 2),
        (("rank",), -1),
        (("worker",), 2),
    ],
)
def test_a_damaged_state_is_refused_not_believed(where: tuple[str, ...], value: object) -> None:
    state = encode_state(
        State(version=1, order=ORDER, progress=Progress.begin(1, 40, Topology(2, 2), "uneven"), rank=1)
    )
    decode_state(state, ORDER)
    place = state
    for name in where[:-1]:
        place = place[name]
    place[where[-1]] = value
    with pytest.raises(UsageError, match="so it was damaged"):
        decode_state(state, ORDER)


@pytest.mark.parametrize("data", [None, 0, "", "state", b"state", [], [None], [[]]])
def test_what_is_no_state_is_refused(data: Any) -> None:
    with pytest.raises(UsageError, match="no state of"):
        decode_state(data, ORDER)


def test_numbers_may_be_numpys() -> None:
    order = {"seed": np.int64(3)}
    state = State(version=1, order=order, progress=Progress.begin(1, 40, Topology(1, 1), "uneven"), rank=0)
    plain = json.loads(json.dumps(encode_state(state)))
    assert decode_state(plain, order).progress == state.progress
