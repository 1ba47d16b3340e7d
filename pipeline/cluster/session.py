"""Ray from its start to its end, on this machine or on a cluster, while the caller does other work."""

import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NoReturn, Self

import ray
import ray.exceptions
from ray.job_config import JobConfig

from shards_spec.errors import ReidShardsError, UsageError

OBJECT_STORE_BYTES = 256 * 2**20
OBJECT_STORE_BYTES_PER_CORE = 4 * 2**20
"""Shared memory of a local Ray. Only slices of the plan go through it, under a megabyte each."""

_ONE_AT_A_TIME = threading.Lock()
"""Ray is one to a process. A session that starts waits for the one before it to end."""

_starting = threading.Event()
"""Set while Ray starts or a cluster is joined, which nothing can break off."""


class ClusterError(ReidShardsError):
    """Ray itself failed, not a task."""


class OwnImports(JobConfig):
    """A job whose workers import only what is installed where they run.

    Ray puts the driver's current folder and its script's folder first on the workers' ``sys.path``. There any folder
    named ``pipeline`` would be imported, and run, in place of this package. Neither a ``working_dir`` nor another
    current folder would do: both change the workers' current folder, against which credentials files may be named.
    """

    @property
    def _py_driver_sys_path(self) -> list[str]:
        """A new list each time, so that what Ray adds to it is lost."""
        return []

    @_py_driver_sys_path.setter
    def _py_driver_sys_path(self, paths: list[str]) -> None:
        pass


class RaySession:
    """Starts Ray, or joins a cluster, in a thread of its own, and ends or leaves it at the end of the ``with`` block.

    The thread lives as long as Ray does, because Linux ends the processes of a local Ray together with the thread that
    started them. Signals stay the main thread's.

    Args:
        workers: Cores of this machine to use; None for all. On a cluster, Ray decides.
        address: Of a running Ray cluster; None starts a Ray on this machine.
    """

    def __init__(self, workers: int | None, address: str | None) -> None:
        self._cores = workers or len(os.sched_getaffinity(0))
        self.address = address
        self._is_ready = threading.Event()
        self._may_end = threading.Event()
        self._error: ReidShardsError | None = None
        self._thread = threading.Thread(target=self._live, name="ray")

    @property
    def is_local(self) -> bool:
        """Whether Ray runs on this machine alone."""
        return self.address is None

    @property
    def is_ready(self) -> bool:
        """Whether Ray has started, or has failed to."""
        return self._is_ready.is_set()

    def __str__(self) -> str:
        """What this session does at its start, for the user."""
        if self.address is not None:
            return f"joining the Ray cluster at {self.address}"
        return f"starting Ray on {self._cores} {'core' if self._cores == 1 else 'cores'} of this machine"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        # After a fault, workers may still be writing: whoever hears of the fault may begin again at once.
        if self.is_ready and (kind is not None or not self.is_local):
            self._thread.join()

    def start(self) -> None:
        """Begin to start Ray, and return at once."""
        if self._thread.ident is None:
            self._thread.start()

    def wait(self) -> None:
        """Return when Ray is there.

        Raises:
            UsageError: there is no cluster at the address, or it does not take this process in.
            ClusterError: Ray does not start on this machine.
        """
        self.start()
        self._is_ready.wait()
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Begin to end Ray, as soon as it is there, and return at once. No task may be running."""
        self._may_end.set()

    def _live(self) -> None:
        with _ONE_AT_A_TIME:
            try:
                if self._may_end.is_set():
                    return
                _starting.set()
                with _kept_handler(signal.SIGTERM):  # Ray's own prints a stack and ends the process
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
            except Exception as error:  # Ray raises bare ones
                raise UsageError(
                    f"--address {self.address}: could not join a Ray cluster there: {describe(error)}. If it asks for "
                    "a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the cluster's"
                ) from error
            return
        # A Ray of one machine does not come back: no use waiting a minute for it.
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
        try:
            ray.init(
                address="local",  # without an address, Ray joins whatever cluster it finds
                num_cpus=self._cores,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES + self._cores * OBJECT_STORE_BYTES_PER_CORE,
                job_config=OwnImports(),
                **quiet,
            )
        except Exception as error:
            raise ClusterError(
                f"Ray did not start on this machine: {describe(error)}. Its own files go to /tmp or RAY_TMPDIR: see "
                "whether there is room, and memory"
            ) from error


@contextlib.contextmanager
def _kept_handler(number: signal.Signals) -> Iterator[None]:
    """Undo what the block does to a signal's handler. ``signal.signal`` would need the main thread for it."""
    get, put = ctypes.pythonapi.PyOS_getsig, ctypes.pythonapi.PyOS_setsig
    get.restype = put.restype = ctypes.c_void_p
    get.argtypes, put.argtypes = [ctypes.c_int], [ctypes.c_int, ctypes.c_void_p]
    handler = get(number)
    try:
        yield
    finally:
        put(number, handler)


def leave(code: int) -> NoReturn:
    """End this process, and do not wait for a Ray that is still starting: Linux ends Ray's processes with this one."""
    if _starting.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def describe(error: BaseException) -> str:
    """Return the error in one line: Ray puts the worker's traceback around it."""
    cause = getattr(error, "cause", None) or error
    lines = str(cause).strip().splitlines() or [""]
    return f"{type(cause).__name__}: {lines[0] if isinstance(cause, ray.exceptions.RayError) else lines[-1]}"


def _probe(address: str) -> None:
    """Refuse an address where nothing listens: Ray itself would look for it for minutes."""
    host, separator, port = address.rpartition("://")[2].rpartition(":")
    if not separator or not port.isdigit():  # "auto": Ray looks on this machine, and knows at once
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise UsageError(f"--address {address}: no Ray cluster answers there: {error}") from error
