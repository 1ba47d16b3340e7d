"""Memory through which a worker passes the arrays of its batches to the training process, reused from batch to batch.

PyTorch sends each tensor in shared memory of its own, and its fresh pages cost nearly as much time as decoding. Here a
worker has a few slots. It writes a batch into a free slot, or decodes the images there. The training process receives
arrays that lie in the slot, and the slot is free again once nothing refers to any part of them. If no slot is free, the
batch is sent PyTorch's way. The memory has no name and ends with its processes.
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
    """The position of an array in its slot."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        """Number of bytes up to where the next array may begin."""
        return -(-prod(self.shape) * np.dtype(self.dtype).itemsize // _ALIGN) * _ALIGN

    def array(self, memory: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Return the array in the slot's memory."""
        return np.ndarray(self.shape, self.dtype, memory, self.offset)


class SlotArrays(NamedTuple):
    """The arrays of a batch that was written into a slot."""

    slot: int
    slot_bytes: int
    columns: list[Column]


class Claim(NamedTuple):
    """A slot that a worker writes to.

    If the claim and all views of its memory are dropped before it is sent, the slot is free again.
    """

    slot: int
    memory: npt.NDArray[np.uint8]
    freeing: "weakref.finalize[..., Any]"


class Slots:
    """The slots of one worker, shared with the process that started it.

    Args:
        count: Maximum number of batches that are under way or held.
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
        """Claim a free slot, in the worker; None if no slot is free or ``size`` bytes do not fit."""
        if self._map is None:
            self._slot_bytes = 1 << size.bit_length()  # a later batch may be larger, and unused pages take no memory
            os.ftruncate(self._descriptor, _ALIGN + self._count * self._slot_bytes)
            self._map = mmap.mmap(self._descriptor, 0)
        slot = self._map.find(bytes([_FREE]), 0, self._count)
        if slot < 0 or size > self._slot_bytes:
            return None
        return Claim(slot, *_hold(self._map, slot, self._slot_bytes))

    def send(self, claim: Claim, columns: list[Column]) -> SlotArrays:
        """Pass a slot on to the training process, which needs the return value to read it."""
        assert self._map is not None
        claim.freeing.detach()
        self._map[claim.slot] = _SENT
        return SlotArrays(claim.slot, self._slot_bytes, columns)

    def put(self, arrays: Mapping[str, Sequence[npt.NDArray[Any]]]) -> SlotArrays | None:
        """Stack arrays of one shape and type in a slot and send it; None if there is no slot for them."""
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
        """Free the slots that are under way: once an iteration begins, nobody reads batches of the previous one."""
        for slot in range(self._count):
            if self._map is not None and self._map[slot] == _SENT:
                self._map[slot] = _FREE

    def take(self, arrays: SlotArrays) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that were sent, in the training process.

        The slot is free once the arrays and all views of them are gone.
        """
        if self._map is None:
            self._map = mmap.mmap(self._descriptor, 0)
        memory, _ = _hold(self._map, arrays.slot, arrays.slot_bytes)
        return {column.name: column.array(memory) for column in arrays.columns}


def _hold(shared: mmap.mmap, slot: int, size: int) -> tuple[npt.NDArray[np.uint8], "weakref.finalize[..., Any]"]:
    """Return the memory of a slot, and the finalizer that frees the slot."""
    shared[slot] = _IN_USE
    memory: npt.NDArray[np.uint8] = np.ndarray(size, np.uint8, shared, _ALIGN + slot * size)
    freeing = weakref.finalize(memory, _free, shared, slot, os.getpid())
    freeing.atexit = False
    return memory, freeing


def _free(shared: mmap.mmap, slot: int, process: int) -> None:
    if os.getpid() == process:  # not a forked process that drops its copy of a batch
        shared[slot] = _FREE


class ImageBuffer:
    """A slot into which a worker decodes the images of a batch one after another, which saves a copy.

    Args:
        slots: The slots of the worker.
        column: Position and type of a whole batch of images.
        unstack: Function that makes a list of images from the array of a batch.
    """

    def __init__(self, slots: Slots, column: Column, unstack: Callable[[npt.NDArray[Any]], list[Any]]) -> None:
        self.name = column.name
        """Name of the images in a sample."""
        self._slots = slots
        self._column = column
        self._unstack = unstack
        self._begin()

    def _begin(self) -> None:
        self._claim: Claim | None = None
        self._rows: list[Any] = []
        self._used = 0

    def next_image(self) -> Any:
        """Return the memory for the next image; None if the slot has none left."""
        if self._used == 0:
            self._claim = self._slots.claim(self._column.nbytes)
            self._rows = [] if self._claim is None else self._unstack(self._column.array(self._claim.memory))
        self._used += 1
        return self._rows[self._used - 1] if self._used <= len(self._rows) else None

    def send(self, images: Sequence[Any]) -> SlotArrays | None:
        """Send a batch; None if the slot does not hold exactly these images, one after another.

        If a sample was left out, its image may lie between them, and an image of the next batch may lie behind them.
        """
        claim, rows, used = self._claim, self._rows, self._used
        self._begin()
        in_place = used == len(images) and all(image is row for image, row in zip(images, rows, strict=False))
        if claim is None or not in_place:
            return None
        return self._slots.send(claim, [self._column._replace(shape=(len(images), *self._column.shape[1:]))])
