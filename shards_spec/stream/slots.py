"""Memory through which a worker hands its batches' arrays to the training process, used again from batch to batch.

PyTorch sends each tensor in shared memory of its own, and fresh pages cost more than decoding does where a machine is
virtual. Here a worker has a few slots; the training process copies a batch out before it asks for the next, so a slot
is free again long before its turn, and nobody keeps a view of it. The memory has no name and ends with its processes.
"""

import mmap
import multiprocessing.reduction
import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shards_spec.stream.world import is_spawning

_ALIGN = 4096


class Column(NamedTuple):
    """Where an array lies in its slot."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int


class Placement(NamedTuple):
    """Where a batch's arrays lie."""

    slot: int
    slot_bytes: int
    columns: list[Column]


class Slots:
    """One worker's, shared with the process that started it.

    Args:
        count: Batches that may be under way, and one more, which is being copied out.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._open(os.memfd_create("reid-shards-slots", os.MFD_CLOEXEC))

    def _open(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None
        self._slot_bytes = 0
        self._next = 0
        weakref.finalize(self, os.close, descriptor)

    def __getstate__(self) -> Any:
        assert is_spawning(), "slots go to workers only"
        return self._count, multiprocessing.reduction.DupFd(self._descriptor)

    def __setstate__(self, state: Any) -> None:
        self._count, descriptor = state
        self._open(descriptor.detach())

    def put(self, arrays: Mapping[str, Sequence[npt.NDArray[Any]]]) -> Placement | None:
        """Stack arrays of one shape and type into the next slot; None where they do not fit or it is not free."""
        columns = []
        offset = 0
        for name, values in arrays.items():
            columns.append(Column(name, values[0].dtype.str, (len(values), *values[0].shape), offset))
            offset += -(-len(values) * values[0].nbytes // _ALIGN) * _ALIGN
        if self._map is None:
            self._slot_bytes = offset
            os.ftruncate(self._descriptor, _ALIGN + self._count * offset)
            self._map = mmap.mmap(self._descriptor, 0)
        slot = self._next
        if offset > self._slot_bytes or self._map[slot]:
            return None
        placement = Placement(slot, self._slot_bytes, columns)
        for column, values in zip(columns, arrays.values(), strict=True):
            np.stack(values, out=self._view(placement, column))
        self._map[slot] = 1
        self._next = (slot + 1) % self._count
        return placement

    def clear(self) -> None:
        """Free all slots: an iteration begins, and of the one before nothing is asked for any more."""
        if self._map is not None:
            self._map[: self._count] = bytes(self._count)

    def take(self, placement: Placement) -> dict[str, npt.NDArray[Any]]:
        """Copies of a slot's arrays; the slot is free afterwards."""
        if self._map is None:
            self._map = mmap.mmap(self._descriptor, 0)
        taken = {column.name: self._view(placement, column).copy() for column in placement.columns}
        self._map[placement.slot] = 0
        return taken

    def _view(self, placement: Placement, column: Column) -> npt.NDArray[Any]:
        offset = _ALIGN + placement.slot * placement.slot_bytes + column.offset
        return np.ndarray(column.shape, np.dtype(column.dtype), self._map, offset)
