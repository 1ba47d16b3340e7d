"""Memory that is used again."""

import mmap
import time
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from shards_spec.stream.free_memory import FreeMemory


@given(size=st.integers(1, 3 * 2**20))
def test_what_was_given_back_serves_the_same_size_again(size: int) -> None:
    memory = FreeMemory(8 * 2**20)
    first = memory.take(size)
    assert size <= len(first) <= size + max(size // 4, mmap.PAGESIZE)
    memory.give(first)
    assert memory.take(size) is first
    assert memory.take(size) is not first, "nobody else may have it at the same time"


def test_no_more_is_kept_than_allowed() -> None:
    memory = FreeMemory(10 * mmap.PAGESIZE)
    taken = [memory.take(4 * mmap.PAGESIZE) for _ in range(4)]
    for one in taken:
        memory.give(one)
    again = [memory.take(4 * mmap.PAGESIZE) for _ in range(4)]
    assert sum(any(one is other for other in taken) for one in again) == 2


def test_threads_never_have_the_same_memory_at_the_same_time() -> None:
    memory = FreeMemory(2**20)

    def work(mark: bytes) -> bool:
        alone = True
        for _ in range(2_000):
            one = memory.take(mmap.PAGESIZE)
            one[:1] = mark
            time.sleep(0)
            alone &= one[:1] == mark
            memory.give(one)
        return alone

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, [bytes([number]) for number in range(8)]))
