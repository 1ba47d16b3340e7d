"""The lifetime of Ray, on this machine or on a cluster; Ray starts and ends while the caller does other work."""

import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import ray
import ray.exceptions
from ray.job_config import JobConfig

from shards_spec.cores import usable_cores
from shards_spec.errors import ReidShardsError, UsageError
from shards_spec.text import spell_count

OBJECT_STORE_BYTES = 256 * 2**20
OBJECT_STORE_BYTES_PER_CORE = 4 * 2**20
"""Bytes of shared memory of a local Ray, for each core. Only slices of the plan go through it, each under a
megabyte."""

_ONE_AT_A_TIME = threading.Lock()
"""A process can have only one Ray. A session that starts waits until the one before it has ended."""

_starting = threading.Event()
"""Set while Ray starts or joins a cluster, which cannot be interrupted."""

_has_started = threading.Event()
"""Set once a session of this process has begun to start Ray."""


class ClusterError(ReidShardsError):
    """Ray itself failed, rather than a task."""


class OwnImports(JobConfig):
    """A job whose workers import only what is installed where they run.

    Ray puts the driver's current folder and its script's folder first on the workers' ``sys.path``. Any folder named
    ``pipeline`` in there would be imported and run in place of this package. Setting a ``working_dir`` or another
    current folder is no remedy: both change the workers' current folder, and paths of credentials files may be relative
    to it.
    """

    @property
    def _py_driver_sys_path(self) -> list[str]:
        """Return a new list each time, so that whatever Ray adds to it is lost."""
        return []

    @_py_driver_sys_path.setter
    def _py_driver_sys_path(self, paths: list[str]) -> None:
        pass


class RaySession:
    """Starts Ray, or joins a cluster, in a thread of its own, and ends or leaves it at the end of the ``with`` block.

    The thread lives as long as Ray does, because Linux ends the processes of a local Ray together with the thread that
    started them. Signals stay with the main thread.

    Args:
        workers: Number of cores of this machine to use; None for all. On a cluster, Ray decides.
        address: Address of a running Ray cluster; None starts a Ray on this machine.
    """

    def __init__(self, workers: int | None, address: str | None) -> None:
        self._cores = workers or usable_cores()
        self.address = address
        self._is_ready = threading.Event()
        self._may_end = threading.Event()
        self._error: ReidShardsError | None = None
        self._thread = threading.Thread(target=self._live, name="ray")

    @property
    def is_local(self) -> bool:
        """Return whether Ray runs on this machine alone."""
        return self.address is None

    @property
    def is_ready(self) -> bool:
        """Return whether Ray has started or has failed to start."""
        return self._is_ready.is_set()

    def __str__(self) -> str:
        """Describe for the user what this session does at its start."""
        if self.address is not None:
            return f"joining the Ray cluster at {self.address}"
        return f"starting Ray on {spell_count(self._cores, 'core')} of this machine"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        # After a fault, workers may still be writing, while the caller may start again as soon as it learns of the
        # fault.
        if self.is_ready and (kind is not None or not self.is_local):
            self._thread.join()

    def start(self) -> None:
        """Start Ray in the background, and return at once."""
        if self._thread.ident is None:
            self._thread.start()

    def wait(self) -> None:
        """Wait until Ray is ready.

        Raises:
            UsageError: There is no cluster at the address, or it does not accept this process.
            ClusterError: Ray does not start on this machine.
        """
        self.start()
        self._is_ready.wait()
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """End Ray in the background, as soon as it has started, and return at once. No task may be running."""
        self._may_end.set()

    def _live(self) -> None:
        with _ONE_AT_A_TIME:
            try:
                if self._may_end.is_set():
                    return
                _starting.set()
                _has_started.set()
                with _kept_handler(signal.SIGTERM):  # Ray's own handler prints a stack and ends the process
                    self._begin()
            except ReidShardsError as error:
                self._error = error
            finally:
                _starting.clear()
                self._is_ready.set()
            self._may_end.wait()
            ray.shutdown()

    def _begin(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is not None:
            _probe(self.address)
            try:
                ray.init(address=self.address, job_config=OwnImports(), **quiet)
            except Exception as error:  # Ray raises plain exceptions
                raise UsageError(
                    f"--address {self.address}: could not join a Ray cluster there: {describe(error)}. If it asks for "
                    "a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the cluster's"
                ) from error
            return
        # A Ray on one machine does not come back, so waiting a minute for it is useless.
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
        try:
            ray.init(
                address="local",  # without an address, Ray joins any cluster that it finds
                num_cpus=self._cores,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES + self._cores * OBJECT_STORE_BYTES_PER_CORE,
                job_config=OwnImports(),
                **quiet,
            )
        except Exception as error:  # Ray raises plain exceptions
            raise ClusterError(
                f"Ray did not start on this machine: {describe(error)}. Its own files go to /tmp or RAY_TMPDIR: see "
                "whether there is room, and memory"
            ) from error


@contextlib.contextmanager
def _kept_handler(number: signal.Signals) -> Iterator[None]:
    """Restore a signal's handler after the block. ``signal.signal`` could do so only in the main thread."""
    get, put = ctypes.pythonapi.PyOS_getsig, ctypes.pythonapi.PyOS_setsig
    get.restype = put.restype = ctypes.c_void_p
    get.argtypes, put.argtypes = [ctypes.c_int], [ctypes.c_int, ctypes.c_void_p]
    handler = get(number)
    try:
        yield
    finally:
        put(number, handler)


def leave(code: int) -> NoReturn:
    """End this process, and with it a local Ray, which may still be starting or ending.

    Neither Ray's own end, which takes more than a second, nor the interpreter's, which takes 0.3 seconds with all that
    a conversion imports, is waited for. By now no process of Ray has anything left to write: a cluster has been left,
    and after a fault the session has waited for Ray's end.
    """
    if _has_started.is_set():
        for process in _descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for output in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # whoever read it, such as `head`, is gone
                output.flush()
        os._exit(code)
    sys.exit(code)


def _descendants() -> list[int]:
    """Return the ids of the processes that this process has started, and of those that they have started."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended in the meantime
            fields = status.read_text().rpartition(")")[2].split()  # the name before it may hold anything
            children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found = [os.getpid()]
    for process in found:
        found += children.get(process, [])
    return found[1:]


def describe(error: BaseException) -> str:
    """Return an error in one line, without the worker's traceback that Ray adds to it."""
    cause = getattr(error, "cause", None) or error
    lines = str(cause).strip().splitlines() or [""]
    return f"{type(cause).__name__}: {lines[0] if isinstance(cause, ray.exceptions.RayError) else lines[-1]}"


def _probe(address: str) -> None:
    """Refuse an address at which nothing listens, because Ray itself would keep trying for minutes."""
    host, separator, port = address.rpartition("://")[2].rpartition(":")
    if not separator or not port.isdigit():  # with "auto", Ray looks on this machine and knows at once
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise UsageError(f"--address {address}: no Ray cluster answers there: {error}") from error
