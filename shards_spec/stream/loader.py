"""A ``DataLoader`` that knows what it has handed out. Needs PyTorch."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, default_collate

from shards_spec.errors import UsageError
from shards_spec.stream.control import Iteration
from shards_spec.stream.pipeline import Stream
from shards_spec.stream.slots import Placement, Slots
from shards_spec.stream.source import Standing
from shards_spec.stream.state import STATE_VERSION, Progress, State, encode_state
from shards_spec.stream.world import worker_info

_PLACED_BYTES = 64 * 1024
"""A column of arrays that is larger goes through a slot."""


class Item(NamedTuple):
    """What a worker sends."""

    worker: int
    """Whose part it is of."""
    consumed: int
    """How far that has come."""
    skipped: bool
    """Whether anything of it was skipped."""
    batch: Any
    process: int = 0
    """The worker's own number."""
    placement: Placement | None = None
    """Where the batch's large arrays lie, if in a slot."""


_REFUSED = ("shuffle", "sampler", "batch_sampler", "drop_last", "in_order", "batch_size", "dataset")


class Loader(DataLoader[Any]):
    """Batches of a stream. Each iteration is the next epoch. Made by ``Stream.loader``."""

    def __init__(self, stream: Stream, batch_size: int | None, num_workers: int, options: Mapping[str, Any]) -> None:
        refused = sorted(set(options) & set(_REFUSED))
        if refused:
            raise UsageError(f"{', '.join(refused)}: the stream decides on order, share and tail; see stream(...)")
        pair = stream.source.settings.batch
        if pair is not None:
            if batch_size not in {None, pair[0] * pair[1]}:
                raise UsageError(f"batch_size={batch_size}, but identity batches have {pair[0]} x {pair[1]} samples")
            batch_size = pair[0] * pair[1]
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch_size={batch_size}: at least 1")
        rest = dict(options)
        self.stream = stream
        self._size = batch_size
        self._batches = _Batches(stream, batch_size, rest.pop("collate_fn", None) or collate)
        self._under_way: _UnderWay | None = None
        self._iterations = 0
        self._slots: list[Slots] = []
        super().__init__(self._batches, batch_size=None, num_workers=num_workers, collate_fn=_as_it_is, **rest)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        source = self.stream.source
        token = self._batches.token(self._iterations)
        if not (self.persistent_workers and self._iterations):
            self._batches.serial = self._iterations
            # Pinning happens in a thread that does not know slots.
            count = 0 if self.pin_memory else self.num_workers
            self._slots = self._batches.slots = [Slots((self.prefetch_factor or 0) + 1) for _ in range(count)]
        self._iterations += 1
        worker = source.place(self.num_workers)
        iteration = source.control.take(token)
        under_way = _UnderWay(iteration, source.progress(iteration, worker.layout), worker.rank)
        self._under_way = under_way
        return self._hand_out(super().__iter__(), under_way, self._slots)

    def _hand_out(self, items: Iterator[Item], under_way: "_UnderWay", slots: Sequence[Slots]) -> Iterator[Any]:
        for item in items:
            under_way.count(item.worker, item.consumed, skipped=item.skipped)
            if item.placement is not None:
                for name, array in slots[item.process].take(item.placement).items():
                    item.batch[name] = torch.from_numpy(array)
            yield item.batch
        if self._under_way is under_way:
            self._under_way = None

    def __len__(self) -> int:
        """Batches of a whole epoch on this rank, where the pipeline drops none; fewer remain to a resumed one."""
        if self._size is None:
            raise TypeError("the pipeline makes its own batches: their number is not known")
        source = self.stream.source
        worker = source.place(self.num_workers)
        order = source.order(self.stream.epoch)
        progress = Progress.begin(0, order.count, worker.layout, source.settings.tail, order.granule)
        return progress.batches(worker.rank, self._size)

    def state_dict(self) -> dict[str, Any]:
        """Where the caller is: what was read ahead does not count."""
        source = self.stream.source
        if self._under_way is not None:
            progress, others = self._under_way.progress(self._size)
            rank = self._under_way.rank
        else:
            epoch, entry = source.control.next_iteration()
            if entry is not None:
                return encode_state(entry)
            worker = source.place(self.num_workers)
            progress = source.progress(Iteration("", epoch, None), worker.layout)
            others, rank = True, worker.rank
        return encode_state(
            State(version=STATE_VERSION, order=source.order_name, progress=progress, rank=rank, others=others)
        )

    def load_state_dict(self, state: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """See ``Stream.load_state_dict``."""
        self._under_way = None
        self.stream.load_state_dict(state)


class _UnderWay:
    """What a loader has handed out of an iteration."""

    def __init__(self, iteration: Iteration, begun: Progress, rank: int) -> None:
        self.iteration = iteration
        self.rank = rank
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
        """How far the epoch has come, and whether that is known of the other ranks."""
        progress = self._begun.advanced(self._batches, batch_size or 1)
        as_counted = progress.consumed[self.rank] == self._consumed and batch_size is not None and not self._skipped
        progress.consumed[self.rank] = list(self._consumed)
        turn = list(progress.turn)
        turn[self.rank] = self._turn
        return msgspec.structs.replace(progress, turn=turn), as_counted or len(turn) == 1


class _Batches(IterableDataset[Item]):
    """A stream in batches, each with how far its worker had come."""

    def __init__(self, stream: Stream, batch_size: int | None, collate_fn: Callable[[list[Any]], Any]) -> None:
        self.stream = stream
        self.serial = 0
        """Number of the loader's iteration that the workers were started for."""
        self._batch_size = batch_size
        self._collate = collate_fn
        self._name = secrets.token_hex(8)
        self._begun = 0
        self.slots: list[Slots] = []
        """Of each worker."""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_begun": 0}

    def token(self, iteration: int) -> str:
        """What the loader's iteration of this number is known by in every worker."""
        return f"{self._name}/{iteration}"

    def __iter__(self) -> Iterator[Item]:
        self.stream.source.token = self.token(self.serial + self._begun)
        info = worker_info()
        if info is not None:
            self._begun += 1
            if self.slots:
                self.slots[info.id].clear()
        return self._made() if self._batch_size is None else self._counted(self._batch_size)

    def _made(self) -> Iterator[Item]:
        for batch in self.stream:
            standing = self.stream.source.standing
            assert standing is not None
            yield Item(standing.worker, standing.consumed, standing.skipped > 0, batch)

    def _counted(self, batch_size: int) -> Iterator[Item]:
        # What was skipped counts as a place of its batch: batch n is the same samples whatever could not be read.
        batch: list[Any] = []
        places = skipped = 0
        for sample in self.stream:
            standing = self.stream.source.standing
            assert standing is not None
            places += standing.skipped - skipped
            skipped = standing.skipped
            while places >= batch_size:
                places -= batch_size
                if batch:
                    yield self._item(standing, standing.consumed - 1 - places, batch)
                    batch = []
            batch.append(sample)
            places += 1
            if places == batch_size:
                yield self._item(standing, standing.consumed, batch)
                batch, places = [], 0
        if batch:
            assert standing is not None
            yield self._item(standing, standing.consumed, batch)

    def _item(self, standing: Standing, consumed: int, samples: list[Any]) -> Item:
        item = Item(standing.worker, consumed, standing.skipped > 0, None)
        info = worker_info()
        if info is None or not self.slots or self._collate is not collate or not isinstance(samples[0], dict):
            return item._replace(batch=self._collate(samples))
        columns = {name: [sample[name] for sample in samples] for name in samples[0]}
        large = {name: [np.asarray(value) for value in values] for name, values in columns.items() if _is_large(values)}
        placement = self.slots[info.id].put(large) if large else None
        if placement is None:
            return item._replace(batch=collate(samples))
        # The placed columns keep their places in the order of the names.
        batch = {name: None if name in large else _column(values) for name, values in columns.items()}
        return item._replace(batch=batch, process=info.id, placement=placement)


def _as_it_is(item: Any) -> Any:
    return item


def collate(samples: list[Any]) -> Any:
    """Samples as one dictionary of columns: numbers and arrays of one shape become tensors, all else lists."""
    if not samples or not isinstance(samples[0], dict):
        return samples
    return {name: _column([sample[name] for sample in samples]) for name in samples[0]}


def _is_large(values: list[Any]) -> bool:
    first = values[0]
    if not isinstance(first, torch.Tensor | np.ndarray) or first.nbytes * len(values) < _PLACED_BYTES:
        return False
    return all(value.shape == first.shape and value.dtype == first.dtype for value in values)


def _column(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, bool | int | float):
        return torch.tensor(values)
    if isinstance(first, torch.Tensor | np.ndarray) and all(value.shape == first.shape for value in values):
        return default_collate(values)  # in a worker, straight into memory that it shares with the training process
    return values
