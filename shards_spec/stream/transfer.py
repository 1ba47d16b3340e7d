"""Batches on their way from a worker to the training process. Requires PyTorch."""

import contextlib
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import default_collate

from shards_spec.stream.slots import ImageBuffer, SlotArrays, Slots

_PLACED_BYTES = 64 * 1024
"""Columns of arrays or bytes larger than this are sent through a slot."""


class Item(NamedTuple):
    """What a worker sends for a batch."""

    worker: int
    """Index of the worker whose part the batch belongs to."""
    consumed: int
    """Number of samples of that part that have been yielded, this batch included."""
    skipped: bool
    """Whether any sample of that part was skipped."""
    batch: Any
    process: int = 0
    """The worker's own index."""
    sent: SlotArrays | None = None
    """Position of the batch's large columns, if they are in a slot."""
    lengths: Mapping[str, list[int]] = {}
    """Lengths of the entries of each column of bytes in the slot."""
    is_packed: bool = False
    """Whether columns of numbers are NumPy arrays, and large arrays may be in a slot."""


def collate(samples: list[Any]) -> Any:
    """Make a dictionary of columns from a list of samples.

    Numbers and arrays of one shape become tensors, everything else lists. Where samples differ in their names, a column
    has None for each sample that lacks it.
    """
    if not samples or not isinstance(samples[0], dict):
        return samples
    return {name: _column(values) for name, values in _columns(samples).items()}


def _columns(samples: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the values of all samples by name."""
    if sum(map(len, samples)) == len(samples[0]) * len(samples):
        # They have the same names, unless one lacks a name. Comparing names would take a twentieth of the time of all.
        with contextlib.suppress(KeyError):
            return {name: [sample[name] for sample in samples] for name in samples[0]}
    names = dict.fromkeys(name for sample in samples for name in sample)
    return {name: [sample.get(name) for sample in samples] for name in names}


def pack(item: Item, samples: list[Any], slots: Slots, process: int, image_buffer: ImageBuffer | None) -> Item:
    """Return an item with a batch of samples, whose large columns go through a slot if one is free.

    Args:
        item: Item without a batch.
        samples: Samples as dictionaries.
        slots: Slots of the worker.
        process: Index of the worker.
        image_buffer: Buffer that the images were decoded into, if any.
    """
    columns = _columns(samples)
    sent = None if image_buffer is None else image_buffer.send(columns[image_buffer.name])
    lengths: dict[str, list[int]] = {}
    if sent is None:
        large = {name: [np.asarray(one) for one in values] for name, values in columns.items() if _is_large(values)}
        for name, values in columns.items():
            if _are_bytes(values):
                large[name] = [np.frombuffer(b"".join(values), np.uint8)]
                lengths[name] = list(map(len, values))
        sent = slots.put(large) if large else None
    placed = set() if sent is None else {column.name for column in sent.columns}
    # Columns in a slot keep their position in the order of the names.
    batch = {name: None if name in placed else _packed(values) for name, values in columns.items()}
    return item._replace(batch=batch, process=process, sent=sent, lengths=lengths if sent else {}, is_packed=True)


def unpack(item: Item, slots: Sequence[Slots]) -> Any:
    """Return the batch of an item, in the training process."""
    if not item.is_packed:
        return item.batch
    batch = item.batch if item.sent is None else item.batch | slots[item.process].take(item.sent)
    for name, value in batch.items():
        if name in item.lengths:
            batch[name] = _split_bytes(value, item.lengths[name])
        elif isinstance(value, np.ndarray):
            batch[name] = torch.from_numpy(value)
    return batch


def _packed(values: list[Any]) -> Any:
    # PyTorch opens shared memory even for a tensor of a few numbers, which costs as much as reading some 100 samples.
    return _column(values).numpy() if isinstance(values[0], bool | int | float) else _column(values)


def _split_bytes(joined: npt.NDArray[np.uint8], lengths: list[int]) -> list[bytes]:
    view = memoryview(joined[0])
    stops = list(accumulate(lengths))
    return [bytes(view[stop - length : stop]) for length, stop in zip(lengths, stops, strict=True)]


def _is_large(values: list[Any]) -> bool:
    first = values[0]
    if not isinstance(first, torch.Tensor | np.ndarray) or first.nbytes * len(values) < _PLACED_BYTES:
        return False
    if first.dtype is torch.bfloat16:  # NumPy does not have this type
        return False
    return all(value.shape == first.shape and value.dtype == first.dtype for value in values)


def _are_bytes(values: list[Any]) -> bool:
    return all(type(value) is bytes for value in values) and sum(map(len, values)) >= _PLACED_BYTES


def _column(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, bool | int | float):
        return torch.tensor(values)
    if isinstance(first, torch.Tensor | np.ndarray) and all(value.shape == first.shape for value in values):
        return default_collate(values)  # in a worker, this writes directly into memory shared with the training process
    return values
