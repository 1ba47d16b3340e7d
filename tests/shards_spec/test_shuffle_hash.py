import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.shuffle_hash import shuffled_order

MASK = 2**64 - 1
STEP = 0x9E3779B97F4A7C15


def mix(value: int) -> int:
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)


@given(st.integers(0, 200), st.integers(0, 2**63 - 1), st.text())
def test_an_order_holds_each_number_once_and_is_always_the_same(count: int, seed: int, purpose: str) -> None:
    order = shuffled_order(count, seed, purpose)
    assert sorted(order.tolist()) == list(range(count))
    assert order.dtype == np.int64
    assert (shuffled_order(count, seed, purpose) == order).all()


def test_the_orders_are_those_that_shards_were_made_with() -> None:
    assert shuffled_order(10, 0, "groups/p1-train").tolist() == [7, 4, 6, 2, 9, 1, 3, 0, 8, 5]


@pytest.mark.parametrize(("seed", "purpose"), [(0, "blocks/p1-train"), (2**63 - 1, ""), (7, "\N{SNOWMAN}")])
def test_the_order_is_that_of_splitmix64_written_out(seed: int, purpose: str) -> None:
    # The first number of SplitMix64 from seed 0, by Vigna's reference implementation.
    assert mix(STEP) == 0xE220A8397B1DCDAF
    key = int.from_bytes(hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest(), "little")
    hashes = [mix(mix((number + 1) * STEP & MASK) ^ key) for number in range(100)]
    assert shuffled_order(100, seed, purpose).tolist() == sorted(range(100), key=hashes.__getitem__)


def test_seed_and_purpose_both_change_the_order() -> None:
    orders = [
        shuffled_order(1000, seed, purpose).tolist()
        for seed, purpose in [(0, "a"), (1, "a"), (0, "b"), (2**63 - 1, "a")]
    ]
    assert len({tuple(order) for order in orders}) == 4
    for one in orders:
        for other in orders:
            matches = sum(a == b for a, b in zip(one, other, strict=True))
            assert one is other or matches < 10


@pytest.mark.parametrize("seed", range(5))
def test_things_end_up_anywhere(seed: int) -> None:
    places = np.argsort(shuffled_order(10_000, seed, "places"))
    assert abs(np.corrcoef(places, np.arange(10_000))[0, 1]) < 0.05
    quarters = np.bincount(places[:2500] // 2500, minlength=4)
    assert quarters.min() > 550
