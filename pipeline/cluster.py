"""Ray: shard tasks on the cores of this machine or of a cluster, retried, a bounded number in flight."""

import contextlib
import faulthandler
import heapq
import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
import ray.exceptions

from pipeline.shard import ShardRecord, ShardTask, convert_shard
from shards_spec.errors import ReidShardsError, UsageError
from shards_spec.layout import shard_name
from shards_spec.storage import open_store

RETRY_DELAYS = (1.0, 5.0, 25.0)
"""Seconds before a failed shard is tried again; after the last it has failed for good."""

IN_FLIGHT_PER_CPU = 2
"""One running and one waiting, so that no core idles while the driver submits the next."""

TASK_SECONDS = 900.0
FRAME_SECONDS = 0.5
"""A task that takes longer than this, and this for each frame, hangs: its worker is ended and the shard tried again.
Hundreds of times what a shard needs."""

OBJECT_STORE_BYTES = 256 * 2**20
"""Shared memory of a local Ray. Only slices of the plan go through it."""


class ClusterError(ReidShardsError):
    """Ray itself failed, not a task."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A shard failed and will be tried again."""

    name: str
    attempt: int
    error: str
    delay: float
    """Seconds until then."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A shard failed for good."""

    name: str
    error: str


@contextlib.contextmanager
def connect(workers: int | None, address: str | None) -> Iterator[int]:
    """Start Ray on this machine, or join the cluster at ``address``; yields the number of cores it offers.

    Args:
        workers: cores of this machine to use, None for all; of a cluster, Ray decides.
        address: of a running Ray cluster, or None.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None:  # a Ray of one machine does not come back: no use waiting a minute for it
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
    # An explicit "local": without an address, ray.init() joins whatever cluster it finds.
    if address is None:
        ray.init(
            address="local",
            num_cpus=workers or os.cpu_count(),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    else:
        _probe(address)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"--address {address}: could not join a Ray cluster there: {_describe(error)}. If it asks for "
                "a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the cluster's"
            ) from error
    try:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        yield max(1, int(resources.get("CPU", 1)))
    finally:
        ray.shutdown()


def _probe(address: str) -> None:
    """Refuse an address where nothing listens: Ray itself would look for it for minutes."""
    host, separator, port = address.rpartition("://")[2].rpartition(":")
    if not separator or not port.isdigit():  # "auto": Ray looks on this machine, and knows at once
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise UsageError(f"--address {address}: no Ray cluster answers there: {error}") from error


def run_tasks(
    tasks: Iterable[ShardTask], source_url: str, out_url: str, cpus: int, *, tick: float = 0.5
) -> Iterator[ShardRecord | Retry | Failure | None]:
    """Run the tasks; yields what becomes of each as it ends, and None at least every ``tick`` seconds.

    Needs ``connect``. Tasks are taken from ``tasks`` as cores become free, so that their frames need not all be in
    memory. Closing the iterator cancels what is in flight.

    Raises:
        ClusterError: Ray died.
    """
    pool = _Pool(tasks, source_url, out_url)
    try:
        while True:
            while len(pool.running) < IN_FLIGHT_PER_CPU * cpus and pool.submit():
                pass
            if pool.running:
                done, _ = ray.wait(list(pool.running), num_returns=1, timeout=tick)
                yield from map(pool.settle, done) if done else [None]
            elif pool.resting:
                time.sleep(tick)
                yield None
            else:
                return
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"Ray died: {_describe(error)}. What is finished is kept: the same command continues"
        ) from error
    finally:
        pool.cancel()


class _Pool:
    """What is running, what waits to be tried again, and what has not begun."""

    def __init__(self, tasks: Iterable[ShardTask], source_url: str, out_url: str) -> None:
        self._supply = iter(tasks)
        self._remote = ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")(_convert_shard)
        self._urls = (source_url, out_url)
        self.running: dict[Any, tuple[ShardTask, int]] = {}
        """Ray's reference of a task to the task and how often it was tried before."""
        self.resting: list[tuple[float, int, str, ShardTask]] = []
        """A heap of when to try again, how often it was tried, and the shard."""

    def submit(self) -> bool:
        """Start one more task; False where none is ready."""
        if self.resting and self.resting[0][0] <= time.monotonic():
            _, tried, _, task = heapq.heappop(self.resting)
        elif (fresh := next(self._supply, None)) is not None:
            task, tried = fresh, 0
        else:
            return False
        self.running[self._remote.remote(task, *self._urls)] = (task, tried)
        return True

    def settle(self, reference: Any) -> ShardRecord | Retry | Failure:
        """What became of a task that ended."""
        task, tried = self.running.pop(reference)
        name = shard_name(task.cell, task.number)
        try:
            record: ShardRecord = ray.get(reference)
        except (OSError, EOFError, MemoryError, *_LOST_WORKER) as error:
            if tried == len(RETRY_DELAYS):
                return Failure(name, _describe(error))
            delay = RETRY_DELAYS[tried]
            heapq.heappush(self.resting, (time.monotonic() + delay, tried + 1, name, task))
            return Retry(name, tried + 1, _describe(error), delay)
        except ray.exceptions.RayTaskError as error:  # a fault of ours: it would fail again
            return Failure(name, _describe(error))
        return record

    def cancel(self) -> None:
        """End what is running."""
        for reference in self.running:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.cancel(reference, force=True)


_LOST_WORKER = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.ObjectLostError,
    ray.exceptions.RaySystemError,
)


def _convert_shard(task: ShardTask, source_url: str, out_url: str) -> ShardRecord:
    """Run in a Ray worker."""
    pa.set_cpu_count(1)  # a task is one core's
    faulthandler.dump_traceback_later(TASK_SECONDS + FRAME_SECONDS * task.frames.num_rows, exit=True)
    try:
        return convert_shard(task, open_store(source_url), open_store(out_url))
    finally:
        faulthandler.cancel_dump_traceback_later()


def _describe(error: BaseException) -> str:
    """The error in one line: Ray puts the worker's traceback around it."""
    cause = getattr(error, "cause", None) or error
    lines = str(cause).strip().splitlines() or [""]
    return f"{type(cause).__name__}: {lines[0] if isinstance(cause, ray.exceptions.RayError) else lines[-1]}"
