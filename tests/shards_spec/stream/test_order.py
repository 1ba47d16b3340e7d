"""The epoch's order, as properties."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shards_spec.stream.order import POOL_SHARDS, WINDOW_BLOCKS, WINDOW_BYTES, EpochOrder, block_units, window_blocks

shards = st.lists(st.integers(0, 40), max_size=80)
blocks = st.integers(1, 9)
seeds = st.integers(0, 2**63 - 1)


def everything(order: EpochOrder) -> list[int]:
    return [int(unit) for chunk in order.chunks(0, order.count) for unit in chunk.units]


@given(units=shards, block=blocks, seed=seeds, epoch=st.integers(0, 1000))
def test_every_unit_comes_once_and_equal_seeds_agree(units: list[int], block: int, seed: int, epoch: int) -> None:
    order = EpochOrder(units, block, seed, epoch)
    assert order.count == sum(units)
    seen = everything(order)
    assert sorted(seen) == list(range(sum(units)))
    assert everything(EpochOrder(units, block, seed, epoch)) == seen


@given(units=shards, block=blocks, seed=seeds, data=st.data())
def test_any_part_of_it_is_a_slice_of_it(units: list[int], block: int, seed: int, data: st.DataObject) -> None:
    order = EpochOrder(units, block, seed, 3)
    start = data.draw(st.integers(0, order.count))
    stop = data.draw(st.integers(start, order.count))
    part = [int(unit) for chunk in order.chunks(start, stop) for unit in chunk.units]
    assert part == everything(order)[start:stop]


@given(units=shards, block=blocks)
def test_unshuffled_is_the_shards_own_order(units: list[int], block: int) -> None:
    assert everything(EpochOrder(units, block, 0, 5, shuffle=False)) == list(range(sum(units)))


def test_epochs_and_seeds_differ() -> None:
    orders = {tuple(everything(EpochOrder([500] * 4, 16, seed, epoch))) for seed in range(4) for epoch in range(5)}
    assert len(orders) == 20


def test_each_part_of_an_epoch_shows_every_shard() -> None:
    shards = 3 * POOL_SHARDS
    order = EpochOrder([400] * shards, 8, 5, 1)
    for part in range(3):
        units = np.array(everything(order)[part * order.count // 3 : (part + 1) * order.count // 3])
        counts = np.bincount(units // 400, minlength=shards)
        assert counts.min() > 400 / 3 - 3 * 8, counts.min()
        assert counts.max() < 400 / 3 + 3 * 8, counts.max()


def test_what_lies_together_in_a_shard_is_read_at_about_the_same_time() -> None:
    # A cache that is smaller than the set is of use only if the pieces it fetches are wanted while it has them.
    order = EpochOrder([400] * (3 * POOL_SHARDS), 8, 5, 1)
    times = np.empty(order.count)
    times[everything(order)] = np.arange(order.count) / order.count
    stretches = times.reshape(-1, 400).reshape(-1, 10, 40)
    assert np.mean(np.ptp(stretches, axis=2) < 2 / 3) > 0.8


def test_the_order_does_not_change_with_versions() -> None:
    assert everything(EpochOrder([5, 0, 7], 2, 1, 2)) == [3, 6, 9, 8, 7, 5, 2, 1, 0, 11, 10, 4]


def test_a_block_is_bounded_by_bytes() -> None:
    assert [block_units(size) for size in (0, 7_000, 100_000, 10**9)] == [32, 28, 1, 1]


def test_memory_grows_with_blocks_not_with_samples() -> None:
    order = EpochOrder([10_000] * 740, 64, 0, 0)
    assert order.nbytes < 3 * 2**20
    assert sum(len(chunk.units) for chunk in order.chunks(3_000_000, 3_005_000)) == 5_000
    assert order.count == 7_400_000


@given(unit_bytes=st.floats(0, 1e10), shuffle=st.booleans())
def test_a_window_is_bounded_in_bytes_whatever_the_size_of_units(unit_bytes: float, shuffle: bool) -> None:
    order = EpochOrder([90, 0, 60], block_units(unit_bytes), 1, 2, shuffle, window_blocks(unit_bytes))
    assert sorted(everything(order)) == list(range(150))
    most = max(len(chunk.units) for chunk in order.chunks(0, order.count))
    assert most == 1 or most * unit_bytes <= WINDOW_BYTES


def test_windows_of_small_units_have_all_their_blocks() -> None:
    assert {window_blocks(size) for size in (0.0, 2800.0, 192 * 1024.0, 2.0**20)} == {WINDOW_BLOCKS}
    assert [window_blocks(size * 2.0**20) for size in (2, 30, 64, 500)] == [32, 2, 1, 1]
