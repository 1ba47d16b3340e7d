"""The first stage of a stream's pipeline. It knows the order, this process's share of it, and the position in it."""

import copy
import itertools
import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from shards_spec.errors import SpecError, UsageError
from shards_spec.stream.control import Control, Iteration
from shards_spec.stream.fetch import Fetcher, Outcome, SampleError
from shards_spec.stream.identity import BatchOrder, Census, Crops, take_census
from shards_spec.stream.order import EpochOrder, Int64, block_units
from shards_spec.stream.selection import Selection
from shards_spec.stream.settings import Settings
from shards_spec.stream.sharing import Part, part_spans
from shards_spec.stream.state import STATE_VERSION, Progress, State, resume
from shards_spec.stream.views import NextBuffer, frame_dict, no_buffer
from shards_spec.stream.world import Worker, end_with_parent, find_worker, is_spawning, worker_info

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


@dataclass(frozen=True, slots=True)
class _ChunkMeta:
    """Metadata of a chunk of units; the bytes travel separately."""

    sizes: list[int]
    repeats: list[bool]
    keys: list[str]
    labels: list[int]


class Source:
    """The first stage of a pipeline. It yields samples, and each call begins an iteration."""

    def __init__(
        self, fetcher: Fetcher, selection: Selection, labels: npt.NDArray[np.int32], settings: Settings
    ) -> None:
        self.fetcher = fetcher
        self.selection = selection
        self.settings = settings
        self.control = Control()
        self.token: str | None = None
        """Name of the next iteration, if a loader has set one."""
        self.next_buffer: NextBuffer = no_buffer
        """Function that returns the memory for the next image, if a loader has set one."""
        self.cursor: Cursor | None = None
        """Position in the iteration under way in this process."""
        self._entry: State | None = None
        self._labels = labels
        self._shard_units = selection.shard_units()
        self._block = block_units(selection.unit_bytes())
        self._census: Census | None = None
        self._order: tuple[int, EpochOrder | BatchOrder] | None = None
        self._begun = 0
        self._name = secrets.token_hex(8)

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker has neither torch.distributed nor, perhaps, its parent's environment.
        state = self.__dict__ | {"cursor": None, "_order": None, "_begun": 0}
        if is_spawning():
            worker = self.place(0)
            state["settings"] = replace(self.settings, rank=worker.rank, world_size=worker.topology.ranks)
        return state

    def with_batches(self, identities: int, per_identity: int) -> "Source":
        """Return a source of the same samples in identity batches."""
        other = copy.copy(self)
        other.settings = replace(self.settings, batch=(identities, per_identity))
        other.control = Control()
        other._order = None  # noqa: SLF001
        other.order(0)  # says at once where there are too few identities
        return other

    @property
    def order_name(self) -> dict[str, Any]:
        """The values that determine the order, for comparing states."""
        settings = self.settings
        return {
            "set": self.selection.index.digest,
            "samples": self.selection.digest,
            "by": settings.by,
            "seed": settings.seed,
            "shuffle": settings.shuffle,
            "tail": settings.tail,
            "identity_batches": None if settings.batch is None else list(settings.batch),
        }

    def order(self, epoch: int) -> EpochOrder | BatchOrder:
        """Return the order of an epoch."""
        if self._order is None or self._order[0] != epoch:
            settings = self.settings
            order: EpochOrder | BatchOrder
            if settings.batch is None:
                order = EpochOrder(self._shard_units, self._block, settings.seed, epoch, settings.shuffle)
            else:
                if self._census is None:
                    self._census = take_census(self._shard_units, self._crops_of)
                order = BatchOrder(
                    self._census,
                    self._crops_of,
                    seed=settings.seed,
                    epoch=epoch,
                    identities=settings.batch[0],
                    per_identity=settings.batch[1],
                )
            self._order = (epoch, order)
        return self._order[1]

    def place(self, workers: int | None = None) -> Worker:
        """Return which process this is; see ``find_worker``."""
        return find_worker(self.settings.rank, self.settings.world_size, workers)

    def progress(self, iteration: Iteration, worker: Worker) -> Progress:
        """Return the progress with which an iteration begins."""
        if iteration.resume is not None:
            return resume(iteration.resume, worker.topology, worker.rank)
        order = self.order(iteration.epoch)
        return Progress.begin(iteration.epoch, order.count, worker.topology, self.settings.tail, order.bundle_size)

    def load(self, state: State) -> None:
        """Resume from a state in the next iteration.

        Raises:
            UsageError: The numbers of the state are not possible in this stream, so it is damaged.
        """
        progress = state.progress
        order = self.order(progress.epoch)
        last = max((span.stop for span in progress.spans), default=0)
        if (progress.bundle_size, progress.tail) != (order.bundle_size, self.settings.tail) or last > order.count:
            raise UsageError("no state of this stream: its numbers are not those of its epochs, so it was damaged")
        self.cursor = None
        if worker_info() is not None:
            self._entry = state  # of this worker alone
        elif state.worker is None and progress.finished:
            self.control.set(progress.epoch + 1)
        else:
            self.control.set(progress.epoch, state)

    def state(self) -> State:
        """Return the position of this process.

        It is the position in the last iteration. If that is over and ``Control.set`` has been called since, it is the
        beginning of the next one.
        """
        worker = self.place()
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
        # A rank that finds its part empty is at the same step as one that takes its last sample, where it has one more.
        steps = cursor.consumed - before + cursor.exhausted
        progress = cursor.progress.advanced(steps if inside is None else 0, 1)
        progress.consumed[cursor.rank][cursor.worker] = cursor.consumed
        return self.state_of(progress, cursor.rank, inside)

    def state_after(self, batches: int, batch_size: int, workers: int) -> State:
        """Return the position after ``batches`` batches of a plain ``DataLoader`` in the last iteration."""
        worker = self.place(workers)
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
        may_skip = self.settings.on_error == "skip" and progress.topology.ranks > 1  # and does not know what others did
        return State(
            version=STATE_VERSION,
            order=self.order_name,
            progress=progress,
            rank=rank,
            worker=worker,
            all_ranks_known=all_ranks_known and not may_skip,
        )

    def __call__(self) -> Iterator[dict[str, Any]]:
        """Begin the next iteration, or resume the one of a loaded state."""
        end_with_parent()
        worker = self.place()
        token, self.token = self.token or self._own_token(), None
        entry, self._entry = self._entry, None
        control = self.control
        iteration = control.take(token, worker.number) if entry is None else control.enter(token, entry, worker.number)
        progress = self.progress(iteration, worker)
        number = (worker.number + progress.turn[worker.rank]) % worker.topology.workers
        cursor = Cursor(iteration, progress, worker.rank, number, progress.consumed[worker.rank][number])
        self.cursor = cursor
        part = progress.parts[worker.rank][number]
        try:
            yield from self._hand_out(cursor, Part(part.start + cursor.consumed, part.stop))
            cursor.exhausted = True
        finally:
            cursor.closed = True

    def _own_token(self) -> str:
        self._begun += 1
        info = worker_info()
        # A DataLoader draws a base seed for each set of workers: what is the same in all of them and in no others.
        return f"{self._name}/{os.getpid()}/{self._begun}" if info is None else f"{info.seed - info.id}/{self._begun}"

    def _hand_out(self, cursor: Cursor, part: Part) -> Iterator[dict[str, Any]]:
        reads: deque[_ChunkMeta] = deque()
        decode = self.settings.view.decoder(self.next_buffer)
        single = self.settings.by == "sample" and cursor.progress.bundle_size == 1
        bundler = _Bundler(self, cursor)
        repeats = self.repeats
        for outcomes in self.fetcher.fetch(self._rows(cursor.progress, part, reads)):
            read = reads.popleft()
            crops = self._crops(read, outcomes, decode)
            if not single:
                yield from bundler.complete(crops, read)
                continue
            for crop, repeat in zip(crops, read.repeats, strict=True):
                cursor.consumed += 1
                if crop is None:
                    self.skip(cursor, 1, 1)
                    continue
                if repeats:
                    crop["__repeat__"] = repeat
                yield crop

    @property
    def repeats(self) -> bool:
        """Whether samples can be repeated and are marked."""
        return self.settings.tail == "pad" or self.settings.batch is not None

    def skip(self, cursor: Cursor, units: int, samples: int) -> None:
        """Count units and samples that are left out."""
        cursor.skipped += units
        self.control.count_skipped(samples)

    def _rows(self, progress: Progress, part: Part, reads: deque[_ChunkMeta]) -> Iterator[Int64]:
        index = self.selection.index
        order = self.order(progress.epoch)
        for span, again in part_spans(progress.spans, part):
            for chunk in order.chunks(span.start, span.stop):
                rows, sizes = self.selection.unit_rows(chunk.units)
                reads.append(
                    _ChunkMeta(
                        sizes.tolist(),
                        (chunk.repeats | again).tolist(),
                        [key.decode() for key in index.keys.take(rows).tolist()],
                        self._labels[index.rows.take(rows)["identity"]].tolist(),
                    )
                )
                yield rows

    def _crops(
        self, read: _ChunkMeta, outcomes: Iterator[Outcome], decode: Callable[[bytes, dict[str, Any]], Any]
    ) -> Iterator[dict[str, Any] | None]:
        """Yield the samples of a chunk as dictionaries, and None for each that cannot be read or decoded."""
        for key, label, outcome in zip(read.keys, read.labels, outcomes, strict=True):
            if isinstance(outcome, SampleError):
                self.refuse(outcome)
                yield None
                continue
            jpg, sidecar = outcome
            try:
                image = decode(jpg, sidecar)
            except SpecError as error:
                self.refuse(SampleError(f"sample {key}: {error}"))
                yield None
                continue
            yield {"__key__": key, "jpg": image, "json": sidecar, "label": label}

    def refuse(self, error: SampleError) -> None:
        """Raise the error of a sample, or log that the sample is skipped."""
        if self.settings.on_error == "raise":
            raise error
        logger.warning("skipped: %s", error)

    def _crops_of(self, shards: Sequence[int], identities: Int64 | None) -> Crops:
        starts = np.concatenate([[0], np.cumsum(self._shard_units)])
        found = []
        for shard in shards:  # one at a time: a set's rows may be many more than those that are wanted of them
            units = np.arange(starts[shard], starts[shard + 1])
            rows, _ = self.selection.unit_rows(units)
            records, _ = self.selection.index.find(rows)
            crops = Crops(units, records["identity"].astype(np.int64), records["camera"].astype(np.int64))
            if identities is not None:
                wanted = np.isin(crops.identities, identities)
                crops = Crops(*(column[wanted] for column in crops))
            found.append(crops)
        return Crops(*(np.concatenate(column) for column in zip(*found, strict=True)))


class _Bundler:
    """Yields frames and identity batches whole, and skips those of which a crop cannot be read."""

    def __init__(self, source: Source, cursor: Cursor) -> None:
        self._source = source
        self._cursor = cursor
        self._units: list[dict[str, Any]] = []  # of the bundle under way
        self._places = 0  # its units so far, with those that cannot be read
        self._samples = 0

    def complete(self, crops: Iterator[dict[str, Any] | None], read: _ChunkMeta) -> Iterator[dict[str, Any]]:
        """Yield the units of all bundles that a chunk completes."""
        cursor = self._cursor
        bundle_size = cursor.progress.bundle_size
        frames = self._source.settings.by == "frame"
        for size, repeat in zip(read.sizes, read.repeats, strict=True):
            members = [crop for crop in itertools.islice(crops, size) if crop is not None]
            if len(members) == size:
                try:
                    unit = frame_dict(members) if frames else members[0]
                    self._units.append({**unit, "__repeat__": repeat} if self._source.repeats else unit)
                except SpecError as error:
                    self._source.refuse(SampleError(f"sample {members[0]['__key__']}: {error}"))
            self._places += 1
            self._samples += size
            if self._places < bundle_size:
                continue
            if len(self._units) == bundle_size:
                yield from self._units[:-1]
                cursor.consumed += bundle_size
                yield self._units[-1]
            else:
                cursor.consumed += bundle_size
                self._source.skip(cursor, bundle_size, self._samples)
            self._units, self._places, self._samples = [], 0, 0
