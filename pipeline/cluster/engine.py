"""The engine that makes shards with Ray, on this machine or on a cluster."""

import contextlib
import faulthandler
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import ray
import ray.exceptions

from pipeline.cluster.installation import (
    PACKAGE_FOLDER,
    Installation,
    NodeUnfitError,
    check_installation,
    explain_import,
    is_import_fault,
)
from pipeline.cluster.metrics import count_shard
from pipeline.cluster.scheduler import Event, Fault, Pool
from pipeline.cluster.session import ClusterError, RaySession, describe
from pipeline.plan import Plan, ShardPlan
from pipeline.shards.convert import ShardTask, convert_shard
from pipeline.shards.record import ShardRecord
from pipeline.shards.tasks import shard_task
from shards_spec.storage import open_store

TASK_SECONDS = 900.0
UNIT_SECONDS = 0.5
"""A task hangs if it takes longer than ``TASK_SECONDS`` plus ``UNIT_SECONDS`` for each unit, hundreds of times what a
shard needs. Its worker is then ended, and the shard is tried again."""

CANCEL_SECONDS = 2.0
"""Longest wait, in seconds, at the end of a run until the workers of second copies are gone."""


def run_shards(
    session: RaySession, plan: Plan, shards: Iterable[ShardPlan], source_url: str, out_url: str
) -> Iterator[Event]:
    """Make shards of the plan, and yield what becomes of each as it ends. See ``Pool.run``.

    Args:
        session: Of a Ray that is there.
        plan: Of the shards.
        shards: To be made.
        source_url: Where the archives lie.
        out_url: Where the shards go.

    Raises:
        ClusterError: Ray died.
    """
    engine = RayEngine(session, plan, source_url, out_url)
    try:
        yield from Pool(shards, engine).run()
        engine.settle()
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"Ray died: {describe(error)}. What is finished is kept: the same command continues"
        ) from error


class RayEngine:
    """Makes shards of a plan in Ray tasks of one core each, spread over the nodes. ``Engine`` describes the methods.

    Args:
        session: Of a Ray that is there.
        plan: Of the shards.
        source_url: Where the archives lie.
        out_url: Where the shards go.
        make: What a task does, given a ``ShardTask``, the two URLs and what the driver runs.
    """

    def __init__(
        self,
        session: RaySession,
        plan: Plan,
        source_url: str,
        out_url: str,
        make: Callable[..., ShardRecord] | None = None,
    ) -> None:
        self._is_local = session.is_local
        self._plan = plan
        driver = Installation(plan.versions, PACKAGE_FOLDER if self._is_local else None)
        self._arguments = (source_url, out_url, driver)
        # Ray's own retries would neither wait between attempts nor be counted.
        self._remote = ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")(make or _convert_shard)
        self._limits: dict[Hashable, float] = {}
        """Time by which each task in flight must end; after it, its worker is ended because it hangs."""
        self._cancelled: list[Any] = []

    def now(self) -> float:
        """Return the time in seconds of a clock that never runs backwards."""
        return time.monotonic()

    def cores(self) -> int:
        """Return the present number of cores; at least one, so that an empty cluster has a reason to grow."""
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return max(1, int(resources.get("CPU", 1)))

    def submit(self, shard: ShardPlan) -> Hashable:
        """Submit an attempt, which may have to wait for a core."""
        reference: Hashable = self._remote.remote(shard_task(self._plan, shard), *self._arguments)
        self._limits[reference] = self.now() + _seconds_allowed(len(shard.rows))
        return reference

    def wait(self, attempts: Collection[Hashable], seconds: float) -> list[tuple[Hashable, ShardRecord | Fault]]:
        """Return the attempts that have ended, as soon as one has; return none after ``seconds``."""
        if not attempts:
            time.sleep(seconds)
            return []
        references: list[Any] = list(attempts)
        done, _ = ray.wait(references, num_returns=1, timeout=seconds)
        if done:  # collect whatever else has ended: each call costs time if thousands are in flight
            done, _ = ray.wait(references, num_returns=len(references), timeout=0)
        return [(reference, self._outcome(reference)) for reference in done]

    def cancel(self, attempt: Any) -> None:
        """End an attempt together with its worker, because a worker that is stuck would ignore a polite request."""
        self._limits.pop(attempt, None)
        with contextlib.suppress(ray.exceptions.RayError):
            ray.cancel(attempt, force=True)
        self._cancelled.append(attempt)

    def settle(self) -> None:
        """Wait until cancelled attempts are gone, so that none of them still writes to OUT."""
        if self._cancelled:
            ray.wait(self._cancelled, num_returns=len(self._cancelled), timeout=CANCEL_SECONDS)

    def _outcome(self, reference: Any) -> ShardRecord | Fault:
        """Return the outcome of a task that has ended."""
        limit = self._limits.pop(reference)
        try:
            record: ShardRecord = ray.get(reference)
        except (OSError, EOFError, MemoryError) as error:
            return Fault(describe(error), "failed")
        except ray.exceptions.RayError as error:
            if is_import_fault(error):
                # A node without this package may have joined the cluster later; the others go on.
                return Fault(f"Ray's worker {explain_import(error)}", "hopeless" if self._is_local else "lost")
            if isinstance(error, (NodeUnfitError, *_LOST)):
                is_hung = self.now() >= limit
                return Fault(describe(error), "failed" if is_hung else "lost")
            return Fault(describe(error), "hopeless")  # a fault of this program or of the installation
        return record


_LOST = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.ObjectLostError,
    ray.exceptions.RaySystemError,
)


def _seconds_allowed(units: int) -> float:
    """Return how long a task may take for a shard of this many units."""
    return TASK_SECONDS + UNIT_SECONDS * units


def _convert_shard(task: ShardTask, source_url: str, out_url: str, driver: Installation) -> ShardRecord:
    """Make a shard. This runs in a Ray worker."""
    check_installation(driver)
    pa.set_cpu_count(1)  # a task has one core
    faulthandler.dump_traceback_later(_seconds_allowed(task.rows.num_rows), exit=True)
    try:
        record = convert_shard(task, open_store(source_url), open_store(out_url))
    finally:
        faulthandler.cancel_dump_traceback_later()
    count_shard(record)
    return record
