"""What the processes of one stream tell each other: which epoch an iteration is, and what was skipped.

A few hundred bytes of memory, as a file that forked and spawned workers inherit: it has no name that could be left
behind, and the lock on it ends with the process that holds it. So ``set_epoch`` reaches workers that live on from epoch
to epoch.
"""

import contextlib
import fcntl
import multiprocessing.context
import multiprocessing.reduction
import operator
import os
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from shards_spec.errors import UsageError
from shards_spec.stream.state import State

_KEPT = 32  # iterations that are remembered: more than can be under way at a time


class Iteration(NamedTuple):
    """What an iteration is: an epoch from its beginning, or one under way."""

    token: str
    """The same in all workers of one iteration, and in no other iteration."""
    epoch: int
    resume: State | None


class _Board(msgspec.Struct):
    epoch: int = 0
    """Of the iteration that comes next."""
    resume: State | None = None
    iterations: list[Iteration] = []
    skipped: int = 0


class Control:
    """Shared by a stream, what is made of it by ``.map()`` and the like, and their workers."""

    def __init__(self) -> None:
        self._open(os.memfd_create("reid-shards", os.MFD_CLOEXEC))
        self._write(_Board())

    def _open(self, descriptor: int) -> None:
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)

    def __getstate__(self) -> Any:
        if multiprocessing.context.get_spawning_popen() is not None:
            return multiprocessing.reduction.DupFd(self._descriptor)
        with self._locked():
            board = self._read()
        board.iterations = []  # a copy elsewhere goes on from here by itself
        return board

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, _Board):
            self._open(os.memfd_create("reid-shards", os.MFD_CLOEXEC))
            self._write(state)
        else:
            self._open(state.detach())

    def take(self, token: str) -> Iteration:
        """The iteration of this token: the next one where the token is new."""
        with self._changed() as board:
            for iteration in board.iterations:
                if iteration.token == token:
                    return iteration
            iteration = Iteration(token, board.epoch, board.resume)
            self._record(board, iteration)
        return iteration

    def enter(self, token: str, resume: State) -> Iteration:
        """An iteration that a worker goes on with by itself: the epochs after it follow."""
        iteration = Iteration(token, resume.progress.epoch, resume)
        with self._changed() as board:
            if all(known.token != token for known in board.iterations):
                self._record(board, iteration)
        return iteration

    def set(self, epoch: int, resume: State | None = None) -> None:
        """Say what the next iteration is.

        Raises:
            UsageError: there is no such epoch.
        """
        epoch = operator.index(epoch)  # NumPy's, too
        if not 0 <= epoch < 2**63:
            raise UsageError(f"epoch {epoch}: from 0 to 2^63 - 1")
        with self._changed() as board:
            board.epoch, board.resume = epoch, resume

    def next_iteration(self) -> tuple[int, State | None]:
        """The epoch that comes next, and what it goes on from."""
        with self._locked():
            board = self._read()
        return board.epoch, board.resume

    def last_iteration(self) -> Iteration | None:
        """The one that began last."""
        with self._locked():
            iterations = self._read().iterations
        return iterations[-1] if iterations else None

    def count_skipped(self, samples: int) -> None:
        """Add to ``skipped``."""
        with self._changed() as board:
            board.skipped += samples

    @property
    def skipped(self) -> int:
        """Samples left out so far because they could not be read."""
        with self._locked():
            return self._read().skipped

    def _record(self, board: _Board, iteration: Iteration) -> None:
        board.iterations = [*board.iterations[-_KEPT + 1 :], iteration]
        board.epoch, board.resume = iteration.epoch + 1, None

    @contextlib.contextmanager
    def _changed(self) -> Iterator[_Board]:
        with self._locked():
            board = self._read()
            yield board
            self._write(board)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = self._descriptor
        fcntl.lockf(descriptor, fcntl.LOCK_EX)  # of the process, unlike flock, whose locks forked workers share
        try:
            yield
        finally:
            fcntl.lockf(descriptor, fcntl.LOCK_UN)

    def _read(self) -> _Board:
        descriptor = self._descriptor
        length = int.from_bytes(os.pread(descriptor, 8, 0), "little")
        return msgspec.json.decode(os.pread(descriptor, length, 8), type=_Board)

    def _write(self, board: _Board) -> None:
        data = msgspec.json.encode(board)
        os.pwrite(self._descriptor, len(data).to_bytes(8, "little") + data, 0)
