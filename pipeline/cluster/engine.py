"""Ray as the engine that makes shards, on this machine or on a cluster."""

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
FRAME_SECONDS = 0.5
"""A task that takes longer than this, and this for each frame, hangs: its worker is ended and the shard tried again.
Hundreds of times what a shard needs."""

CANCEL_SECONDS = 2.0
"""How long to wait at the end for the workers of second copies to be gone."""


def run_shards(
    session: RaySession, plan: Plan, shards: Iterable[ShardPlan], source_url: str, out_url: str
) -> Iterator[Event]:
    """Make shards of the plan; yields what becomes of each as it ends. See ``Pool.run``.

    Args:
        session: of a Ray that is there.
        plan: of the shards.
        shards: to be made.
        source_url: where the archives lie.
        out_url: where the shards go.

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
    """Makes shards of a plan in Ray tasks, a core each, spread over the nodes. See ``Engine`` for the methods.

    Args:
        session: of a Ray that is there.
        plan: of the shards.
        source_url: where the archives lie.
        out_url: where the shards go.
        make: what a task does, given a ``ShardTask``, the two URLs and what the driver runs.
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
        # Ray's own retries would neither pause nor be counted.
        self._remote = ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")(make or _convert_shard)
        self._limits: dict[Hashable, float] = {}
        """By when a task in flight must have ended, were its worker not ended for hanging."""
        self._cancelled: list[Any] = []

    def now(self) -> float:
        """Seconds, never running backwards."""
        return time.monotonic()

    def cores(self) -> int:
        """How many there are now; at least one, so that a cluster without any has a reason to grow."""
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return max(1, int(resources.get("CPU", 1)))

    def submit(self, shard: ShardPlan) -> Hashable:
        """Begin an attempt, or have it wait for a core."""
        reference: Hashable = self._remote.remote(shard_task(self._plan, shard), *self._arguments)
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
        self._cancelled.append(attempt)

    def settle(self) -> None:
        """Wait until attempts that were cancelled are gone, and with them what writes to OUT."""
        if self._cancelled:
            ray.wait(self._cancelled, num_returns=len(self._cancelled), timeout=CANCEL_SECONDS)

    def _outcome(self, reference: Any) -> ShardRecord | Fault:
        """What became of a task that ended."""
        limit = self._limits.pop(reference)
        try:
            record: ShardRecord = ray.get(reference)
        except (OSError, EOFError, MemoryError) as error:
            return Fault(describe(error), "failed")
        except ray.exceptions.RayError as error:
            if is_import_fault(error):
                # A node of a cluster may have joined later without this package: others go on.
                return Fault(f"Ray's worker {explain_import(error)}", "hopeless" if self._is_local else "lost")
            if isinstance(error, (NodeUnfitError, *_LOST)):
                is_hung = self.now() >= limit
                return Fault(describe(error), "failed" if is_hung else "lost")
            return Fault(describe(error), "hopeless")  # a fault of ours, or of the installation
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


def _convert_shard(task: ShardTask, source_url: str, out_url: str, driver: Installation) -> ShardRecord:
    """Run in a Ray worker."""
    check_installation(driver)
    pa.set_cpu_count(1)  # a task is one core's
    faulthandler.dump_traceback_later(_seconds_allowed(task.frames.num_rows), exit=True)
    try:
        record = convert_shard(task, open_store(source_url), open_store(out_url))
    finally:
        faulthandler.cancel_dump_traceback_later()
    count_shard(record)
    return record
