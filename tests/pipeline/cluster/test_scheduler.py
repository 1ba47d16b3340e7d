"""Which shard is made when, on a virtual clock."""

import itertools
from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cluster import scheduler
from pipeline.cluster.scheduler import IN_FLIGHT_PER_CORE, LOSSES, RETRY_DELAYS, Event, Failure, Fault, Pool, Retry
from pipeline.plan import ShardPlan
from pipeline.shards.record import ShardRecord
from tests.support.virtual import Outcome, VirtualCluster, fake_record

LOST = Fault("WorkerCrashedError: gone", "lost")
FAILED = Fault("OSError: no space left", "failed")
HOPELESS = Fault("AssertionError: a fault of ours", "hopeless")


def shards(count: int) -> list[ShardPlan]:
    return [ShardPlan("p1-train", number, np.arange(4), 10) for number in range(count)]


def succeed(shard: ShardPlan, _: int) -> Outcome:
    return 4.0, fake_record(shard)


def then_succeed(*outcomes: Outcome, only: int = 0) -> Callable[[ShardPlan, int], Outcome]:
    """Shard ``only`` ends with the outcomes, one an attempt, before it succeeds as the others do at once."""

    def attempt(shard: ShardPlan, number: int) -> Outcome:
        return outcomes[number] if shard.number == only and number < len(outcomes) else succeed(shard, number)

    return attempt


def run(engine: VirtualCluster, count: int) -> list[Event]:
    return [event for event in Pool(shards(count), engine).run() if event is not None]


def made(events: list[Event]) -> list[int]:
    return [event.number for event in events if isinstance(event, ShardRecord)]


def test_every_shard_is_made_once_and_no_core_idles() -> None:
    engine = VirtualCluster(8, succeed)
    assert sorted(made(run(engine, 80))) == list(range(80))
    assert engine.now() == 40.0
    assert engine.most_in_flight == IN_FLIGHT_PER_CORE * 8
    assert set(engine.attempts.values()) == {1}


def test_shards_are_taken_from_the_plan_as_cores_become_free() -> None:
    taken = itertools.count()
    supply = (shard for shard in shards(1000) if next(taken) >= 0)
    events = Pool(supply, VirtualCluster(4, succeed)).run()
    next(events)
    assert next(taken) == IN_FLIGHT_PER_CORE * 4
    events.close()


def test_something_comes_at_least_every_tick() -> None:
    engine = VirtualCluster(1, lambda shard, _: (100.0, fake_record(shard)))
    times = [engine.now() for _ in Pool(shards(2), engine).run()]
    assert max(after - before for before, after in itertools.pairwise(times)) <= scheduler.TICK_SECONDS


def test_a_shard_that_fails_is_tried_again_after_a_rest_and_then_given_up() -> None:
    engine = VirtualCluster(2, then_succeed(*[(1.0, FAILED)] * (len(RETRY_DELAYS) + 1)))
    events = run(engine, 3)
    assert [event for event in events if not isinstance(event, ShardRecord)] == [
        *(Retry("p1-train-000000", n + 1, FAILED.error, delay) for n, delay in enumerate(RETRY_DELAYS)),
        Failure("p1-train-000000", FAILED.error),
    ]
    assert sorted(made(events)) == [1, 2]
    assert engine.now() >= sum(RETRY_DELAYS) + 4


def test_what_would_fail_again_is_not_tried_again() -> None:
    events = run(VirtualCluster(2, then_succeed((1.0, HOPELESS))), 3)
    assert events[0] == Failure("p1-train-000000", HOPELESS.error)
    assert sorted(made(events)) == [1, 2]


def test_lost_workers_do_not_count_as_failures() -> None:
    faults = [(1.0, LOST)] * LOSSES + [(1.0, FAILED)] * len(RETRY_DELAYS)
    events = run(VirtualCluster(2, then_succeed(*faults)), 3)
    assert sorted(made(events)) == [0, 1, 2]
    assert isinstance(run(VirtualCluster(2, then_succeed(*[(1.0, LOST)] * (LOSSES + 1))), 3)[-1], Failure)


def test_nodes_that_come_are_used_and_nodes_that_go_cost_their_shards_time() -> None:
    engine = VirtualCluster(10, succeed, changes=[(10.0, 100), (30.0, 5), (42.0, 50)])
    events = run(engine, 1000)
    assert sorted(made(events)) == list(range(1000))
    lost = sum(isinstance(event, Retry) for event in events)
    assert lost == 95
    assert not any(isinstance(event, Failure) for event in events)
    assert engine.most_in_flight <= IN_FLIGHT_PER_CORE * 100
    # 10 cores until 10 s and up to 5 s more, 100 until 30 s, 5 until 42 s and up to 5 s more, then 50.
    assert engine.now() < 90


def test_all_nodes_gone_the_run_waits_for_others() -> None:
    engine = VirtualCluster(4, succeed, changes=[(2.0, 0), (500.0, 4)])
    assert sorted(made(run(engine, 8))) == list(range(8))


def test_a_shard_that_is_held_up_gets_a_second_copy_and_the_first_result_counts() -> None:
    engine = VirtualCluster(4, then_succeed((10_000.0, LOST), only=15))
    events = run(engine, 20)
    assert sorted(made(events)) == list(range(20))
    assert not any(isinstance(event, Retry) for event in events)
    assert engine.attempts["p1-train", 15] == 2
    assert sum(engine.attempts.values()) == 21
    assert engine.now() < 60
    assert engine.in_flight == 0, "the other copy is cancelled"


def test_two_copies_that_end_at_once_count_once() -> None:
    engine = VirtualCluster(
        2, lambda shard, number: ((40.0, 33.0)[number] if shard.number == 3 else 4.0, fake_record(shard))
    )
    assert sorted(made(run(engine, 4))) == [0, 1, 2, 3]


def test_a_copy_that_fails_leaves_it_to_the_other() -> None:
    def attempt(shard: ShardPlan, number: int) -> Outcome:
        if shard.number != 3:
            return 4.0, fake_record(shard)
        return (100.0, fake_record(shard)) if number == 0 else (1.0, LOST)

    engine = VirtualCluster(2, attempt)
    events = run(engine, 4)
    assert sorted(made(events)) == [0, 1, 2, 3]
    assert not any(isinstance(event, Retry | Failure) for event in events)
    assert engine.now() == 104.0
    assert 2 < engine.attempts["p1-train", 3] < 12, "again after a while only"


def test_no_second_copies_of_shards_that_take_their_usual_time() -> None:
    engine = VirtualCluster(64, lambda shard, _: (20.0 + shard.number % 7, fake_record(shard)))
    run(engine, 64 * 5 + 1)
    assert set(engine.attempts.values()) == {1}


outcomes = st.one_of(
    st.tuples(st.floats(0.0, 100.0), st.sampled_from([LOST, FAILED, HOPELESS])),
    st.tuples(st.floats(0.0, 1000.0), st.none()),
)


@settings(deadline=None)
@given(
    fates=st.lists(st.lists(outcomes, max_size=6), max_size=30),
    cores=st.integers(1, 12),
    changes=st.lists(st.tuples(st.floats(0.0, 200.0), st.integers(0, 12)), max_size=4),
)
def test_whatever_happens_each_shard_is_made_once_or_named(
    fates: list[list[tuple[float, Fault | None]]], cores: int, changes: list[tuple[float, int]]
) -> None:
    def attempt(shard: ShardPlan, number: int) -> Outcome:
        fate = fates[shard.number]
        seconds, fault = fate[number] if number < len(fate) else (4.0, None)
        return seconds, fault or fake_record(shard)

    engine = VirtualCluster(cores, attempt, [*changes, (201.0, max(cores, 1))])
    running = Pool(shards(len(fates)), engine)
    events = []
    for event in running.run():
        assert running.in_flight <= IN_FLIGHT_PER_CORE * 12
        events.append(event)
    ended = made(events) + [int(event.name[-6:]) for event in events if isinstance(event, Failure)]
    assert sorted(ended) == list(range(len(fates)))
    assert engine.in_flight == running.in_flight == 0
    for shard, fate in enumerate(fates):
        if not any(fault in (FAILED, HOPELESS) for _, fault in fate):
            assert shard in made(events)
