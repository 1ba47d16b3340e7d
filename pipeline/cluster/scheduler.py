"""Which shard is made when: attempts, tries after faults, second copies. An engine, Ray or another, runs them."""

import heapq
import itertools
from collections.abc import Collection, Generator, Hashable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from pipeline.shards.record import ShardRecord
from shards_spec.layout import shard_name

if TYPE_CHECKING:
    from pipeline.plan import ShardPlan  # it needs PyArrow, which takes longer to import than all else here

RETRY_DELAYS = (1.0, 5.0, 25.0)
"""Seconds before a shard that failed is tried again; after the last it has failed for good."""

LOSSES = 20
"""Times that a shard may lose its worker. Where nodes are preempted that is no fault of the shard's: even if every
second attempt ended so, one run in a thousand would fail, at City1M's 750 shards. What kills its workers itself, for
want of memory say, cannot be told apart, and costs as many times the seconds that it takes."""

LOSS_DELAY = 2.0
"""Seconds before a shard whose worker was lost is tried again: for the cluster to notice, for memory to be freed."""

IN_FLIGHT_PER_CORE = 2
"""One running and one waiting, so that no core idles while the next is submitted; to a cluster that grows with what
waits, a reason to grow."""

CORES_SECONDS = 5.0
"""Between two looks at how many cores there are."""

STRAGGLER_FACTOR = 2.0
STRAGGLER_SECONDS = 10.0
"""An attempt counts as held up where it takes longer than this and this many times the mean of those that ended, from
submission, so that the wait for a core counts in both. Below, starting a copy takes about as long as it can save."""

TICK_SECONDS = 0.5
"""At most between two events."""


@dataclass(frozen=True, slots=True)
class Fault:
    """How an attempt ended that made no shard."""

    error: str
    """In one line."""
    kind: Literal["failed", "lost", "hopeless"]
    """``failed``: may pass; ``lost``: its worker or node is gone, or not fit; ``hopeless``: it would fail again."""


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


Event = ShardRecord | Retry | Failure | None
"""What became of a shard; None where a while has passed without anything."""


class Engine(Protocol):
    """Where attempts run."""

    def now(self) -> float:
        """Seconds, never running backwards."""

    def cores(self) -> int:
        """How many there are now; nodes come and go."""

    def submit(self, shard: "ShardPlan") -> Hashable:
        """Begin an attempt, or have it wait for a core; returns what tells it from others."""

    def wait(self, attempts: Collection[Hashable], seconds: float) -> list[tuple[Hashable, ShardRecord | Fault]]:
        """Those of ``attempts`` that have ended: as soon as there is one, and none after ``seconds``."""

    def cancel(self, attempt: Hashable) -> None:
        """End an attempt, whose outcome is of no interest any more."""


@dataclass(slots=True)
class _Job:
    """A shard that is not done."""

    shard: "ShardPlan"
    failures: int = 0
    losses: int = 0
    submitted: float = 0.0
    """When the last attempt was."""
    attempts: dict[Hashable, float] = field(default_factory=dict)
    """Those in flight, to when they were submitted."""

    @property
    def name(self) -> str:
        return shard_name(self.shard.cell, self.shard.number)


class Pool:
    """Has an engine make shards.

    Shards are taken as cores become free. At the end, where cores idle, the shard that has been under way for longest
    gets a second copy if it seems held up: the bytes are the same whichever is first, and files appear whole.

    Args:
        shards: to be made, each once.
        engine: that makes them.
    """

    def __init__(self, shards: Iterable["ShardPlan"], engine: Engine) -> None:
        self._supply = iter(shards)
        self._is_supplied = True
        self._engine = engine
        self._running: dict[Hashable, _Job] = {}
        """By attempt, in the order of submission."""
        self._resting: list[tuple[float, int, _Job]] = []
        """A heap by when to try again; the number settles ties."""
        self._numbers = itertools.count()
        self._ended = 0
        self._ended_seconds = 0.0

    @property
    def in_flight(self) -> int:
        """Attempts submitted that have not ended."""
        return len(self._running)

    def run(self) -> Generator[Event, None, None]:
        """Yield what becomes of each shard as it ends, and something at least every ``TICK_SECONDS``.

        Whoever stops early ends what is in flight with the engine.
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
                # What ended together with a copy of itself was settled with that.
                event = self._settle(attempt, outcome) if attempt in self._running else None
                if event is not None:
                    quiet = False
                    yield event
            if quiet:
                yield None

    def _fill(self, cores: int) -> None:
        """Submit what there is to do, up to the bound."""
        while len(self._running) < IN_FLIGHT_PER_CORE * cores and (job := self._next()) is not None:
            self._submit(job)
        while len(self._running) < cores and (straggler := self._straggler()) is not None:
            self._submit(straggler)

    def _submit(self, job: _Job) -> None:
        attempt = self._engine.submit(job.shard)
        self._running[attempt] = job
        job.submitted = job.attempts[attempt] = self._engine.now()

    def _next(self) -> _Job | None:
        """A job whose rest is over, else one that has not begun; None where there is neither."""
        if self._resting and self._resting[0][0] <= self._engine.now():
            return heapq.heappop(self._resting)[2]
        shard = next(self._supply, None)
        self._is_supplied = shard is not None
        return None if shard is None else _Job(shard)

    def _straggler(self) -> _Job | None:
        """The job under way for longest without a copy, where it seems held up and nothing else is left to do."""
        if self._is_supplied or self._resting or not self._ended:
            return None
        usual = self._ended_seconds / self._ended
        limit = max(STRAGGLER_SECONDS, STRAGGLER_FACTOR * usual)
        for attempt, job in self._running.items():
            if self._engine.now() - job.attempts[attempt] <= limit:
                return None  # nor are those that were submitted later
            if len(job.attempts) == 1 and self._engine.now() - job.submitted > limit:  # else a copy has just failed
                return job
        return None

    def _settle(self, attempt: Hashable, outcome: ShardRecord | Fault) -> Event:
        """What the end of an attempt means for its shard; None where a copy of it goes on."""
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
