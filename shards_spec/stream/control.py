"""The state that the processes of one stream share: which epoch an iteration is, and how many samples were skipped.

It is a few hundred bytes in an anonymous file that forked and spawned workers inherit. The file has no name, so nothing
can be left behind, and a lock on it ends with the process that holds it. Through it, ``set_epoch`` reaches workers that
outlive an epoch.
"""

import contextlib
import fcntl
import multiprocessing
import multiprocessing.reduction
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from shards_spec.errors import UsageError
from shards_spec.stream.integers import whole_number
from shards_spec.stream.state import State
from shards_spec.stream.world import is_spawning, worker_info

_KEPT = 32  # number of iterations to remember: more than can be under way at a time


class Iteration(msgspec.Struct, frozen=True):
    """An iteration: an epoch from its beginning, or one that is resumed."""

    epoch: int
    resume: State | None = None
    times_set: int = 0
    """Number of calls of ``Control.set`` before this iteration began."""
    skipped: int = 0
    """Number of samples skipped before this iteration began."""


class _Begun(msgspec.Struct):
    token: str
    iteration: Iteration
    workers: list[int]
    """The workers that have asked for the iteration."""


class _Shared(msgspec.Struct):
    epoch: int = 0
    """The epoch of the next iteration."""
    resume: State | None = None
    times_set: int = 0
    begun: list[_Begun] = []
    skipped: int = 0


class Control:
    """State shared by a stream, the copies that ``.map()`` and the like make of it, and their workers.

    A process that is not a loader's worker, such as a rank, may be given a stream when it starts. It then continues by
    itself from the iteration that was next at that time.
    """

    def __init__(self) -> None:
        self._next: tuple[int, State | None] = (0, None)  # as this process has last seen it
        self._open(os.memfd_create("reid-shards", os.MFD_CLOEXEC))
        self._write({})

    def _open(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._threads = threading.RLock(), os.getpid()
        weakref.finalize(self, os.close, descriptor)

    def __getstate__(self) -> Any:
        shared = self._own_part()
        if is_spawning():
            return multiprocessing.reduction.DupFd(self._descriptor), (shared.epoch, shared.resume)
        shared.begun = []  # a copy in another process continues by itself
        return shared

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, _Shared):
            self.__init__()  # type: ignore[misc]
            self._next = state.epoch, state.resume
            self._write({_process_key(): state})
        else:
            shared, self._next = state
            self._open(shared.detach())

    def take(self, token: str, worker: int = 0) -> Iteration:
        """Return the iteration of a token.

        It is the next iteration if the token is new, or if this worker has already taken the token's iteration.

        Args:
            token: A name that is the same in all workers of one iteration. The random seed that PyTorch gives to
                workers is such a name, but a caller who sets the seed may give it to several iterations.
            worker: Index of the worker.
        """
        with self._changed() as shared:
            return _join(shared, token, worker, shared.epoch, shared.resume)

    def enter(self, token: str, resume: State, worker: int = 0) -> Iteration:
        """Return an iteration that a worker resumes by itself. The epochs after it follow."""
        with self._changed() as shared:
            iteration = _join(shared, token, worker, resume.progress.epoch, None)
        return msgspec.structs.replace(iteration, resume=resume)

    def set(self, epoch: int, resume: State | None = None) -> None:
        """Set the next iteration.

        Raises:
            UsageError: The epoch is not a whole number from 0 to 2^63 - 1.
        """
        epoch = whole_number("epoch", epoch)
        if not 0 <= epoch < 2**63:
            raise UsageError(f"epoch {epoch}: from 0 to 2^63 - 1")
        with self._changed() as shared:
            shared.epoch, shared.resume = epoch, resume
            shared.times_set += 1

    def is_superseded(self, iteration: Iteration) -> bool:
        """Return whether ``set`` has been called since an iteration began."""
        return self._own_part().times_set != iteration.times_set

    def next_iteration(self) -> tuple[int, State | None]:
        """Return the epoch of the next iteration, and the state that it resumes."""
        shared = self._own_part()
        return shared.epoch, shared.resume

    def last_iteration(self) -> Iteration | None:
        """Return the iteration that began last."""
        begun = self._own_part().begun
        return begun[-1].iteration if begun else None

    def count_skipped(self, samples: int) -> None:
        """Add to ``skipped``."""
        with self._changed() as shared:
            shared.skipped += samples

    @property
    def skipped(self) -> int:
        """Number of samples left out so far because they could not be read."""
        return self._own_part().skipped

    def _own_part(self) -> _Shared:
        with self._locked():
            shared = self._own(self._read())
        self._next = shared.epoch, shared.resume
        return shared

    @contextlib.contextmanager
    def _changed(self) -> Iterator[_Shared]:
        with self._locked():
            by_process = self._read()
            shared = self._own(by_process)
            yield shared
            self._write(by_process)
            self._next = shared.epoch, shared.resume

    def _own(self, by_process: dict[str, _Shared]) -> _Shared:
        """Return the entry of this process and its workers; a worker gets that of its parent."""
        key = _process_key()
        if key not in by_process:
            for other in [other for other in by_process if not _lives(other)]:
                del by_process[other]
            by_process[key] = _Shared(*self._next)
        return by_process[key]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclude all other threads and processes while the block runs."""
        lock, process = self._threads
        if process != os.getpid():  # this process was forked, perhaps while another thread held the lock
            lock = threading.RLock()  # reentrant, because a signal handler may ask for a state
            self._threads = lock, os.getpid()
        with lock:
            fcntl.lockf(
                self._descriptor, fcntl.LOCK_EX
            )  # of the process, unlike flock, whose locks forked workers share
            try:
                yield
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _read(self) -> dict[str, _Shared]:
        descriptor = self._descriptor
        length = int.from_bytes(os.pread(descriptor, 8, 0), "little")
        return msgspec.json.decode(os.pread(descriptor, length, 8), type=dict[str, _Shared])

    def _write(self, by_process: dict[str, _Shared]) -> None:
        data = msgspec.json.encode(by_process)
        os.pwrite(self._descriptor, len(data).to_bytes(8, "little") + data, 0)


def _join(shared: _Shared, token: str, worker: int, epoch: int, resume: State | None) -> Iteration:
    """Return the iteration of a token: a new one if the token is new or its worker has already taken it."""
    begun = next((begun for begun in reversed(shared.begun) if begun.token == token), None)
    if begun is None or worker in begun.workers:
        begun = _Begun(token, Iteration(epoch, resume, shared.times_set, shared.skipped), [])
        shared.begun = [*shared.begun[-_KEPT + 1 :], begun]
        shared.epoch, shared.resume = epoch + 1, None
    begun.workers.append(worker)
    return begun.iteration


def _process_key() -> str:
    """Return a unique name of this process, or of its parent if it is a worker."""
    parent = multiprocessing.parent_process()
    number = os.getpid() if worker_info() is None or parent is None or parent.pid is None else parent.pid
    return f"{number}/{_start_time(number)}"


def _lives(key: str) -> bool:
    number, _, started = key.partition("/")
    return str(_start_time(int(number))) == started


def _start_time(number: int) -> int | None:
    """Return when a process was started, in clock ticks after the system; see proc_pid_stat(5), field 22."""
    try:
        return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
