"""Memory through which a worker hands its batches' arrays to the training process, used again from batch to batch.

PyTorch sends each tensor in shared memory of its own, whose fresh pages cost much of what decoding does. Here a worker
has a few slots. It writes a batch into a free one, or has its images decoded there; the training process is handed the
arrays where they lie, and the slot is free again when nobody holds any part of them any more. Where none is free, a
batch goes PyTorch's way. The memory has no name and ends with its processes.
"""

import mmap
import multiprocessing.reduction
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shards_spec.stream.world import is_spawning

_ALIGN = 4096
_FREE, _IN_USE, _SENT = range(3)
"""States of a slot: a byte each, at the memory's beginning."""


class Column(NamedTuple):
    """Where an array lies in its slot."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        """How long it is, up to where another may begin."""
        return -(-prod(self.shape) * np.dtype(self.dtype).itemsize // _ALIGN) * _ALIGN

    def array(self, memory: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """The array."""
        return np.ndarray(self.shape, self.dtype, memory, self.offset)


class SlotArrays(NamedTuple):
    """Where a batch's arrays lie."""

    slot: int
    slot_bytes: int
    columns: list[Column]


class Claim(NamedTuple):
    """A slot that a worker writes to; free again where it and all views of it are dropped instead of sent."""

    slot: int
    memory: npt.NDArray[np.uint8]
    freeing: "weakref.finalize[..., Any]"


class Slots:
    """One worker's, shared with the process that started it.

    Args:
        count: Batches that may be under way or held.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._open(os.memfd_create("reid-shards-slots", os.MFD_CLOEXEC))

    def _open(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None
        self._slot_bytes = 0
        weakref.finalize(self, os.close, descriptor)

    def __getstate__(self) -> Any:
        assert is_spawning(), "slots go to workers only"
        return self._count, multiprocessing.reduction.DupFd(self._descriptor)

    def __setstate__(self, state: Any) -> None:
        self._count, descriptor = state
        self._open(descriptor.detach())

    def claim(self, size: int) -> Claim | None:
        """Take a free slot, for the worker; None where none is free or ``size`` bytes do not fit."""
        if self._map is None:
            self._slot_bytes = 1 << size.bit_length()  # the next one may be larger; what is not used takes no memory
            os.ftruncate(self._descriptor, _ALIGN + self._count * self._slot_bytes)
            self._map = mmap.mmap(self._descriptor, 0)
        slot = self._map.find(bytes([_FREE]), 0, self._count)
        if slot < 0 or size > self._slot_bytes:
            return None
        return Claim(slot, *_hold(self._map, slot, self._slot_bytes))

    def send(self, claim: Claim, columns: list[Column]) -> SlotArrays:
        """Leave a slot to the training process, which must be told the arrays."""
        assert self._map is not None
        claim.freeing.detach()
        self._map[claim.slot] = _SENT
        return SlotArrays(claim.slot, self._slot_bytes, columns)

    def put(self, arrays: Mapping[str, Sequence[npt.NDArray[Any]]]) -> SlotArrays | None:
        """Stack arrays of one shape and type in a slot and send it; None where there is none for them."""
        columns = []
        offset = 0
        for name, values in arrays.items():
            columns.append(Column(name, values[0].dtype.str, (len(values), *values[0].shape), offset))
            offset += columns[-1].nbytes
        claim = self.claim(offset)
        if claim is None:
            return None
        for column, values in zip(columns, arrays.values(), strict=True):
            np.stack(values, out=column.array(claim.memory))
        return self.send(claim, columns)

    def clear(self) -> None:
        """Free what is on its way: an iteration begins, and of the one before nothing is asked for any more."""
        for slot in range(self._count):
            if self._map is not None and self._map[slot] == _SENT:
                self._map[slot] = _FREE

    def take(self, arrays: SlotArrays) -> dict[str, npt.NDArray[Any]]:
        """What was sent, for the training process: the slot is free when the arrays and all views of them are gone."""
        if self._map is None:
            self._map = mmap.mmap(self._descriptor, 0)
        memory, _ = _hold(self._map, arrays.slot, arrays.slot_bytes)
        return {column.name: column.array(memory) for column in arrays.columns}


def _hold(shared: mmap.mmap, slot: int, size: int) -> tuple[npt.NDArray[np.uint8], "weakref.finalize[..., Any]"]:
    """A slot's memory, and what frees the slot when it is gone."""
    shared[slot] = _IN_USE
    memory: npt.NDArray[np.uint8] = np.ndarray(size, np.uint8, shared, _ALIGN + slot * size)
    freeing = weakref.finalize(memory, _free, shared, slot, os.getpid())
    freeing.atexit = False
    return memory, freeing


def _free(shared: mmap.mmap, slot: int, process: int) -> None:
    if os.getpid() == process:  # and not one that was forked from it and drops its copy of a batch
        shared[slot] = _FREE


class ImageBuffer:
    """Slots that a worker's images are decoded into, one behind the other, instead of being copied there.

    Args:
        slots: The worker's.
        column: A whole batch of images.
        unstack: What makes a list of the images of such an array.
    """

    def __init__(self, slots: Slots, column: Column, unstack: Callable[[npt.NDArray[Any]], list[Any]]) -> None:
        self._slots = slots
        self._column = column
        self._unstack = unstack
        self._begin()

    def _begin(self) -> None:
        self._claim: Claim | None = None
        self._rows: list[Any] = []
        self._used = 0

    def next_image(self) -> Any:
        """Where the next image goes; None where there is no room for it."""
        if self._used == 0:
            self._claim = self._slots.claim(self._column.nbytes)
            self._rows = [] if self._claim is None else self._unstack(self._column.array(self._claim.memory))
        self._used += 1
        return self._rows[self._used - 1] if self._used <= len(self._rows) else None

    def send(self, images: Sequence[Any]) -> SlotArrays | None:
        """Send a batch; None where these images do not lie in its slot one behind the other, and nothing else does.

        Where something was left out, another image may lie between them, or one of the next batch behind them.
        """
        claim, rows, used = self._claim, self._rows, self._used
        self._begin()
        in_place = used == len(images) and all(image is row for image, row in zip(images, rows, strict=False))
        if claim is None or not in_place:
            return None
        return self._slots.send(claim, [self._column._replace(shape=(len(images), *self._column.shape[1:]))])
