"""Ray: this machine or a cluster as the engine that makes shards."""

import contextlib
import faulthandler
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import ray
import ray.exceptions

from pipeline.metrics import count_shard
from pipeline.nodes import NodeUnfitError, check_versions
from pipeline.plan import Plan, ShardPlan
from pipeline.pool import Event, Fault, Pool
from pipeline.shard import ShardTask, convert_shard
from pipeline.tasks import shard_task
from pipeline.work import ShardRecord
from shards_spec.errors import ReidShardsError, UsageError
from shards_spec.storage import open_store

TASK_SECONDS = 900.0
FRAME_SECONDS = 0.5
"""A task that takes longer than this, and this for each frame, hangs: its worker is ended and the shard tried again.
Hundreds of times what a shard needs."""

OBJECT_STORE_BYTES = 256 * 2**20
OBJECT_STORE_BYTES_PER_CORE = 4 * 2**20
"""Shared memory of a local Ray. Only slices of the plan go through it, under a megabyte each."""


class ClusterError(ReidShardsError):
    """Ray itself failed, not a task."""


@contextlib.contextmanager
def connect(workers: int | None, address: str | None) -> Iterator[None]:
    """Start Ray on this machine, or join the cluster at ``address``, while the block runs. Inside another one, stay.

    Args:
        workers: cores of this machine to use, None for all; of a cluster, Ray decides.
        address: of a running Ray cluster, or None.

    Raises:
        UsageError: there is no cluster at ``address``, or it does not take this process in.
        ClusterError: Ray does not start on this machine.
    """
    if ray.is_initialized():
        yield
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    terminate = signal.getsignal(signal.SIGTERM)
    # An explicit "local": without an address, ray.init() joins whatever cluster it finds.
    if address is None:
        # A Ray of one machine does not come back: no use waiting a minute for it.
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
        cores = workers or os.cpu_count() or 1
        try:
            ray.init(
                address="local",
                num_cpus=cores,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES + cores * OBJECT_STORE_BYTES_PER_CORE,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except Exception as error:  # Ray raises bare ones
            raise ClusterError(
                f"Ray did not start on this machine: {_describe(error)}. Its own files go to /tmp or RAY_TMPDIR: see "
                "whether there is room, and memory"
            ) from error
    else:
        _probe(address)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"--address {address}: could not join a Ray cluster there: {_describe(error)}. If it asks for "
                "a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the cluster's"
            ) from error
    if terminate is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminate)  # Ray's own dumps its stack and exits with 15
    try:
        yield
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


def run_shards(plan: Plan, shards: Iterable[ShardPlan], source_url: str, out_url: str) -> Iterator[Event]:
    """Make shards of the plan; yields what becomes of each as it ends. See ``Pool.run``. Needs ``connect``.

    Raises:
        ClusterError: Ray died.
    """
    try:
        yield from Pool(shards, RayEngine(plan, source_url, out_url)).run()
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"Ray died: {_describe(error)}. What is finished is kept: the same command continues"
        ) from error


class RayEngine:
    """Makes shards of a plan in Ray tasks, a core each, spread over the nodes. See ``Engine`` for the methods.

    Args:
        plan: of the shards.
        source_url: where the archives lie.
        out_url: where the shards go.
        make: what a task does, given a ``ShardTask``, the two URLs and the plan's versions.
    """

    def __init__(
        self, plan: Plan, source_url: str, out_url: str, make: Callable[..., ShardRecord] | None = None
    ) -> None:
        self._plan = plan
        self._urls = (source_url, out_url)
        # Ray's own retries would neither pause nor be counted.
        self._remote = ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")(make or _convert_shard)
        self._limits: dict[Hashable, float] = {}
        """By when a task in flight must have ended, were its worker not ended for hanging."""

    def now(self) -> float:
        """Seconds, never running backwards."""
        return time.monotonic()

    def cores(self) -> int:
        """How many there are now; at least one, so that a cluster without any has a reason to grow."""
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return max(1, int(resources.get("CPU", 1)))

    def submit(self, shard: ShardPlan) -> Hashable:
        """Begin an attempt, or have it wait for a core."""
        reference: Hashable = self._remote.remote(shard_task(self._plan, shard), *self._urls, self._plan.versions)
        self._limits[reference] = self.now() + _seconds_allowed(len(shard.rows))
        return reference

    def wait(self, attempts: Collection[Hashable], seconds: float) -> list[tuple[Hashable, ShardRecord | Fault]]:
        """Those that have ended: as soon as there is one, and none after ``seconds``."""
        if not attempts:
            time.sleep(seconds)
            return []
        references: list[Any] = list(attempts)
        done, _ = ray.wait(references, num_returns=1, timeout=seconds)
        if done:  # and whatever else has ended by now: asking costs time with each of thousands in flight
            done, _ = ray.wait(references, num_returns=len(references), timeout=0)
        return [(reference, self._outcome(reference)) for reference in done]

    def cancel(self, attempt: Any) -> None:
        """End an attempt, the worker with it: one that is stuck would not heed a polite request."""
        self._limits.pop(attempt, None)
        with contextlib.suppress(ray.exceptions.RayError):
            ray.cancel(attempt, force=True)

    def _outcome(self, reference: Any) -> ShardRecord | Fault:
        """What became of a task that ended."""
        limit = self._limits.pop(reference)
        try:
            record: ShardRecord = ray.get(reference)
        except (OSError, EOFError, MemoryError) as error:
            return Fault(_describe(error), "failed")
        except (NodeUnfitError, *_LOST) as error:
            is_hung = self.now() >= limit
            return Fault(_describe(error), "failed" if is_hung else "lost")
        except ray.exceptions.RayTaskError as error:  # a fault of ours
            return Fault(_describe(error), "hopeless")
        return record


_LOST = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.ObjectLostError,
    ray.exceptions.RaySystemError,
)


def _seconds_allowed(frames: int) -> float:
    """For a shard of so many frames."""
    return TASK_SECONDS + FRAME_SECONDS * frames


def _convert_shard(task: ShardTask, source_url: str, out_url: str, versions: Mapping[str, str]) -> ShardRecord:
    """Run in a Ray worker."""
    check_versions(versions)
    pa.set_cpu_count(1)  # a task is one core's
    faulthandler.dump_traceback_later(_seconds_allowed(task.frames.num_rows), exit=True)
    try:
        record = convert_shard(task, open_store(source_url), open_store(out_url))
    finally:
        faulthandler.cancel_dump_traceback_later()
    count_shard(record)
    return record


def _describe(error: BaseException) -> str:
    """The error in one line: Ray puts the worker's traceback around it."""
    cause = getattr(error, "cause", None) or error
    lines = str(cause).strip().splitlines() or [""]
    return f"{type(cause).__name__}: {lines[0] if isinstance(cause, ray.exceptions.RayError) else lines[-1]}"
