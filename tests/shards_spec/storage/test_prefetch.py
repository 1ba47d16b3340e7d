import threading
from collections.abc import Iterator

import pytest

from shards_spec.storage import read_ahead

AT_ONCE = 3


def test_results_come_in_the_order_of_the_items() -> None:
    assert list(read_ahead(str, range(50), AT_ONCE)) == [str(item) for item in range(50)]
    assert list(read_ahead(str, [], AT_ONCE)) == []


def test_reads_are_under_way_at_once() -> None:
    together = threading.Barrier(AT_ONCE, timeout=60)

    def read(item: int) -> int:
        together.wait()  # no read ends before as many are under way
        return item

    assert list(read_ahead(read, range(4 * AT_ONCE), AT_ONCE)) == list(range(4 * AT_ONCE))


def test_no_more_is_read_than_there_is_room_for() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(50):
            taken = item + 1
            yield item

    for used, _ in enumerate(read_ahead(str, items(), AT_ONCE), 1):
        assert taken <= used + AT_ONCE


def test_an_error_comes_in_its_turn() -> None:
    results = read_ahead(lambda item: 1 // item, [1, 1, 0, 1], AT_ONCE)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_the_threads_end_with_whoever_stops_early() -> None:
    before = threading.active_count()
    results = read_ahead(str, range(50), AT_ONCE)
    next(results)
    results.close()
    assert threading.active_count() == before
