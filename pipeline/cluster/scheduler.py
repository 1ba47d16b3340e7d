"""Scheduling of shards: attempts, retries after faults, and second copies. An engine, such as Ray, runs them."""

import heapq
import itertools
from collections.abc import Collection, Generator, Hashable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from pipeline.shards.record import ShardRecord
from shards_spec.layout import shard_name

if TYPE_CHECKING:
    from pipeline.plan import ShardPlan  # imports PyArrow, which takes longer than all other imports here

RETRY_DELAYS = (1.0, 5.0, 25.0)
"""Seconds before each retry of a shard that failed; after the last retry it has failed for good."""

LOSSES = 20
"""Number of times that a shard may lose its worker. If nodes are preempted, this is no fault of the shard's: even if
every second attempt ended so, only one run in a thousand would fail, in a set of 750 shards. A shard that kills its
workers itself, for example for lack of memory, looks the same and costs the time of as many attempts."""

LOSS_DELAY = 2.0
"""Seconds before a shard whose worker was lost is tried again, so that the cluster notices and memory is freed."""

IN_FLIGHT_PER_CORE = 2
"""One attempt runs and one waits, so that no core idles while the next attempt is submitted. Waiting attempts also give
an autoscaling cluster a reason to grow."""

CORES_SECONDS = 5.0
"""Seconds between two queries of how many cores there are."""

STRAGGLER_FACTOR = 2.0
STRAGGLER_SECONDS = 10.0
"""An attempt is a straggler if it runs longer than both ``STRAGGLER_SECONDS`` and ``STRAGGLER_FACTOR`` times the mean
of the attempts that have ended. Both are counted from submission, so they include the wait for a core. For shorter
attempts, starting a copy takes about as long as it can save."""

TICK_SECONDS = 0.5
"""Longest pause between two events, in seconds."""


@dataclass(frozen=True, slots=True)
class Fault:
    """How an attempt ended without a shard."""

    error: str
    """The error in one line."""
    kind: Literal["failed", "lost", "hopeless"]
    """``failed``: the fault may be transient; ``lost``: the worker or node is gone or unfit; ``hopeless``: every
    further attempt would fail as well."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A shard failed and will be tried again."""

    name: str
    attempt: int
    error: str
    delay: float
    """Seconds until the next attempt."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A shard failed for good."""

    name: str
    error: str


Event = ShardRecord | Retry | Failure | None
"""What became of a shard; None if nothing has happened for a while."""


class Engine(Protocol):
    """The interface of what runs attempts."""

    def now(self) -> float:
        """Seconds, never running backwards."""

    def cores(self) -> int:
        """Return the present number of cores; nodes come and go."""

    def submit(self, shard: "ShardPlan") -> Hashable:
        """Submit an attempt, which may have to wait for a core; return a handle that identifies it."""

    def wait(self, attempts: Collection[Hashable], seconds: float) -> list[tuple[Hashable, ShardRecord | Fault]]:
        """Return those of ``attempts`` that have ended, as soon as one has; return none after ``seconds``."""

    def cancel(self, attempt: Hashable) -> None:
        """End an attempt whose outcome no longer matters."""


@dataclass(slots=True)
class _Job:
    """A shard that is not done."""

    shard: "ShardPlan"
    failures: int = 0
    losses: int = 0
    submitted: float = 0.0
    """Time at which the last attempt was submitted."""
    attempts: dict[Hashable, float] = field(default_factory=dict)
    """Attempts in flight, with the times at which they were submitted."""

    @property
    def name(self) -> str:
        return shard_name(self.shard.cell, self.shard.number)


class Pool:
    """Makes shards with an engine.

    Shards are submitted as cores become free. When cores idle at the end, the oldest running shard gets a second copy
    if it is a straggler. The bytes are the same whichever copy is first, and files only appear whole.

    Args:
        shards: The shards to make, each once.
        engine: The engine that makes them.
    """

    def __init__(self, shards: Iterable["ShardPlan"], engine: Engine) -> None:
        self._supply = iter(shards)
        self._is_supplied = True
        self._engine = engine
        self._running: dict[Hashable, _Job] = {}
        """Jobs by attempt, in the order of submission."""
        self._resting: list[tuple[float, int, _Job]] = []
        """Jobs that wait for a retry: a heap ordered by the time of the retry, with a number that breaks ties."""
        self._numbers = itertools.count()
        self._ended = 0
        self._ended_seconds = 0.0

    @property
    def in_flight(self) -> int:
        """Return the number of attempts that were submitted and have not ended."""
        return len(self._running)

    def run(self) -> Generator[Event, None, None]:
        """Yield what becomes of each shard as it ends, and something at least every ``TICK_SECONDS``.

        A caller that stops early must end what is in flight by ending the engine.
        """
        cores, looked = self._engine.cores(), self._engine.now()
        while True:
            if self._engine.now() - looked >= CORES_SECONDS:
                cores, looked = self._engine.cores(), self._engine.now()
            self._fill(cores)
            if not self._running and not self._resting:
                return
            quiet = True
            for attempt, outcome in self._engine.wait(self._running, TICK_SECONDS):
                # An attempt that ended together with its copy has been settled with that copy.
                event = self._settle(attempt, outcome) if attempt in self._running else None
                if event is not None:
                    quiet = False
                    yield event
            if quiet:
                yield None

    def _fill(self, cores: int) -> None:
        """Submit waiting jobs, up to the limit of attempts in flight."""
        while len(self._running) < IN_FLIGHT_PER_CORE * cores and (job := self._next()) is not None:
            self._submit(job)
        while len(self._running) < cores and (straggler := self._straggler()) is not None:
            self._submit(straggler)

    def _submit(self, job: _Job) -> None:
        attempt = self._engine.submit(job.shard)
        self._running[attempt] = job
        job.submitted = job.attempts[attempt] = self._engine.now()

    def _next(self) -> _Job | None:
        """Return a job whose retry is due, or else one that has not begun; None if there is neither."""
        if self._resting and self._resting[0][0] <= self._engine.now():
            return heapq.heappop(self._resting)[2]
        shard = next(self._supply, None)
        self._is_supplied = shard is not None
        return None if shard is None else _Job(shard)

    def _straggler(self) -> _Job | None:
        """Return the oldest running job without a copy, if it is a straggler and nothing else is left to do."""
        if self._is_supplied or self._resting or not self._ended:
            return None
        usual = self._ended_seconds / self._ended
        limit = max(STRAGGLER_SECONDS, STRAGGLER_FACTOR * usual)
        for attempt, job in self._running.items():
            if self._engine.now() - job.attempts[attempt] <= limit:
                return None  # attempts that were submitted later are no stragglers either
            if len(job.attempts) == 1 and self._engine.now() - job.submitted > limit:  # else a copy has just failed
                return job
        return None

    def _settle(self, attempt: Hashable, outcome: ShardRecord | Fault) -> Event:
        """Return what the end of an attempt means for its shard; None if a copy of it goes on."""
        job = self._running.pop(attempt)
        submitted = job.attempts.pop(attempt)
        if isinstance(outcome, ShardRecord):
            self._ended += 1
            self._ended_seconds += self._engine.now() - submitted
            for copy in job.attempts:
                del self._running[copy]
                self._engine.cancel(copy)
            return outcome
        if outcome.kind == "lost":
            job.losses += 1
        else:
            job.failures += 1
        if job.attempts:
            return None
        if outcome.kind == "hopeless" or job.failures > len(RETRY_DELAYS) or job.losses > LOSSES:
            return Failure(job.name, outcome.error)
        delay = LOSS_DELAY if outcome.kind == "lost" else RETRY_DELAYS[job.failures - 1]
        heapq.heappush(self._resting, (self._engine.now() + delay, next(self._numbers), job))
        return Retry(job.name, job.failures + job.losses, outcome.error, delay)
