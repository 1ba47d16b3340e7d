"""An engine for ``pipeline.cluster.scheduler`` on a clock of its own: hours of a thousand cores pass in a moment."""

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Sequence

from pipeline.cluster.scheduler import Fault
from pipeline.plan import ShardPlan
from pipeline.shards.record import ShardRecord

Outcome = tuple[float, ShardRecord | Fault]
"""Seconds that an attempt takes on a core, and how it ends."""


def fake_record(shard: ShardPlan, seconds: float = 1.0) -> ShardRecord:
    """What a shard's task returns where nothing is rejected."""
    return ShardRecord(
        plan_digest="0" * 64,
        cell=shard.cell,
        number=shard.number,
        samples=shard.samples,
        units=len(shard.rows),
        bytes=shard.samples * 7_000,
        sha256="0" * 64,
        index_sha256="0" * 64,
        rejected_units=0,
        rejected_samples=0,
        rejects=[],
        notes={},
        requests=len(shard.rows) // 30 + 1,
        bytes_read=len(shard.rows) * 220_000,
        bytes_used=len(shard.rows) * 219_000,
        seconds={"read": seconds / 4, "cut": seconds / 2, "write": seconds / 4, "total": seconds},
    )


class VirtualCluster:
    """Cores that take one attempt after the other, in the order of submission. See ``Engine`` for the methods.

    Args:
        cores: at the start.
        attempt: what becomes of a shard's first, second, ... attempt (from 0).
        changes: when how many cores there are from then on; attempts on cores that go are lost.
    """

    def __init__(
        self, cores: int, attempt: Callable[[ShardPlan, int], Outcome], changes: Sequence[tuple[float, int]] = ()
    ) -> None:
        self._cores = cores
        self._attempt = attempt
        self._changes = deque(sorted(changes))
        self._time = 0.0
        self._numbers = itertools.count()
        self._waiting: dict[int, Outcome] = {}
        self._busy: dict[int, ShardRecord | Fault] = {}
        self._ends: list[tuple[float, int]] = []
        self.attempts: Counter[tuple[str, int]] = Counter()
        """Attempts of each shard."""
        self.most_in_flight = 0

    @property
    def in_flight(self) -> int:
        """Attempts that wait or run."""
        return len(self._waiting) + len(self._busy)

    def now(self) -> float:
        return self._time

    def cores(self) -> int:
        return max(1, self._cores)

    def submit(self, shard: ShardPlan) -> Hashable:
        number = next(self._numbers)
        self._waiting[number] = self._attempt(shard, self.attempts[shard.cell, shard.number])
        self.attempts[shard.cell, shard.number] += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._start()
        return number

    def wait(self, attempts: Collection[Hashable], seconds: float) -> list[tuple[Hashable, ShardRecord | Fault]]:
        end = self._time + seconds
        ended: list[tuple[Hashable, ShardRecord | Fault]] = []
        while not ended:
            change = self._changes[0][0] if self._changes else float("inf")
            finish = self._ends[0][0] if self._ends else float("inf")
            if min(change, finish) > end:
                self._time = end
                break
            self._time = max(self._time, min(change, finish))
            if change <= finish:
                self._cores = self._changes.popleft()[1]
                gone = list(self._busy)[self._cores :]
                ended = [(number, Fault("NodeDiedError: the node is gone", "lost")) for number in gone]
                for number in gone:
                    del self._busy[number]
            else:
                while self._ends and self._ends[0][0] <= self._time:
                    number = heapq.heappop(self._ends)[1]
                    if number in self._busy:  # else it was cancelled, or lost with its core
                        ended.append((number, self._busy.pop(number)))
            self._start()
        assert all(number in attempts for number, _ in ended)
        return ended

    def cancel(self, attempt: Hashable) -> None:
        assert isinstance(attempt, int)
        self._waiting.pop(attempt, None)
        self._busy.pop(attempt, None)
        self._start()

    def _start(self) -> None:
        while self._waiting and len(self._busy) < self._cores:
            number = next(iter(self._waiting))
            seconds, outcome = self._waiting.pop(number)
            self._busy[number] = outcome
            heapq.heappush(self._ends, (self._time + seconds, number))
