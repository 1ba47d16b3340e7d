import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.plan.cuts import balanced_cuts


@settings(deadline=None)
@given(st.data(), st.lists(st.one_of(st.integers(1, 6), st.integers(1, 1000)), min_size=1, max_size=60))
def test_parts_differ_by_no_more_than_the_largest_size(data: st.DataObject, sizes: list[int]) -> None:
    parts = data.draw(st.integers(1, len(sizes)))
    cuts = balanced_cuts(np.array(sizes), parts)
    assert (cuts[0], cuts[-1], len(cuts)) == (0, len(sizes), parts + 1)
    assert (np.diff(cuts) > 0).all()
    sums = np.add.reduceat(np.array(sizes), cuts[:-1])
    assert sums.max() - sums.min() <= max(sizes)


@given(st.integers(1, 300), st.integers(1, 300))
@example(10, 3)
def test_equal_sizes_are_shared_out_evenly(count: int, parts: int) -> None:
    parts = min(parts, count)
    lengths = np.diff(balanced_cuts(np.ones(count, np.int64), parts))
    assert lengths.max() - lengths.min() <= 1


def test_one_part_is_everything_and_as_many_parts_as_things_are_one_each() -> None:
    sizes = np.array([5, 1, 900, 2])
    assert balanced_cuts(sizes, 1).tolist() == [0, 4]
    assert balanced_cuts(sizes, 4).tolist() == [0, 1, 2, 3, 4]


def test_a_million_things_in_hundreds_of_parts() -> None:
    sizes = np.random.default_rng(0).integers(1, 7, 1_000_000)
    cuts = balanced_cuts(sizes, 400)
    sums = np.add.reduceat(sizes, cuts[:-1])
    assert sums.max() - sums.min() <= 6


@pytest.mark.parametrize(("sizes", "parts"), [([], 1), ([1], 0), ([1], 2), ([1, 0], 1), ([1, -1], 2)])
def test_what_cannot_be_cut_is_refused(sizes: list[int], parts: int) -> None:
    with pytest.raises(ValueError, match="cannot be cut into"):
        balanced_cuts(np.array(sizes, np.int64), parts)
