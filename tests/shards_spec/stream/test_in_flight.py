"""The number of reads under way follows what is measured: simulated connections of some bandwidth and latency."""

import heapq

import pytest

from shards_spec.stream.in_flight import InFlight


def settle(latency: float, per_read: float, reads: int = 20_000) -> InFlight:
    """Read through a connection that passes on one read after another, each in ``per_read`` seconds."""
    in_flight = InFlight(8, 256)
    under_way: list[tuple[float, float, int]] = []
    now = free = 0.0
    for _ in range(reads):
        while len(under_way) < in_flight.limit:
            free = max(free, now) + per_read
            heapq.heappush(under_way, (free + latency, now, in_flight.round))
        now, began, began_in = heapq.heappop(under_way)
        in_flight.ended(began_in, now - began)
    return in_flight


@pytest.mark.parametrize(
    ("latency", "per_read", "wanted"),
    [(0.05, 0.001, 50), (0.05, 0.0005, 100), (0.02, 0.001, 20), (0.1, 0.001, 100), (0.05, 0.01, 5)],
)
def test_it_is_about_twice_what_the_connection_holds(latency: float, per_read: float, wanted: int) -> None:
    """Not fewer, so that nothing waits for the network, and not many more, which would wait for one another."""
    limit = settle(latency, per_read).limit
    assert max(8, wanted) <= limit <= max(16, 4 * wanted)


def test_it_has_bounds() -> None:
    assert settle(1.0, 0.0001).limit == 256
    assert settle(0.0001, 0.01).limit <= 16


def test_reads_that_began_under_another_number_do_not_count() -> None:
    in_flight = InFlight(2, 8)
    for _ in range(2):
        in_flight.ended(0, 0.1)
    assert (in_flight.limit, in_flight.round) == (4, 1)
    for _ in range(20):
        in_flight.ended(0, 5.0)
    assert (in_flight.limit, in_flight.round) == (4, 1)


def test_a_connection_that_becomes_slower_is_measured_anew() -> None:
    in_flight = InFlight(8, 256)
    for seconds in [0.01] * 2_000 + [0.1] * 20_000:
        in_flight.ended(in_flight.round, seconds)
    assert in_flight.limit == 256
