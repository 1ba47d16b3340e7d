"""A ``DataLoader`` that knows which samples it has yielded. Requires PyTorch."""

import multiprocessing
import pickle
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, IterableDataset

from shards_spec.errors import UsageError
from shards_spec.storage import is_remote
from shards_spec.stream.batched import Batched
from shards_spec.stream.control import Iteration
from shards_spec.stream.cursor import Cursor
from shards_spec.stream.integers import whole_number
from shards_spec.stream.sharing import Batching
from shards_spec.stream.slots import Column, ImageBuffer, Slots
from shards_spec.stream.source import SampleSource
from shards_spec.stream.state import Progress, encode_state
from shards_spec.stream.transfer import Item, collate, pack, unpack
from shards_spec.stream.views import no_buffer
from shards_spec.stream.world import worker_info

_CALLER = -1
"""Number under which the loader itself takes part in an iteration, beside its workers."""


class LoadableStream(Protocol):
    """The part of ``shards_spec.stream.pipeline.Stream`` that a loader and its users need."""

    pipeline: list[Any]
    repetitions: int

    @property
    def source(self) -> SampleSource:
        """The first stage."""

    @property
    def epoch(self) -> int:
        """The epoch of the next iteration."""

    @property
    def skipped(self) -> int:
        """Number of samples left out so far."""

    def set_epoch(self, epoch: int) -> None:
        """Begin the next iteration with this epoch."""

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the next epoch."""

    def load_state_dict(self, state: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Go on from a state in the next iteration."""


_REFUSED = ("shuffle", "sampler", "batch_sampler", "in_order", "batch_size", "dataset")


class Loader(DataLoader[Any]):
    """Batches of a stream. ``Stream.loader`` returns one. Each iteration is the next epoch."""

    def __init__(
        self, stream: LoadableStream, batch_size: int | None, num_workers: int, options: Mapping[str, Any]
    ) -> None:
        refused = sorted(set(options) & set(_REFUSED))
        if refused:
            raise UsageError(f"{', '.join(refused)}: the stream decides on order, share and tail; see stream(...)")
        if stream.repetitions != 1:
            raise UsageError(
                ".repeat() and .with_epoch() go on after an epoch's end, where a state is of one epoch: iterate over "
                "the loader once more instead"
            )
        pair = stream.source.settings.batch
        if pair is not None and not any(isinstance(stage, Batched) for stage in stream.pipeline):
            if batch_size not in {None, pair[0] * pair[1]}:
                raise UsageError(f"batch_size={batch_size}, but identity batches have {pair[0]} x {pair[1]} samples")
            batch_size = pair[0] * pair[1]
        if batch_size is not None:
            batch_size = whole_number("batch_size", batch_size)
            if batch_size < 1:
                raise UsageError(f"batch_size={batch_size}: at least 1")
        rest = dict(options)
        self._made_of = stream, batch_size, num_workers, dict(options)
        self.stream = stream
        self._size = batch_size
        drop_last = bool(rest.pop("drop_last", False))
        if drop_last and batch_size is None:
            raise UsageError("drop_last=True, but the pipeline makes its own batches: .batched(size, partial=False)")
        # The batches of an identity order are bundles, which are never parted.
        self._batching = Batching(1 if pair is not None else batch_size or 1, drop_last)
        self._batches = _Batches(stream, batch_size, self._batching, rest.pop("collate_fn", None))
        self._cursor: _LoaderCursor | None = None
        self._iterations = 0
        self._slots: list[Slots] = []
        if num_workers and "multiprocessing_context" not in rest:
            rest["multiprocessing_context"] = _start_method(stream.source.fetcher.url)
        super().__init__(self._batches, batch_size=None, num_workers=num_workers, collate_fn=_as_it_is, **rest)

    def __reduce__(self) -> tuple[Any, ...]:
        return Loader, self._made_of  # a copy has its own iterations and workers

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        source = self.stream.source
        token = self._batches.token(self._iterations)
        if not (self.persistent_workers and self._iterations):
            self._batches.serial = self._iterations
            # A thread that does not know about slots does the pinning.
            count = 0 if self.pin_memory else self.num_workers
            # Two more than are under way: a batch that the caller has, and the one before it.
            self._slots = self._batches.slots = [Slots((self.prefetch_factor or 0) + 2) for _ in range(count)]
        self._iterations += 1
        worker = source.position.worker(self.num_workers)
        iteration = source.position.control.take(token, _CALLER)
        cursor = _LoaderCursor(iteration, source.position.progress(iteration, worker, self._batching), worker.rank)
        self._cursor = cursor
        return self._hand_out(self._items(), cursor, self._iterations, self._slots)

    def _items(self) -> Iterator[Item]:
        self._batches.is_own = True
        try:
            items: Iterator[Item] = super().__iter__()
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            if not self.num_workers or "pickle" not in str(error):
                raise
            raise UsageError(
                f"the stream cannot be sent to workers: {error}: give .map() and collate_fn functions of a module, not "
                'lambdas, or pass multiprocessing_context="fork" and use no object store in this process'
            ) from error
        finally:
            self._batches.is_own = False  # in this process; workers that live on keep what they were started with
        return items

    def _hand_out(
        self, items: Iterator[Item], cursor: "_LoaderCursor", number: int, slots: Sequence[Slots]
    ) -> Iterator[Any]:
        try:
            while True:
                if self.persistent_workers and number != self._iterations:
                    raise UsageError("another iteration has begun: persistent workers read for one at a time")
                item = self._next(items)
                if item is None:
                    break
                cursor.count(item.worker, item.consumed, skipped=item.skipped)
                yield unpack(item, slots)  # nothing else refers to its slot
        finally:
            cursor.closed = True
        if self._cursor is cursor:
            self._cursor = None

    def _next(self, items: Iterator[Item]) -> Item | None:
        try:
            return next(items, None)
        except Exception as error:
            if not self.num_workers:
                raise
            # The message contains the worker's own traceback. PyTorch's frames form a cycle with the error and refer to
            # the iterator, whose garbage collection waits five seconds for each worker.
            raise error.with_traceback(None) from None

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch on this rank, if the pipeline drops none.

        It refers to the iteration under way, or else to the next one. A resumed epoch has fewer batches left. Only with
        identity batches does the number differ between epochs.
        """
        if self._size is None:
            raise TypeError("the pipeline makes its own batches: their number is not known")
        source = self.stream.source
        worker = source.position.worker(self.num_workers)
        cursor = self._cursor
        order = source.order.of_epoch(self.stream.epoch if cursor is None or cursor.closed else cursor.iteration.epoch)
        progress = Progress.begin(
            0, order.count, worker.topology, source.settings.tail, order.bundle_size, self._batching
        )
        return progress.batches(worker.rank, self._size)

    def state_dict(self) -> dict[str, Any]:
        """Return the caller's position. Batches that workers have read ahead do not count."""
        source = self.stream.source
        cursor = self._cursor
        if cursor is not None and not (cursor.closed and source.position.control.is_superseded(cursor.iteration)):
            progress, all_ranks_known = cursor.progress(self._size)
            return encode_state(source.position.state_of(progress, cursor.rank, all_ranks_known=all_ranks_known))
        epoch, entry = source.position.control.next_iteration()
        if entry is None:
            worker = source.position.worker(self.num_workers)
            progress = source.position.progress(Iteration(epoch), worker, self._batching)
            entry = source.position.state_of(progress, worker.rank)
        return encode_state(entry)

    def load_state_dict(self, state: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Resume from a state in the next iteration. See ``Stream.load_state_dict``."""
        self.stream.load_state_dict(state)
        self._cursor = None


class _LoaderCursor:
    """The position of a loader in an iteration."""

    def __init__(self, iteration: Iteration, begun: Progress, rank: int) -> None:
        self.iteration = iteration
        self.rank = rank
        self.closed = False
        """Whether the iteration has ended or the caller has broken it off."""
        self._begun = begun
        self._consumed = list(begun.consumed[rank])
        self._turn = begun.turn[rank]
        self._batches = 0
        self._skipped = False

    def count(self, worker: int, consumed: int, *, skipped: bool) -> None:
        self._consumed[worker] = consumed
        self._turn = (worker + 1) % len(self._consumed)
        self._batches += 1
        self._skipped |= skipped

    def progress(self, batch_size: int | None) -> tuple[Progress, bool]:
        """Return the progress of the epoch, and whether the progress of the other ranks is known."""
        progress = self._begun.advanced(self._batches, batch_size or 1)
        as_counted = progress.consumed[self.rank] == self._consumed and batch_size is not None and not self._skipped
        progress.consumed[self.rank] = list(self._consumed)
        turn = list(progress.turn)
        turn[self.rank] = self._turn
        return msgspec.structs.replace(progress, turn=turn), as_counted or len(turn) == 1


class _Batches(IterableDataset[Item]):
    """A stream in batches, each with the position of its worker."""

    def __init__(
        self,
        stream: LoadableStream,
        batch_size: int | None,
        batching: Batching,
        collate_fn: Callable[[Any], Any] | None,
    ) -> None:
        self.stream = stream
        self._batching = batching
        self.serial = 0
        """Index of the loader's iteration for which the workers were started."""
        self.is_own = False
        """Whether it is the loader that begins an iteration."""
        self._batch_size = batch_size
        # By default, batches that the pipeline makes stay as they are.
        self._collate = collate_fn or (_as_it_is if batch_size is None else collate)
        self._name = secrets.token_hex(8)
        self._begun = 0
        self.slots: list[Slots] = []
        """The slots of each worker."""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_begun": 0}

    @property
    def generator(self) -> None:
        """Refuse accelerate's ``prepare``, which asks a data set for this before it makes a DataLoader of its own.

        Raises:
            UsageError: Always.
        """
        raise _rebuilt()

    def token(self, iteration: int) -> str:
        """Return the name by which every worker knows the loader's iteration of this index."""
        return f"{self._name}/{iteration}"

    def __iter__(self) -> Iterator[Item]:
        if not self.is_own:
            raise _rebuilt()
        token = self.token(self.serial + self._begun)
        info = worker_info()
        if info is not None:
            self._begun += 1
            if self.slots:
                self.slots[info.id].clear()
        if self._batch_size is None:
            return self._made(self._samples(token, None))
        image_buffer = self._make_image_buffer(self._batch_size)
        return self._counted(self._samples(token, image_buffer), self._batch_size, image_buffer)

    def _samples(self, token: str, image_buffer: ImageBuffer | None) -> Iterator[tuple[Cursor, Any]]:
        # Set only when the iteration begins, and not read again later: another iteration may begin at any time.
        self.stream.source.position.announced = token, self._batching
        self.stream.source.next_buffer = no_buffer if image_buffer is None else image_buffer.next_image
        cursor = None
        for sample in self.stream:
            cursor = cursor or self.stream.source.position.cursor
            assert cursor is not None
            yield cursor, sample

    def _made(self, batches: Iterator[tuple[Cursor, Any]]) -> Iterator[Item]:
        for cursor, batch in batches:
            yield Item(cursor.worker, cursor.consumed, cursor.skipped > 0, self._collate(batch))

    def _make_image_buffer(self, batch_size: int) -> ImageBuffer | None:
        info = worker_info()
        settings = self.stream.source.settings
        layout = settings.view.layout
        # A stage of the caller's may keep samples after their slots have been reused.
        bare = len(self.stream.pipeline) == 1 and settings.by == "sample" and self._collate is collate
        image = self.stream.source.selection.index.variant.image
        if info is None or not self.slots or not bare or layout is None or image is None:
            return None
        shape, dtype = layout
        column = Column(image, dtype, (batch_size, *shape), 0)
        return ImageBuffer(self.slots[info.id], column, list if settings.view.decode == "rgb" else _tensors)

    def _counted(
        self, samples: Iterator[tuple[Cursor, Any]], batch_size: int, image_buffer: ImageBuffer | None
    ) -> Iterator[Item]:
        # A skipped sample counts as a place in its batch, so that batch n has the same samples whatever cannot be read.
        batch: list[Any] = []
        places = skipped = 0
        for cursor, sample in samples:
            places += cursor.skipped - skipped
            skipped = cursor.skipped
            while places >= batch_size:
                places -= batch_size
                if batch:
                    yield self._item(cursor, cursor.consumed - 1 - places, batch, image_buffer)
                    batch = []
            batch.append(sample)
            places += 1
            if places == batch_size:
                yield self._item(cursor, cursor.consumed, batch, image_buffer)
                batch, places = [], 0
        # A part fills its batches, but a stage of the pipeline may have dropped some of its samples.
        if batch and (not self._batching.drop_last or places + cursor.skipped - skipped >= batch_size):
            yield self._item(cursor, cursor.consumed, batch, image_buffer)

    def _item(self, cursor: Cursor, consumed: int, samples: list[Any], image_buffer: ImageBuffer | None) -> Item:
        item = Item(cursor.worker, consumed, cursor.skipped > 0, None)
        info = worker_info()
        if info is None or not self.slots or self._collate is not collate or not isinstance(samples[0], dict):
            return item._replace(batch=self._collate(samples))
        return pack(item, samples, self.slots[info.id], info.id, image_buffer)


def _rebuilt() -> UsageError:
    return UsageError(
        "another DataLoader was made of loader.dataset, as accelerate's prepare() does: iterate over the loader "
        "itself, which reads this rank's part, and move its batches to the device"
    )


def _start_method(url: str) -> Any:
    """Return how workers are started, if the caller has not said it for this loader: None is the process's usual way.

    A process that has read from an object store itself cannot fork a worker that reads from one. Another loader in this
    process, for validation, may do so at any time.
    """
    usual = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    if usual != "fork" or not is_remote(url):
        return None
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__])  # PyTorch is then imported once, not by each worker
    return context


def _tensors(batch: npt.NDArray[Any]) -> list[Any]:
    return list(torch.from_numpy(batch))


def _as_it_is(item: Any) -> Any:
    return item
