"""The position of a run inside an epoch, and how another run resumes there: pure functions of numbers.

A loader yields the batches of its workers in turn: one batch of each worker, then a second one of each, and so on,
passing over workers that have finished. The number of batches therefore tells how many samples each worker has yielded
on this rank and, if all ranks are at the same step, on the other ranks as well.
"""

import operator
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

import msgspec

from shards_spec.errors import UsageError
from shards_spec.stream.sharing import SINGLE, Batching, Part, Span, Tail, Topology, share, span_length, unseen

STATE_VERSION = 1


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch under way: what is shared out, among whom, and how far each worker has come."""

    epoch: int
    tail: Tail
    bundle_size: int
    batching: Batching = SINGLE
    """How the parts of this topology are cut."""
    spans: list[Span]
    """The positions of the epoch that this topology shares out."""
    topology: Topology
    consumed: list[list[int]]
    """``[rank][worker]``: number of samples of its part that each worker has yielded."""
    turn: list[int]
    """``[rank]``: index of the worker that yields the next batch."""

    @classmethod
    def begin(
        cls,
        epoch: int,
        count: int,
        topology: Topology,
        tail: Tail,
        bundle_size: int = 1,
        batching: Batching = SINGLE,
    ) -> Self:
        """Return the beginning of an epoch of ``count`` samples."""
        return cls._fresh(epoch, [Span(0, count)] if count else [], topology, tail, bundle_size, batching)

    @classmethod
    def _fresh(
        cls, epoch: int, spans: list[Span], topology: Topology, tail: Tail, bundle_size: int, batching: Batching
    ) -> Self:
        return cls(
            epoch=epoch,
            tail=tail,
            bundle_size=bundle_size,
            batching=batching,
            spans=spans,
            topology=topology,
            consumed=[[0] * topology.workers for _ in range(topology.ranks)],
            turn=[0] * topology.ranks,
        )

    @property
    def parts(self) -> list[list[Part]]:
        """``[rank][worker]``: the part of each worker."""
        return share(span_length(self.spans), self.topology, self.tail, self.bundle_size, self.batching)

    @property
    def finished(self) -> bool:
        """Whether all parts have been yielded."""
        return all(
            part.size == done
            for parts, consumed in zip(self.parts, self.consumed, strict=True)
            for part, done in zip(parts, consumed, strict=True)
        )

    def advanced(self, batches: int, batch_size: int) -> Self:
        """Return the progress after every rank has yielded ``batches`` more batches, or all that it has left."""
        consumed, turn = [], []
        for parts, done, next_worker in zip(self.parts, self.consumed, self.turn, strict=True):
            left = [part.size - samples for part, samples in zip(parts, done, strict=True)]
            handed, last = _handed(left, next_worker, batches, batch_size)
            consumed.append([samples + more for samples, more in zip(done, handed, strict=True)])
            turn.append(last)
        return msgspec.structs.replace(self, consumed=consumed, turn=turn)

    def under(self, topology: Topology, batching: Batching = SINGLE) -> Self:
        """Return the progress under a topology.

        Under the same topology nothing changes. Under another one, the samples not yet seen are shared out anew, cut
        as ``batching`` says.
        """
        if topology == self.topology:
            return self
        left = unseen(self.spans, self.parts, self.consumed)
        return self._fresh(self.epoch, left, topology, self.tail, self.bundle_size, batching)

    def batches(self, rank: int, batch_size: int) -> int:
        """Return the number of batches that a rank has left."""
        left = (part.size - done for part, done in zip(self.parts[rank], self.consumed[rank], strict=True))
        return sum(-(-samples // batch_size) for samples in left)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The position of a rank. ``state_dict()`` returns it as a dictionary of plain values."""

    version: int
    order: dict[str, Any]
    """The values that determine the order. They are compared when a state is loaded."""
    progress: Progress
    rank: int
    worker: int | None = None
    """Index of the worker in which the state was taken, if any. A worker knows only its own position."""
    all_ranks_known: bool = True
    """Whether ``progress`` is right for the other ranks too. It is not if a rank may have skipped or dropped samples,
    or if the pipeline makes its own batches."""


def encode_state(state: State) -> dict[str, Any]:
    """Return the state as a dictionary of plain values, for ``torch.save`` or JSON."""
    encoded: dict[str, Any] = msgspec.to_builtins(state, enc_hook=operator.index)  # converts NumPy's integers
    return encoded


def decode_state(data: Mapping[str, Any] | Sequence[Mapping[str, Any]], order: Mapping[str, Any]) -> State:
    """Read a state, or a list of the states of all ranks, which need not be at the same step.

    Raises:
        UsageError: This is not a state of this reader, or it belongs to a different order.
    """
    try:
        states = [msgspec.convert(one, State) for one in (data if isinstance(data, Sequence) else [data])]
    except RecursionError:
        raise UsageError("no state of this reader: it is nested too deeply") from None
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise UsageError(f"no state of this reader: {error}") from error
    if not states or any(state.version != STATE_VERSION for state in states):
        raise UsageError(f"no state of version {STATE_VERSION}, which this version of the reader writes")
    for state in states:
        differing = sorted(
            name for name in state.order.keys() | order.keys() if state.order.get(name) != order.get(name)
        )
        if differing:
            told = ", ".join(f"{name} {state.order.get(name)!r}, here {order.get(name)!r}" for name in differing)
            raise UsageError(f"the state is of another order: {told}: open the stream as it was, or begin anew")
        if not _is_possible(state):
            raise UsageError("no state of this reader: its numbers contradict each other, so it was damaged")
    return states[0] if len(states) == 1 else _merged(states)


def resume(state: State, topology: Topology, rank: int, batching: Batching = SINGLE) -> Progress:
    """Return the progress from which a rank of a run under ``topology`` resumes.

    Args:
        state: State to resume from.
        topology: Topology of the run that resumes.
        rank: Index of the rank.
        batching: How samples that are shared out anew are cut.

    Raises:
        UsageError: The topology or the rank has changed, and the state does not know the position of all ranks.
    """
    progress = state.progress
    is_same = topology == progress.topology and rank == state.rank
    if state.worker is not None:
        if not is_same:
            raise UsageError(
                f"the state was taken inside a worker of rank {state.rank} of {progress.topology}: it continues only "
                f"there, not on rank {rank} of {topology}; states of loader() continue under any"
            )
        return progress
    if not is_same and not state.all_ranks_known:
        raise UsageError(
            "one rank's state does not say what the others have seen, where samples may be skipped or the pipeline "
            "makes batches of its own or drops samples: give load_state_dict the list of all ranks' states"
        )
    return progress.under(topology, batching)


def _is_possible(state: State) -> bool:
    """Return whether a run can produce these numbers. A damaged state would otherwise lose samples silently."""
    progress = state.progress
    ranks, workers = progress.topology
    bounds = [bound for span in progress.spans for bound in span]
    return (
        0 <= progress.epoch < 2**63
        and progress.bundle_size >= 1
        and progress.batching.size >= 1
        and min(bounds, default=0) >= 0
        and all(one < following for one, following in pairwise(bounds))
        and 0 <= state.rank < ranks == len(progress.consumed) == len(progress.turn)
        and (state.worker is None or 0 <= state.worker < workers)
        and all(0 <= turn < workers for turn in progress.turn)
        and all(len(done) == workers for done in progress.consumed)
        and all(
            0 <= samples <= part.size
            for parts, done in zip(progress.parts, progress.consumed, strict=True)
            for part, samples in zip(parts, done, strict=True)
        )
    )


def _merged(states: Sequence[State]) -> State:
    """Merge the states of all ranks. A rank that has finished the epoch stands at the beginning of the next one."""
    first = min((state.progress for state in states), key=lambda progress: progress.epoch)
    by_rank = {state.rank: _ended(first, state) for state in states}
    same = all(
        (one.epoch, one.tail, one.spans, one.topology, one.batching)
        == (first.epoch, first.tail, first.spans, first.topology, first.batching)
        for one in by_rank.values()
    )
    if not same or sorted(by_rank) != list(range(first.topology.ranks)) or any(s.worker is not None for s in states):
        raise UsageError(f"the states are not one of each of {first.topology.ranks} ranks of one run in one epoch")
    merged = msgspec.structs.replace(
        first,
        consumed=[by_rank[rank].consumed[rank] for rank in range(first.topology.ranks)],
        turn=[by_rank[rank].turn[rank] for rank in range(first.topology.ranks)],
    )
    return msgspec.structs.replace(states[0], progress=merged, all_ranks_known=True)


def _ended(epoch: Progress, state: State) -> Progress:
    """Return the progress, or the end of ``epoch`` if the progress is the beginning of the epoch after it."""
    progress = state.progress
    is_next = progress.epoch == epoch.epoch + 1 and progress.topology == epoch.topology
    if not is_next or any(map(any, progress.consumed)):
        return progress
    return msgspec.structs.replace(epoch, consumed=[[part.size for part in parts] for parts in epoch.parts])


def _handed(left: Sequence[int], turn: int, batches: int, batch_size: int) -> tuple[list[int], int]:
    """Return what each worker has yielded after ``batches`` batches, and which worker is next.

    Args:
        left: Number of samples that each worker had left.
        turn: Index of the worker that yields the first of the batches.
        batches: Number of batches of this rank.
        batch_size: Number of samples in a batch.
    """
    workers = len(left)
    owed = [-(-samples // batch_size) for samples in left]
    batches = min(batches, sum(owed))
    low, high = 0, max(owed, default=0)  # the largest number of whole rounds with at most ``batches`` batches
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(one, middle) for one in owed) <= batches:
            low = middle
        else:
            high = middle - 1
    given = [min(one, low) for one in owed]
    over = batches - sum(given)
    last = (turn - 1) % workers
    for step in range(workers):
        worker = (turn + step) % workers
        if over and owed[worker] > low:
            given[worker] += 1
            over -= 1
            last = worker
    return [min(samples, batch_size * count) for samples, count in zip(left, given, strict=True)], (last + 1) % workers
