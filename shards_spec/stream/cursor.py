"""The position of a stream in its iterations, in this process: how it begins, and what its state is."""

import logging
import os
import secrets
from dataclasses import dataclass
from typing import Any

from shards_spec.errors import UsageError
from shards_spec.stream.control import Control, Iteration
from shards_spec.stream.settings import Settings
from shards_spec.stream.sharing import SINGLE, Batching, Part
from shards_spec.stream.state import STATE_VERSION, Progress, State, resume
from shards_spec.stream.stream_order import StreamOrder
from shards_spec.stream.world import Ranks, Worker, find_worker, is_spawning, worker_info

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Cursor:
    """The position of this process in an iteration."""

    iteration: Iteration
    progress: Progress
    rank: int
    worker: int
    """Index of the worker whose part this process yields. After a resume it can differ from the process's own index."""
    consumed: int
    """Number of units of that part that have been yielded."""
    skipped: int = 0
    """Number of those units that could not be read."""
    exhausted: bool = False
    """Whether nothing is left of that part."""
    closed: bool = False
    """Whether the iteration has ended or was broken off."""

    @property
    def rest(self) -> Part:
        """What is left of the part of ``worker``."""
        part = self.progress.parts[self.rank][self.worker]
        return Part(part.start + self.consumed, part.stop)


class Position:
    """Where a stream stands in this process: in an iteration, or before one.

    Args:
        order: Order of the stream.
        settings: Settings of the stream.
    """

    def __init__(self, order: StreamOrder, settings: Settings) -> None:
        self.control = Control()
        self.announced: tuple[str, Batching] | None = None
        """Name of the next iteration, and how its parts are cut, if a loader has set them."""
        self.cursor: Cursor | None = None
        """Position in the iteration under way in this process."""
        self._order = order
        self._settings = settings
        self._entry: State | None = None
        self._inherited: Ranks | None = None
        self._begun = 0
        self._warned = False
        self._name = secrets.token_hex(8)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {"cursor": None, "_begun": 0}
        if is_spawning():
            # A spawned worker has neither torch.distributed nor, perhaps, its parent's environment.
            worker = self.worker(0)
            state["_inherited"] = worker.rank, worker.topology.ranks
        return state

    def begin(self) -> Cursor:
        """Begin the next iteration, or resume the one of a loaded state."""
        worker = self.worker()
        token, batching = self.announced or (self._own_token(), SINGLE)
        self.announced = None
        entry, self._entry = self._entry, None
        control = self.control
        iteration = control.take(token, worker.number) if entry is None else control.enter(token, entry, worker.number)
        progress = self.progress(iteration, worker, batching)
        number = (worker.number + progress.turn[worker.rank]) % worker.topology.workers
        self.cursor = Cursor(iteration, progress, worker.rank, number, progress.consumed[worker.rank][number])
        return self.cursor

    def worker(self, workers: int | None = None) -> Worker:
        """Return which process this is; see ``find_worker``."""
        return find_worker(self._settings.ranks, self._inherited, workers)

    def progress(self, iteration: Iteration, worker: Worker, batching: Batching = SINGLE) -> Progress:
        """Return the progress with which an iteration begins."""
        if iteration.resume is not None:
            return resume(iteration.resume, worker.topology, worker.rank, batching)
        order = self._order.of_epoch(iteration.epoch)
        progress = Progress.begin(
            iteration.epoch, order.count, worker.topology, self._settings.tail, order.bundle_size, batching
        )
        if not self._warned and worker.rank == worker.number == 0 and order.bundle_size > 1:
            self._warned = _warn_if_uneven(progress)
        return progress

    def load(self, state: State) -> None:
        """Resume from a state in the next iteration.

        Raises:
            UsageError: The numbers of the state are not possible in this stream, so it is damaged.
        """
        progress = state.progress
        order = self._order.of_epoch(progress.epoch)
        last = max((span.stop for span in progress.spans), default=0)
        if (progress.bundle_size, progress.tail) != (order.bundle_size, self._settings.tail) or last > order.count:
            raise UsageError("no state of this stream: its numbers are not those of its epochs, so it was damaged")
        self.cursor = None
        if worker_info() is not None:
            self._entry = state  # it applies to this worker alone
        elif state.worker is None and progress.finished:
            self.control.set(progress.epoch + 1)
        else:
            self.control.set(progress.epoch, state)

    def state(self) -> State:
        """Return the position of this process.

        It is the position in the last iteration. If that is over and ``Control.set`` has been called since, it is the
        beginning of the next one.
        """
        worker = self.worker()
        inside = None if worker_info() is None else worker.number
        cursor = self.cursor
        if cursor is None or (cursor.closed and self.control.is_superseded(cursor.iteration)):
            if self._entry is not None:
                return self._entry
            epoch, entry = self.control.next_iteration()
            if entry is not None:
                return entry
            return self.state_of(self.progress(Iteration(epoch), worker), worker.rank, inside)
        before = cursor.progress.consumed[cursor.rank][cursor.worker]
        # A rank that finds its part exhausted is at the same step as one that has one sample more and yields it.
        steps = cursor.consumed - before + cursor.exhausted
        progress = cursor.progress.advanced(steps if inside is None else 0, 1)
        progress.consumed[cursor.rank][cursor.worker] = cursor.consumed
        return self.state_of(progress, cursor.rank, inside)

    def state_after(self, batches: int, batch_size: int, workers: int) -> State:
        """Return the position after ``batches`` batches of a plain ``DataLoader`` in the last iteration."""
        worker = self.worker(workers)
        iteration = self.control.last_iteration()
        if iteration is None:
            raise UsageError("state_dict(batches=...): no iteration has begun yet")
        if self.control.skipped > iteration.skipped:
            raise UsageError(
                "state_dict(batches=...): samples were skipped, so the number of batches does not say which samples "
                "they were: loader() knows"
            )
        return self.state_of(self.progress(iteration, worker).advanced(batches, batch_size), worker.rank, None)

    def state_of(
        self, progress: Progress, rank: int, worker: int | None = None, *, all_ranks_known: bool = True
    ) -> State:
        """Return the state of a rank, or of one of its workers.

        Args:
            progress: Progress of all ranks, as far as this rank knows it.
            rank: Index of the rank.
            worker: Index of the worker, if the state is that of a worker.
            all_ranks_known: Whether all ranks are known to be at the same step.
        """
        may_skip = (
            self._settings.on_error == "skip" and progress.topology.ranks > 1
        )  # and does not know what others did
        return State(
            version=STATE_VERSION,
            order=self._order.description,
            progress=progress,
            rank=rank,
            worker=worker,
            all_ranks_known=all_ranks_known and not may_skip,
        )

    def _own_token(self) -> str:
        self._begun += 1
        info = worker_info()
        # A DataLoader draws a base seed for each set of workers. It is the same in all of them, and in no others.
        return f"{self._name}/{os.getpid()}/{self._begun}" if info is None else f"{info.seed - info.id}/{self._begun}"


def _warn_if_uneven(progress: Progress) -> bool:
    """Warn if ranks differ in their number of identity batches; return whether they do."""
    counts = sorted({sum(part.size for part in parts) // progress.bundle_size for parts in progress.parts})
    if len(counts) > 1:
        logger.warning(
            "epoch %d has %d identity batches on some ranks and %d on others: ranks that wait for one another will "
            'hang or drift apart under DDP: pass tail="drop" or tail="pad" to stream()',
            progress.epoch,
            counts[0],
            counts[-1],
        )
    return len(counts) > 1
